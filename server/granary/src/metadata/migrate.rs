//! `granary migrate`.

use anyhow::{Context, Result, bail};
use clap::Args;
use granary_engine::moving::{MetadataPlace, migrate_metadata};
use serde_json::json;

use super::place;
use crate::output::{OutputFormat, print_json, print_line};

/// Which database.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The database: postgres://…
    #[arg(long, value_name = "URL", env = "GRANARY_METADATA", hide_env_values = true)]
    metadata: String,
}

/// Migrates, and says what was done.
///
/// # Errors
/// When the database does not answer, or its schema does not serve this version any more.
pub async fn migrate(args: &MigrateArgs, format: OutputFormat) -> Result<()> {
    let place = place::parse(&args.metadata).context("--metadata")?;
    let MetadataPlace::Postgres(options) = &place.place else {
        bail!("embedded metadata is migrated by `granary serve` at its start; give a postgres:// URL");
    };
    let (was, is) = migrate_metadata(options).await.with_context(|| format!("migrating {}", place.shown))?;
    if format == OutputFormat::Json {
        return print_json(&json!({
            "database": place.shown,
            "was": was.version,
            "is": is.version,
            "oldest_binary": is.oldest_binary,
        }));
    }
    let serves = format!("it serves binaries that know schema {} or later", is.oldest_binary);
    print_line(&if was.version == is.version {
        format!("{} has schema {} already; nothing was changed; {serves}.", place.shown, is.version)
    } else {
        format!("{} was migrated from schema {} to {}; {serves}.", place.shown, was.version, is.version)
    })
}
