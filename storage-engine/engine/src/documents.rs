//! The configurations of buckets. The engine keeps them and does not look into them.

use granary_metadata::{BucketDocument, DocumentQuery};
use granary_types::{BucketId, BucketName};

use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};

/// So many configurations are read together.
const AT_ONCE: u32 = 64;

impl Engine {
    /// The configuration of that name. Asks the metadata each time, so that what another node changed counts at once.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn bucket_document(&self, bucket: &BucketName, name: &str) -> Result<Option<Vec<u8>>> {
        self.inner.document_of(self.bucket(bucket).await?.id, name).await
    }

    /// Up to `limit` configurations whose names begin with `prefix`, behind `after`.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn bucket_documents(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<BucketDocument>> {
        let bucket = self.bucket(bucket).await?.id;
        let query = DocumentQuery { bucket, prefix: prefix.to_owned(), after: after.to_owned(), limit };
        Ok(self.inner.store.bucket_documents(query).await?)
    }

    /// Stores a configuration in place of an earlier one, or removes it.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn put_bucket_document(
        &self,
        bucket: &BucketName,
        name: &str,
        document: Option<Vec<u8>>,
    ) -> Result<()> {
        let id = self.bucket(bucket).await?.id;
        let put = BucketDocument { bucket: id, name: name.to_owned(), document };
        let counts = put.counts_as_change();
        let is_put = self.inner.store.put_bucket_document(put).await;
        if counts {
            self.inner.configured.forget_all();
        }
        if is_put? {
            return Ok(());
        }
        self.inner.buckets.forget(bucket);
        Err(EngineError::NoSuchBucket(bucket.clone()))
    }
}

impl Inner {
    pub(crate) async fn document_of(&self, bucket: BucketId, name: &str) -> Result<Option<Vec<u8>>> {
        let query = DocumentQuery { bucket, prefix: name.to_owned(), after: String::new(), limit: 1 };
        let first = self.store.bucket_documents(query).await?.into_iter().next();
        Ok(first.filter(|found| found.name == name).and_then(|found| found.document))
    }
    /// The configurations of these names, in their order; with one read, where the bucket has not very many.
    pub(crate) async fn documents_of(
        &self,
        bucket: BucketId,
        names: &[&str],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let query = DocumentQuery { bucket, prefix: String::new(), after: String::new(), limit: AT_ONCE };
        let page = self.store.bucket_documents(query).await?;
        let is_all = u32::try_from(page.len()).is_ok_and(|count| count < AT_ONCE);
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let known = page.iter().find(|one| one.name == *name).and_then(|one| one.document.clone());
            found.push(match known {
                None if !is_all => self.document_of(bucket, name).await?,
                known => known,
            });
        }
        Ok(found)
    }
}
