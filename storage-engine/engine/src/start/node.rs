//! Starting as one of several nodes: which store the database belongs to decides what becomes of the drives.
//!
//! Nothing is written to a drive before the database has been asked, so that a mistyped URL neither mixes two stores nor
//! makes a new one of the drives of another.

use std::collections::HashSet;
use std::sync::Arc;

use granary_drive::{Found, inspect};
use granary_metadata::postgres::{PostgresStore, newest_schema};
use granary_metadata::{DriveState, Membership, MetadataStore, NewNode};
use granary_types::{ClusterId, DriveId, NodeId};
use tokio::net::TcpListener;

use super::node_file;
use super::resize::resize;
use super::{Metadata, Opened, blocking, open_drives_of, record_drives, retire_replaced};
use crate::error::{EngineError, Result};
use crate::nodes::{Join, NodeOptions};
use crate::options::{EngineOptions, MetadataChoice};

/// A node that may begin.
pub(crate) struct NodeStart {
    pub id: NodeId,
    pub membership: Arc<dyn Membership>,
    pub listener: TcpListener,
}

/// Opens the metadata and the drives of a node.
///
/// # Errors
/// [`EngineError::Layout`] when the drives and the database do not belong together, and what opening them gives.
pub(crate) async fn open_node(
    options: &EngineOptions,
    node: &NodeOptions,
) -> Result<(Opened, Metadata, NodeStart)> {
    let MetadataChoice::Postgres(postgres) = &options.metadata else {
        return Err(EngineError::Layout(
            "several nodes need metadata that all of them reach: give a postgres:// URL".to_owned(),
        ));
    };
    let listening = TcpListener::bind(node.listen).await;
    let listener =
        listening.map_err(|source| EngineError::Io { context: "listening for other nodes", source })?;
    let data = options.data.clone();
    let (id, found) = blocking(move || Ok((node_file::find(&data)?, cluster_of(&data)))).await?;
    let mut postgres = postgres.as_ref().clone();
    postgres.node = Some(id);
    let store = Arc::new(PostgresStore::open(postgres).await?);
    let membership = store.membership();
    let cluster = decide(membership.as_ref(), found, node.join).await?;
    let mut opening = options.clone();
    let retired = retired_drives(membership.as_ref()).await?;
    let (data, join) = (options.data.clone(), node.join);
    opening.data = blocking(move || resize(&data, &retired, join)).await?;
    let opened = blocking(move || open_drives_of(&opening, Some(cluster))).await?;
    check_members(membership.as_ref(), &opened, id).await?;
    let (drives, written) = (opened.drives.clone(), cluster);
    blocking(move || drives.iter().try_for_each(|drive| node_file::write(drive.directory(), id, written)))
        .await?;
    let listed = membership.node_drives().await?.into_iter().filter(|listed| listed.node == Some(id));
    retire_replaced(store.as_ref(), listed.map(|listed| listed.drive), &opened.members).await?;
    // Whoever sees the node sees its drives too: the code of new volumes follows from their number.
    record_drives(store.as_ref(), options, &opened.drives).await?;
    let joined = membership.join(NewNode {
        id,
        address: node.address.clone(),
        zone: node.zone.clone(),
        version: node.version.clone(),
        schema: newest_schema(),
    });
    if !joined.await? {
        return Err(EngineError::Layout(format!(
            "this node ({id}) was removed from the store; to use its drives again, empty them and join anew"
        )));
    }
    let fail_overs = Some(store.fail_overs());
    let metadata = Metadata { store: store as Arc<dyn MetadataStore>, embedded: None, fail_overs };
    Ok((opened, metadata, NodeStart { id, membership, listener }))
}

async fn retired_drives(membership: &dyn Membership) -> Result<HashSet<DriveId>> {
    let listed = membership.node_drives().await?.into_iter();
    let retired = listed.filter(|listed| listed.drive.state == DriveState::Retired);
    Ok(retired.map(|listed| listed.drive.id).collect())
}

/// The store that any of the drives belongs to.
fn cluster_of(data: &[std::path::PathBuf]) -> Option<ClusterId> {
    data.iter().find_map(|path| match inspect(path) {
        Found::Drive(identity) => Some(identity.cluster),
        _ => None,
    })
}

/// Which store the drives belong to from now on. `found` is the one they belong to already.
async fn decide(membership: &dyn Membership, found: Option<ClusterId>, join: Join) -> Result<ClusterId> {
    let mut known = membership.cluster().await?;
    let drives = membership.node_drives().await?;
    let is_used = drives.iter().any(|listed| listed.drive.state == DriveState::Active);
    if known.is_none() && is_used {
        // Another node may have founded the store in between: each does before it tells of its drives.
        known = membership.cluster().await?;
    }
    match (found, known) {
        (Some(ours), Some(known)) if ours == known => Ok(ours),
        (Some(ours), Some(known)) => Err(EngineError::Layout(format!(
            "the drives belong to store {ours} and the database to store {known}: is this the right database?"
        ))),
        // A store of one machine becomes one of nodes.
        (Some(ours), None) if is_used => claim(membership, ours).await,
        (Some(_), None) => Err(EngineError::Layout(
            "the database is empty and the drives hold a store: is this the right database?".to_owned(),
        )),
        (None, Some(known)) if !is_used || join == Join::Allowed => Ok(known),
        (None, Some(known)) => Err(EngineError::Layout(format!(
            "the drives are empty and the database belongs to store {known}: give --join if this node is to join it"
        ))),
        (None, None) if is_used => Err(EngineError::Layout(
            "the database belongs to a store of one machine: start that one with --node-listen first"
                .to_owned(),
        )),
        (None, None) => {
            let drawn = ClusterId::random();
            let drawn = drawn.map_err(|source| EngineError::Io { context: "drawing ids", source })?;
            let founded = membership.found(drawn).await?;
            if founded != drawn && join == Join::Never {
                return Err(EngineError::Layout(format!(
                    "another node made store {founded} in this database meanwhile: give --join if this node is to join it"
                )));
            }
            Ok(founded)
        }
    }
}

async fn claim(membership: &dyn Membership, ours: ClusterId) -> Result<ClusterId> {
    let founded = membership.found(ours).await?;
    if founded == ours {
        Ok(ours)
    } else {
        Err(EngineError::Layout(format!("the database belongs to store {founded}")))
    }
}

/// Refuses drives that are another node's, or that the store has given up, and a database that does not know them.
async fn check_members(membership: &dyn Membership, opened: &Opened, node: NodeId) -> Result<()> {
    let listed = membership.node_drives().await?;
    let ours: HashSet<DriveId> = opened.members.iter().copied().collect();
    for known in listed.iter().filter(|known| ours.contains(&known.drive.id)) {
        let drive = known.drive.id;
        if known.drive.state == DriveState::Retired {
            return Err(EngineError::Layout(format!(
                "drive {drive} was replaced or removed with its node; to use its directory again, empty it and join anew"
            )));
        }
        if known.node.is_some_and(|other| other != node) {
            return Err(EngineError::Layout(format!("drive {drive} belongs to another node")));
        }
    }
    let is_known = listed.iter().any(|known| ours.contains(&known.drive.id));
    if !opened.fresh && !is_known {
        return Err(EngineError::Layout(
            "the database does not know these drives: it is older than they are, or not the right one"
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
