//! What must be true of a store that nobody writes to, whatever happened to it before.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::census::{Census, shard_files};
use crate::tiers::wait;
use crate::{PATIENCE, Server};

/// The first page of a shard file: there before anything is committed.
const HEADER_BYTES: u64 = 4096;

/// Makes the directories that are gone and heals. Drives whose identity cannot be read are emptied first: that is what an
/// operator has to do with them, as nobody else may decide whose they are.
pub async fn heal(server: &Server) -> Result<()> {
    for path in server.drive_paths() {
        std::fs::create_dir_all(path)?;
    }
    let listed = json(server, &["drive", "list", "--json"]).await?;
    let drives = listed.get("drives").unwrap_or(&listed).as_array().context("a list of drives")?;
    for drive in drives.iter().filter(|drive| drive.get("state").is_some_and(|state| state == "unreadable")) {
        let path = Path::new(drive.get("path").and_then(Value::as_str).context("path")?);
        crate::census::Harm::Emptied.inflict(path, &mut crate::content::Choices::new(0))?;
    }
    // It fails if anything is left damaged.
    server.admin(&["heal", "--json"]).await?;
    Ok(())
}

/// Waits until every volume has all its shards, with so much parity at least.
pub async fn wait_complete(server: &Server, parity_min: usize) -> Result<()> {
    wait_for(server, "every volume is complete", async |volumes| {
        Census::take(server.drive_paths())?.ensure_complete(volumes, parity_min)
    })
    .await
}

/// Waits until what was never acknowledged takes no room: no volume has files that no row tells of, and no sealed one has
/// bytes behind its committed end. Uploads that nobody will complete are ended first.
pub async fn wait_reclaimed(server: &Server, bucket: &str) -> Result<()> {
    abort_uploads(server, bucket).await?;
    wait_for(server, "what was left behind is gone", async |volumes| {
        let listed = volumes.as_array().context("a list of volumes")?;
        for path in server.drive_paths() {
            for file in shard_files(path)? {
                ensure_wanted(&file, listed)?;
            }
        }
        Ok(())
    })
    .await
}

/// Fails if a shard file is nobody's, or longer than what is committed of it.
fn ensure_wanted(file: &Path, volumes: &[Value]) -> Result<()> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let id = name.split('-').next().unwrap_or_default();
    let volume = volumes.iter().find(|volume| volume.get("id").is_some_and(|listed| listed == id));
    let volume = volume.with_context(|| format!("{name} is of no volume"))?;
    let committed = volume.get("committed_bytes").and_then(Value::as_u64).context("committed_bytes")?;
    // It may be removed at any time, or be open to maintenance.
    let Ok(length) = std::fs::metadata(file).map(|metadata| metadata.len()) else { return Ok(()) };
    let is_sealed = volume.get("state").is_some_and(|state| state == "sealed");
    ensure!(!is_sealed || length <= committed.max(HEADER_BYTES), "{name} has {length} bytes of {committed}");
    Ok(())
}

/// Ends every upload in progress, and makes sure that none is left.
pub async fn abort_uploads(server: &Server, bucket: &str) -> Result<()> {
    let client = server.client()?;
    let listed = client.list_multipart_uploads().bucket(bucket).send().await?;
    for upload in listed.uploads() {
        let abort = client.abort_multipart_upload().bucket(bucket);
        abort.set_key(upload.key.clone()).set_upload_id(upload.upload_id.clone()).send().await?;
    }
    let listed = client.list_multipart_uploads().bucket(bucket).send().await?;
    ensure!(listed.uploads().is_empty(), "uploads are left: {:?}", listed.uploads());
    Ok(())
}

/// Reads and checks everything that is stored.
pub async fn scrub(server: &Server) -> Result<()> {
    let output = server.admin_output(&["scrub", "--json"]).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Value = serde_json::from_str(text.trim()).with_context(|| text.clone())?;
    ensure!(report.get("findings").is_some_and(|findings| findings == 0), "a scrub found damage: {text}");
    ensure!(output.status.success(), "the scrub failed: {text}");
    Ok(())
}

async fn wait_for(
    server: &Server,
    what: &str,
    mut holds: impl AsyncFnMut(&Value) -> Result<()>,
) -> Result<()> {
    let mut last = None;
    let waited = wait(what, PATIENCE, async || {
        let volumes = json(server, &["volume", "list", "--json"]).await?;
        // The list and the files are looked at one after the other, and maintenance goes on in between.
        last = holds(&volumes).await.err();
        Ok(last.is_none())
    })
    .await;
    waited.with_context(|| format!("{last:?}"))
}

async fn json(server: &Server, args: &[&str]) -> Result<Value> {
    let output = server.admin(args).await?;
    serde_json::from_str(output.trim()).with_context(|| output.clone())
}
