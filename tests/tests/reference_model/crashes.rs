//! Ends of the server: drained, killed at rest, killed at work.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use granary_tests::client::{Refusal, decided};
use tokio::task::JoinSet;

use crate::copies::source_of;
use crate::model::{Condition, Object, etag_of};
use crate::multipart::{completed_upload, listed_parts};
use crate::world::{BUCKET, World};

const KEYS_IN_FLIGHT: usize = 16;

pub(crate) async fn stop_and_restart(world: &mut World) {
    world.note("SIGTERM and restart".to_owned());
    world.server.stop_and_restart().await.unwrap();
    world.client = world.server.client().unwrap();
    world.compare_everything().await;
}

pub(crate) async fn kill_and_restart(world: &mut World) {
    world.note("SIGKILL and restart".to_owned());
    world.server.kill_and_restart().await.unwrap();
    world.client = world.server.client().unwrap();
    world.compare_everything().await;
}

/// A write that the server may die in. No two of them touch the same key or the same upload.
#[derive(Clone, Debug)]
enum Flight {
    Put { key: String, object: Object },
    Copy { from: String, key: String, object: Object },
    Delete { key: String },
    DeleteMany { keys: Vec<String> },
    Complete { id: String, key: String, claimed: Vec<(i32, String)>, object: Object },
    PutPart { id: String, key: String, number: i32, body: Bytes },
    Abort { id: String, key: String },
}

impl Flight {
    /// What each key of the write holds once it is done.
    fn outcomes(&self) -> Vec<(&str, Option<&Object>)> {
        match self {
            Self::Put { key, object }
            | Self::Copy { key, object, .. }
            | Self::Complete { key, object, .. } => {
                vec![(key, Some(object))]
            }
            Self::Delete { key } => vec![(key, None)],
            Self::DeleteMany { keys } => keys.iter().map(|key| (key.as_str(), None)).collect(),
            Self::PutPart { .. } | Self::Abort { .. } => Vec::new(),
        }
    }

    /// In short, for the history.
    fn name(&self) -> String {
        match self {
            Self::Put { key, object } => format!("put {key:?} {}", object.body.len()),
            Self::Copy { from, key, .. } => format!("copy {from:?} to {key:?}"),
            Self::Delete { key } => format!("delete {key:?}"),
            Self::DeleteMany { keys } => format!("delete {keys:?}"),
            Self::Complete { key, .. } => format!("complete {key:?}"),
            Self::PutPart { key, number, body, .. } => format!("part {number} of {key:?} {}", body.len()),
            Self::Abort { key, .. } => format!("abort {key:?}"),
        }
    }

    /// Sends the write; tells whether it was acknowledged, and panics if it was refused.
    async fn send(self, client: Client) -> bool {
        match self {
            Self::Put { key, object } => {
                let put = client.put_object().bucket(BUCKET).key(key).metadata("origin", object.origin);
                is_done(decided(put.body(ByteStream::from(object.body)).send().await))
            }
            Self::Copy { from, key, .. } => {
                let copy = client.copy_object().bucket(BUCKET).key(key).copy_source(source_of(&from));
                is_done(decided(copy.send().await))
            }
            Self::Delete { key } => {
                is_done(decided(client.delete_object().bucket(BUCKET).key(key).send().await))
            }
            Self::DeleteMany { keys } => {
                let identifiers =
                    keys.iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
                let delete = Delete::builder().set_objects(Some(identifiers.collect())).build().unwrap();
                is_done(decided(client.delete_objects().bucket(BUCKET).delete(delete).send().await))
            }
            Self::Complete { id, key, claimed, .. } => {
                let complete = client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(id);
                is_done(decided(complete.multipart_upload(completed_upload(&claimed)).send().await))
            }
            Self::PutPart { id, key, number, body } => {
                let part = client.upload_part().bucket(BUCKET).key(key).upload_id(id).part_number(number);
                is_done(decided(part.body(ByteStream::from(body)).send().await))
            }
            Self::Abort { id, key } => {
                let abort = client.abort_multipart_upload().bucket(BUCKET).key(key).upload_id(id);
                is_done(decided(abort.send().await))
            }
        }
    }
}

/// Whether the write was acknowledged. A server that is killed may not answer, or its answer may break off; it refuses nothing.
fn is_done<T>(decision: anyhow::Result<Result<T, Refusal>>) -> bool {
    match decision {
        Ok(Ok(_)) => true,
        Ok(Err(refusal)) => {
            assert_eq!(refusal.status, 200, "{refusal:?}");
            false
        }
        Err(_) => false,
    }
}

