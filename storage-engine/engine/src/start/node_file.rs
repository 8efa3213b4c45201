//! Which node has a drive, kept beside the drive's identity. A node is its drives: whoever starts with them is that node.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use granary_types::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};

const FILE: &str = "granary-node.json";
const FILE_NEW: &str = ".granary-node.json.new";
const LENGTH_BYTES_MAX: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct Kept {
    node: String,
    cluster: String,
}

/// The node that the drives belong to; a new one if none of them says.
///
/// # Errors
/// When they say different things, or one cannot be understood.
pub(super) fn find(data: &[PathBuf]) -> Result<NodeId> {
    let mut found: Option<(NodeId, &Path)> = None;
    for directory in data {
        let Some(node) = read(directory)? else { continue };
        match found {
            Some((other, first)) if other != node => {
                return Err(EngineError::Layout(format!(
                    "{} is a drive of node {other} and {} of node {node}: drives of two nodes are mixed",
                    first.display(),
                    directory.display()
                )));
            }
            _ => found = Some((node, directory)),
        }
    }
    match found {
        Some((node, _)) => Ok(node),
        None => NodeId::random().map_err(|source| EngineError::Io { context: "drawing ids", source }),
    }
}

fn read(directory: &Path) -> Result<Option<NodeId>> {
    let path = directory.join(FILE);
    let damaged = || EngineError::Layout(format!("{} is damaged", path.display()));
    match fs::metadata(&path) {
        // A drive that cannot be read is told of when it is opened; the others say the same.
        Err(_) => return Ok(None),
        Ok(metadata) if metadata.len() > LENGTH_BYTES_MAX => return Err(damaged()),
        Ok(_) => {}
    }
    let Ok(text) = fs::read(&path) else { return Ok(None) };
    let kept: Kept = serde_json::from_slice(&text).map_err(|_| damaged())?;
    kept.node.parse().map(Some).map_err(|_| damaged())
}

/// Keeps the node's id on a drive, if it is not there yet.
pub(super) fn write(directory: &Path, node: NodeId, cluster: ClusterId) -> Result<()> {
    if read(directory)? == Some(node) {
        return Ok(());
    }
    let kept = Kept { node: node.to_string(), cluster: cluster.to_string() };
    let write = || -> io::Result<()> {
        let temporary = directory.join(FILE_NEW);
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(FILE))?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|source| EngineError::Io { context: "keeping the node's id", source })
}
