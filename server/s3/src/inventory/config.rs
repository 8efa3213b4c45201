//! What an inventory's configuration asks for.

use granary_types::BucketName;

use crate::error::{S3Error, S3Result};
use crate::xml::read::{Element, malformed};

/// What the names of the configurations begin with.
pub(crate) const DOCUMENT: &str = "inventory/";

const BUCKET_ARN: &str = "arn:aws:s3:::";

/// What may be listed of an object beside its key, by the names of S3, in the order of columns. All of it is in the index
/// that listings read; what would take a read of each object is refused.
const FIELDS: [Field; 8] = [
    Field::Size,
    Field::LastModifiedDate,
    Field::ETag,
    Field::StorageClass,
    Field::IsMultipartUploaded,
    Field::ReplicationStatus,
    Field::IntelligentTieringAccessTier,
    Field::ChecksumAlgorithm,
];

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Size,
    LastModifiedDate,
    ETag,
    StorageClass,
    IsMultipartUploaded,
    ReplicationStatus,
    IntelligentTieringAccessTier,
    ChecksumAlgorithm,
}

impl Field {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Size => "Size",
            Self::LastModifiedDate => "LastModifiedDate",
            Self::ETag => "ETag",
            Self::StorageClass => "StorageClass",
            Self::IsMultipartUploaded => "IsMultipartUploaded",
            Self::ReplicationStatus => "ReplicationStatus",
            Self::IntelligentTieringAccessTier => "IntelligentTieringAccessTier",
            Self::ChecksumAlgorithm => "ChecksumAlgorithm",
        }
    }
}

/// Which versions are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    Current,
    All,
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frequency {
    Daily,
    Weekly,
}

/// The names of the fields that a configuration asks for beside those that an inventory always has.
pub(crate) fn asked_fields(root: &Element) -> impl Iterator<Item = &str> {
    let fields = root.child("OptionalFields").map(|fields| fields.children.as_slice()).unwrap_or_default();
    fields.iter().map(|field| field.text.trim())
}

/// An inventory that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inventory {
    pub(super) id: String,
    pub(super) is_enabled: bool,
    pub(super) versions: Versions,
    pub(super) frequency: Frequency,
    /// Which keys.
    pub(super) filter: String,
    pub(super) fields: Vec<Field>,
    pub(super) destination: BucketName,
    /// What the keys of its objects begin with.
    pub(super) prefix: String,
}

impl Inventory {
    /// Reads a configuration that follows the schema.
    ///
    /// # Errors
    /// `InvalidArgument` for a destination that is no bucket; `NotImplemented` for formats and fields that are not made here.
    pub(crate) fn of_element(root: &Element) -> S3Result<Self> {
        let text = |name: &str| root.child(name).map(|child| child.text.trim()).unwrap_or_default();
        let to =
            root.child("Destination").and_then(|to| to.child("S3BucketDestination")).ok_or_else(malformed)?;
        let of_destination = |name: &str| to.child(name).map(|child| child.text.as_str()).unwrap_or_default();
        if of_destination("Format").trim() != "CSV" {
            return Err(S3Error::not_implemented("An inventory in another format than CSV"));
        }
        if to.child("Encryption").is_some() {
            return Err(S3Error::not_implemented("An encryption for inventories alone"));
        }
        let arn = of_destination("Bucket").trim();
        let name = arn.strip_prefix(BUCKET_ARN).and_then(|name| BucketName::new(name).ok());
        let destination = name.ok_or_else(|| {
            S3Error::invalid_argument("Bucket", arn, "The destination bucket is not an ARN of a bucket")
        })?;
        for name in asked_fields(root) {
            if FIELDS.iter().all(|known| known.name() != name) {
                return Err(S3Error::not_implemented(format_args!("The inventory field {name:?}")));
            }
        }
        let is_asked = |field: &Field| asked_fields(root).any(|asked| asked == field.name());
        Ok(Self {
            id: text("Id").to_owned(),
            is_enabled: text("IsEnabled").eq_ignore_ascii_case("true"),
            versions: if text("IncludedObjectVersions") == "All" { Versions::All } else { Versions::Current },
            frequency: match root.child("Schedule").and_then(|schedule| schedule.child("Frequency")) {
                Some(frequency) if frequency.text.trim() == "Weekly" => Frequency::Weekly,
                _ => Frequency::Daily,
            },
            filter: root
                .child("Filter")
                .and_then(|filter| filter.child("Prefix"))
                .map(|prefix| prefix.text.clone())
                .unwrap_or_default(),
            fields: FIELDS.iter().copied().filter(is_asked).collect(),
            destination,
            prefix: of_destination("Prefix").to_owned(),
        })
    }

    /// The columns, as the manifest tells them.
    pub(super) fn columns(&self) -> Vec<&'static str> {
        let mut columns = vec!["Bucket", "Key"];
        if self.versions == Versions::All {
            columns.extend(["VersionId", "IsLatest", "IsDeleteMarker"]);
        }
        columns.extend(self.fields.iter().map(|field| field.name()));
        columns
    }
}