/// Writes of every kind that can succeed as the model stands.
fn flights(world: &mut World) -> Vec<Flight> {
    let mut flights = Vec::new();
    let mut keys = world.distinct_keys(KEYS_IN_FLIGHT);
    let uploads: Vec<_> = world.model.uploads.clone().into_iter().collect();
    for (id, upload) in uploads {
        let key = upload.key.clone();
        let claimed: Vec<_> = upload.parts.iter().map(|(number, body)| (*number, etag_of(body))).collect();
        let mut done = world.model.clone();
        let completes = !claimed.is_empty() && done.complete(&id, &claimed, &Condition::Always).is_ok();
        let place = keys.iter().position(|other| *other == key);
        match (completes, place, world.choices.below(3)) {
            (true, Some(place), 0 | 1) => {
                keys.remove(place);
                let object = done.objects.remove(&key).unwrap();
                flights.push(Flight::Complete { id, key, claimed, object });
            }
            (_, _, 2) => flights.push(Flight::Abort { id, key }),
            _ => {
                let number = 1 + world.choices.below(3) as i32;
                flights.push(Flight::PutPart { id, key, number, body: world.body() });
            }
        }
    }
    // Sources of copies are keys that nothing else changes meanwhile.
    let written = keys.clone();
    let is_quiet = |key: &&String| !written.contains(key);
    let busy: Vec<String> =
        flights.iter().flat_map(Flight::outcomes).map(|(key, _)| key.to_owned()).collect();
    let sources: Vec<String> =
        world.model.objects.keys().filter(is_quiet).filter(|key| !busy.contains(key)).cloned().collect();
    while let Some(key) = keys.pop() {
        let source = world.choices.pick(&sources).cloned();
        flights.push(match (world.choices.below(10), source) {
            (0 | 1, Some(from)) => {
                let source = world.model.objects[&from].clone();
                let object = Object::new(source.body, &source.origin);
                Flight::Copy { from, key, object }
            }
            (2 | 3, _) => Flight::Delete { key },
            (4, _) => Flight::DeleteMany { keys: std::iter::once(key).chain(keys.pop()).collect() },
            _ => {
                let origin = world.choices.below(1000).to_string();
                Flight::Put { key, object: Object::new(world.body(), &origin) }
            }
        });
    }
    flights
}

/// Kills the server while writes are in flight. What was acknowledged must be done; of the rest, each
/// key holds the old object or the new one, whole; the model then learns which.
pub(crate) async fn kill_amid_writes(world: &mut World) {
    let flights = flights(world);
    let delay = Duration::from_micros(world.choices.below(40_000));
    let names: Vec<String> = flights.iter().map(Flight::name).collect();
    world.note(format!("SIGKILL {delay:?} into {names:?}"));
    let mut writes = JoinSet::new();
    for (number, flight) in flights.iter().enumerate() {
        let write = flight.clone().send(world.client.clone());
        writes.spawn(async move { (number, write.await) });
    }
    tokio::time::sleep(delay).await;
    world.server.kill().unwrap();
    let mut acknowledged = vec![false; flights.len()];
    for (number, is_done) in writes.join_all().await {
        acknowledged[number] = is_done;
    }
    world.server.launch().await.unwrap();
    world.client = world.server.client().unwrap();
    for (flight, acknowledged) in flights.iter().zip(acknowledged) {
        for (key, new) in flight.outcomes() {
            settle_key(world, key, new, acknowledged).await;
        }
        settle_upload(world, flight, acknowledged).await;
    }
    world.compare_everything().await;
}

async fn settle_key(world: &mut World, key: &str, new: Option<&Object>, acknowledged: bool) {
    let now = world.read(key).await.ok().map(|(body, etag, origin)| Object { body, etag, origin });
    let old = world.model.objects.get(key);
    let is_new = now.as_ref() == new;
    if !is_new && (acknowledged || now.as_ref() != old) {
        let length = |object: Option<&Object>| object.map(|object| object.body.len());
        let lengths = (length(now.as_ref()), length(old), length(new));
        world.disagree(&format!("{key:?} acknowledged {acknowledged}: (now, old, new) = {lengths:?} bytes"));
    }
    // Now it is the old one or the new one.
    match now {
        Some(object) => drop(world.model.objects.insert(key.to_owned(), object)),
        None => drop(world.model.objects.remove(key)),
    }
}

/// An upload ends together with the write of its object, or by an abort; a part is the old one or the new.
async fn settle_upload(world: &mut World, flight: &Flight, acknowledged: bool) {
    let (Flight::Complete { id, key, .. } | Flight::PutPart { id, key, .. } | Flight::Abort { id, key }) =
        flight
    else {
        return;
    };
    let parts = listed_parts(world, (id, key), 1000).await;
    let is_open = parts.is_ok();
    let is_done = match flight {
        Flight::Complete { key, object, .. } => {
            let is_there = world.model.objects.get(key) == Some(object);
            if is_there == is_open {
                world.disagree(&format!("{key:?} is completed: {is_there}, its upload is open: {is_open}"));
            }
            is_there
        }
        Flight::PutPart { number, body, .. } => {
            let new = (*number, body.len(), etag_of(body));
            parts.as_ref().is_ok_and(|parts| parts.contains(&new))
        }
        _ => !is_open,
    };
    if acknowledged && !is_done {
        world.disagree(&format!("acknowledged, and not done: {}", flight.name()));
    }
    match flight {
        Flight::PutPart { number, body, .. } if is_done => {
            world.model.upload(id).unwrap().parts.insert(*number, body.clone());
        }
        Flight::Complete { .. } | Flight::Abort { .. } if is_done => drop(world.model.uploads.remove(id)),
        _ => {}
    }
    world.agree(&parts, &world.model.parts(id));
}
