//! Tags of versions and configurations of buckets.

pub(in crate::postgres) const UPSERT_TAGS: &str = "INSERT INTO object_tags \
     (bucket_id, key, write_id, tag_count, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::int2[], $5::bytea[], $6::bytea[]) \
     ON CONFLICT (bucket_id, key, write_id) DO UPDATE SET tag_count = excluded.tag_count, \
     row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const DELETE_TAGS: &str = "DELETE FROM object_tags o \
     USING UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) AS u (bucket_id, key, write_id) \
     WHERE o.bucket_id = u.bucket_id AND o.key = u.key AND o.write_id = u.write_id";

pub(in crate::postgres) const UPSERT_ACLS: &str = "INSERT INTO object_acls \
     (bucket_id, key, write_id, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[]) \
     ON CONFLICT (bucket_id, key, write_id) DO UPDATE SET row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const DELETE_ACLS: &str = "DELETE FROM object_acls o \
     USING UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) AS u (bucket_id, key, write_id) \
     WHERE o.bucket_id = u.bucket_id AND o.key = u.key AND o.write_id = u.write_id";

pub(in crate::postgres) const UPSERT_RESTORES: &str = "INSERT INTO object_restores \
     (bucket_id, key, write_id, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[]) \
     ON CONFLICT (bucket_id, key, write_id) DO UPDATE SET row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const DELETE_RESTORES: &str = "DELETE FROM object_restores o \
     USING UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) AS u (bucket_id, key, write_id) \
     WHERE o.bucket_id = u.bucket_id AND o.key = u.key AND o.write_id = u.write_id";

pub(in crate::postgres) const READ_RESTORE: &str =
    "SELECT row_hash, record FROM object_restores WHERE bucket_id = $1 AND key = $2 AND write_id = $3";

pub(in crate::postgres) const READ_ACL: &str =
    "SELECT row_hash, record FROM object_acls WHERE bucket_id = $1 AND key = $2 AND write_id = $3";

pub(in crate::postgres) const READ_TAGS: &str =
    "SELECT row_hash, record FROM object_tags WHERE bucket_id = $1 AND key = $2 AND write_id = $3";

pub(in crate::postgres) const PUT_DOCUMENT: &str = "INSERT INTO bucket_documents (bucket_id, name, row_hash, record) \
     VALUES ($1, $2, $3, $4) \
     ON CONFLICT (bucket_id, name) DO UPDATE SET row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const DELETE_DOCUMENT: &str =
    "DELETE FROM bucket_documents WHERE bucket_id = $1 AND name = $2";

pub(in crate::postgres) const DELETE_DOCUMENTS: &str = "DELETE FROM bucket_documents WHERE bucket_id = $1";

pub(in crate::postgres) const LIST_DOCUMENTS: &str = "SELECT name, row_hash, record FROM bucket_documents \
     WHERE bucket_id = $1 AND name >= $2 AND name > $3 AND name < $4 ORDER BY bucket_id, name LIMIT $5";

pub(in crate::postgres) const COUNT_CHANGE: &str = "INSERT INTO configuration (one, generation) VALUES (1, 1) \
     ON CONFLICT (one) DO UPDATE SET generation = configuration.generation + 1";

pub(in crate::postgres) const GENERATION: &str = "SELECT generation FROM configuration WHERE one = 1";
