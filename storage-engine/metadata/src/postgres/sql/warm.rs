//! How warm versions are.

/// What is to be changed; locked in the order of the keys.
pub(in crate::postgres) const LOCK: &str = "SELECT o.bucket_id, o.key, o.write_id, o.row_hash, o.record FROM object_warmth o \
     JOIN UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) AS u (bucket_id, key, write_id) \
     ON o.bucket_id = u.bucket_id AND o.key = u.key AND o.write_id = u.write_id \
     ORDER BY o.bucket_id, o.key, o.write_id FOR UPDATE OF o";

pub(in crate::postgres) const READ: &str = "SELECT u.number, o.bucket_id, o.key, o.write_id, o.row_hash, o.record \
     FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::int4[]) AS u (bucket_id, key, write_id, number) \
     JOIN object_warmth o ON o.bucket_id = u.bucket_id AND o.key = u.key AND o.write_id = u.write_id";

pub(in crate::postgres) const OF_KIND: &str = "SELECT bucket_id, key, write_id, row_hash, record FROM object_warmth \
     WHERE kind = $1 AND at_ms >= $2 AND at_ms <= $3 ORDER BY kind, at_ms LIMIT $4";

pub(in crate::postgres) const AFTER: &str = "SELECT bucket_id, key, write_id, row_hash, record FROM object_warmth \
     WHERE (bucket_id, key, write_id) > ($1, $2, $3) ORDER BY bucket_id, key, write_id LIMIT $4";

pub(in crate::postgres) const USAGE: &str = "SELECT kind, count(*)::int8, sum(length_bytes)::int8 FROM object_warmth \
     GROUP BY kind ORDER BY kind";

pub(in crate::postgres) const UPSERT: &str = "INSERT INTO object_warmth \
     (bucket_id, key, write_id, kind, at_ms, length_bytes, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::int2[], $5::int8[], $6::int8[], $7::bytea[], \
     $8::bytea[]) \
     ON CONFLICT (bucket_id, key, write_id) DO UPDATE SET kind = excluded.kind, at_ms = excluded.at_ms, \
     length_bytes = excluded.length_bytes, row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const DELETE: &str = "DELETE FROM object_warmth o \
     USING UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) AS u (bucket_id, key, write_id) \
     WHERE o.bucket_id = u.bucket_id AND o.key = u.key AND o.write_id = u.write_id";
