//! Identities.

use rusqlite::Connection;

use crate::model::IdentityDocument;
use crate::sqlite::codec::{blob, decode_checked, document_name};
use crate::sqlite::failure::Failure;

pub(in crate::sqlite) fn identities(
    connection: &Connection,
    after: &str,
    limit: u32,
) -> Result<Vec<IdentityDocument>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT name, row_hash, record FROM identities WHERE name > ?1 ORDER BY name LIMIT ?2",
    )?;
    let mut rows = statement.query((after.as_bytes(), limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name = blob(row, 0)?;
        let document = decode_checked("identities", &[name], blob(row, 1)?, blob(row, 2)?)?;
        found.push(IdentityDocument { name: document_name(name)?, document: Some(document) });
    }
    Ok(found)
}

pub(in crate::sqlite) fn identity_generation(connection: &Connection) -> Result<u64, Failure> {
    let generation: i64 =
        connection.query_row("SELECT generation FROM identity_state WHERE one = 1", [], |row| row.get(0))?;
    Ok(generation.cast_unsigned())
}
