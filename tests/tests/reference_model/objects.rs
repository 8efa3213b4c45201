//! Operations on whole objects.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use granary_tests::client::{Refusal, decided};
use tokio::task::JoinSet;

use crate::model::{Condition, Object};
use crate::world::{BUCKET, World};

const BURST: usize = 12;

pub(crate) fn condition(world: &mut World, key: &str) -> Condition {
    let current = world.model.objects.get(key).map(|object| object.etag.clone());
    match world.choices.below(10) {
        0 => Condition::IfAbsent,
        1 => Condition::IfMatch(current.unwrap_or_else(|| crate::model::etag_of(b"nothing"))),
        2 => Condition::IfMatch(crate::model::etag_of(b"stale")),
        _ => Condition::Always,
    }
}

pub(crate) async fn put(world: &mut World) {
    let (key, body) = (world.key(), world.body());
    let condition = condition(world, &key);
    let origin = world.choices.below(1000).to_string();
    world.note(format!("put {key:?} {} bytes {condition:?}", body.len()));
    let mut request = world.client.put_object().bucket(BUCKET).key(&key).metadata("origin", &origin);
    match &condition {
        Condition::Always => {}
        Condition::IfAbsent => request = request.if_none_match("*"),
        Condition::IfMatch(etag) => request = request.if_match(etag),
    }
    let sent = request.body(ByteStream::from(body.clone())).send().await;
    let real = decided(sent).unwrap().map(|put| put.e_tag.unwrap_or_default());
    let expected = world.model.put(&key, Object::new(body, &origin), &condition);
    world.agree(&real, &expected);
}

pub(crate) async fn put_burst(world: &mut World) {
    let keys = world.distinct_keys(BURST);
    world.note(format!("put at once {keys:?}"));
    let bodies: Vec<Bytes> = keys.iter().map(|_| world.body()).collect();
    let mut puts = JoinSet::new();
    for (key, body) in keys.iter().zip(&bodies) {
        let put = world.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body.clone()));
        puts.spawn(async move { decided(put.send().await).unwrap().unwrap() });
    }
    puts.join_all().await;
    for (key, body) in keys.iter().zip(bodies) {
        world.model.put(key, Object::new(body, ""), &Condition::Always).unwrap();
    }
    for key in keys {
        world.compare_object(&key).await;
    }
}

pub(crate) async fn get(world: &mut World) {
    let key = world.key();
    world.note(format!("get {key:?}"));
    world.compare_object(&key).await;
}

pub(crate) async fn range(world: &mut World) {
    let key = world.key();
    let length = world.model.objects.get(&key).map_or(10, |object| object.body.len()) as u64;
    let first = world.choices.below(length + length / 10 + 2) as usize;
    let span = match world.choices.below(3) {
        0 => world.choices.below(10),
        1 => world.choices.below(200_000),
        _ => world.choices.below(length + 10),
    };
    let last = first + span as usize;
    world.note(format!("range {first}-{last} of {key:?}"));
    let request = world.client.get_object().bucket(BUCKET).key(&key).range(format!("bytes={first}-{last}"));
    let real = match decided(request.send().await).unwrap() {
        Ok(got) => Ok(got.body.collect().await.unwrap().into_bytes()),
        Err(refusal) => Err(refusal),
    };
    world.agree(&real, &world.model.range(&key, first, last));
}

pub(crate) async fn head(world: &mut World) {
    let key = world.key();
    world.note(format!("head {key:?}"));
    let head = decided(world.client.head_object().bucket(BUCKET).key(&key).send().await).unwrap();
    let real = head
        .map_err(|refusal| refusal.status)
        .map(|head| (head.content_length.unwrap_or_default() as usize, head.e_tag.unwrap_or_default()));
    let expected = world.model.get(&key).map_err(|refusal| refusal.status);
    let expected = expected.map(|object| (object.body.len(), object.etag.clone()));
    if real != expected {
        world.disagree(&format!("head {key:?}: real {real:?}, model {expected:?}"));
    }
}

pub(crate) async fn delete(world: &mut World) {
    let key = world.key();
    world.note(format!("delete {key:?}"));
    let real = decided(world.client.delete_object().bucket(BUCKET).key(&key).send().await).unwrap();
    world.model.objects.remove(&key);
    world.agree(&real.map(|_| ()), &Ok(()));
}

pub(crate) async fn delete_many(world: &mut World) {
    let count = 1 + world.choices.below(8) as usize;
    let keys = world.distinct_keys(count);
    let quiet = world.choices.chance(30);
    world.note(format!("delete {keys:?}, quiet {quiet}"));
    let identifiers = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().quiet(quiet).set_objects(Some(identifiers.collect())).build().unwrap();
    let answer = world.client.delete_objects().bucket(BUCKET).delete(delete).send().await;
    let real = decided(answer).unwrap().map(|answer| {
        let mut deleted: Vec<_> = answer.deleted().iter().filter_map(|item| item.key.clone()).collect();
        deleted.sort();
        (deleted, answer.errors().len())
    });
    for key in &keys {
        world.model.objects.remove(key);
    }
    let mut expected = if quiet { Vec::new() } else { keys };
    expected.sort();
    world.agree(&real, &Ok((expected, 0)));
}

pub(crate) async fn copy(world: &mut World) {
    let (from, to) = (world.key(), world.key());
    if from == to {
        return;
    }
    world.note(format!("copy {from:?} to {to:?}"));
    let source = format!("{BUCKET}/{}", percent_encode(&from));
    let answer = world.client.copy_object().bucket(BUCKET).key(&to).copy_source(source).send().await;
    let real = decided(answer)
        .unwrap()
        .map(|copied| copied.copy_object_result.and_then(|result| result.e_tag).unwrap_or_default());
    let expected: Result<String, Refusal> = world.model.copy(&from, &to);
    world.agree(&real, &expected);
}

/// Every byte but the plainest, encoded.
pub(crate) fn percent_encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(byte);
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
