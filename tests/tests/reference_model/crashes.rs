//! Ends of the server: drained, killed at rest, killed at work.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use granary_tests::client::decided;
use tokio::task::JoinSet;

use crate::model::{Condition, Object};
use crate::world::{BUCKET, World};

const PUTS_IN_FLIGHT: usize = 16;

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

/// Kills the server while puts are in flight. What was acknowledged must be there; of the rest, each
/// key holds the old object or the new one, whole; the model then learns which.
pub(crate) async fn kill_amid_puts(world: &mut World) {
    let keys = world.distinct_keys(PUTS_IN_FLIGHT);
    let delay = Duration::from_micros(world.choices.below(40_000));
    world.note(format!("SIGKILL {delay:?} into puts of {keys:?}"));
    let objects: Vec<Object> = keys.iter().map(|_| Object::new(world.body(), "")).collect();
    let mut puts = JoinSet::new();
    for (number, (key, object)) in keys.iter().zip(&objects).enumerate() {
        let put = world.client.put_object().bucket(BUCKET).key(key);
        let put = put.body(ByteStream::from(object.body.clone()));
        puts.spawn(async move { decided(put.send().await).ok().map(|decision| decision.map(|_| number)) });
    }
    tokio::time::sleep(delay).await;
    world.server.kill().unwrap();
    let mut acknowledged = vec![false; keys.len()];
    for number in puts.join_all().await.into_iter().flatten() {
        acknowledged[number.unwrap()] = true;
    }
    world.server.launch().await.unwrap();
    world.client = world.server.client().unwrap();
    for ((key, object), acknowledged) in keys.iter().zip(objects).zip(acknowledged) {
        // Two objects may have the same body and still differ in what is said of them.
        let now = world.read(key).await.ok().map(|(body, _, origin)| (body, origin));
        let new = (object.body.clone(), object.origin.clone());
        let is_new = now.as_ref() == Some(&new);
        let old: Option<(Bytes, String)> =
            world.model.objects.get(key).map(|old| (old.body.clone(), old.origin.clone()));
        if !is_new && (acknowledged || now != old) {
            let length = |object: &Option<(Bytes, String)>| object.as_ref().map(|(body, _)| body.len());
            let lengths = (length(&now), length(&old), object.body.len());
            world.disagree(&format!(
                "{key:?} acknowledged {acknowledged}: (now, old, new) = {lengths:?} bytes"
            ));
        }
        if is_new {
            world.model.put(key, object, &Condition::Always).unwrap();
        }
    }
    world.compare_everything().await;
}
