//! Operations on whole objects.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use granary_tests::client::decided;
use tokio::task::JoinSet;

use crate::model::{Condition, Object, Span};
use crate::world::{BUCKET, World};

const BURST: usize = 12;

impl Condition {
    /// The values of `If-Match` and `If-None-Match`.
    pub(crate) fn headers(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Always => (None, None),
            Self::IfAbsent => (None, Some("*".to_owned())),
            Self::IfPresent => (Some("*".to_owned()), None),
            Self::IfMatch(etag) => (Some(etag.clone()), None),
        }
    }
}

pub(crate) fn condition(world: &mut World, key: &str) -> Condition {
    let current = world.model.objects.get(key).map(|object| object.etag.clone());
    condition_on(world, current)
}

/// Seldom one that fails for sure: `current` is the ETag of what is there.
pub(crate) fn condition_on(world: &mut World, current: Option<String>) -> Condition {
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
    let request = world.client.put_object().bucket(BUCKET).key(&key).metadata("origin", &origin);
    let (if_match, if_none_match) = condition.headers();
    let request = request.set_if_match(if_match).set_if_none_match(if_none_match);
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
    let width = match world.choices.below(3) {
        0 => world.choices.below(10),
        1 => world.choices.below(200_000),
        _ => world.choices.below(length + 10),
    } as usize;
    let span = match world.choices.below(5) {
        0 => Span::From(first),
        1 => Span::Last(width),
        _ => Span::Closed(first, first + width),
    };
    world.note(format!("{span} of {key:?}"));
    let request = world.client.get_object().bucket(BUCKET).key(&key).range(span.to_string());
    let real = match decided(request.send().await).unwrap() {
        Ok(got) => {
            let told = got.content_range().unwrap_or_default().to_owned();
            Ok((told, got.body.collect().await.unwrap().into_bytes()))
        }
        Err(refusal) => Err(refusal),
    };
    let expected = world
        .model
        .range(&key, span)
        .map(|(first, body)| (format!("bytes {first}-{}/{length}", first + body.len() - 1), body));
    world.agree(&real, &expected);
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

/// Deletes ask more often than other writes what is there.
pub(crate) fn delete_condition(world: &mut World, current: Option<String>) -> Condition {
    match world.choices.below(4) {
        0 => Condition::IfPresent,
        1 => match condition_on(world, current) {
            // A delete of what is absent is no request that anybody makes.
            Condition::IfAbsent => Condition::IfPresent,
            condition => condition,
        },
        _ => Condition::Always,
    }
}

pub(crate) async fn delete(world: &mut World) {
    let key = world.key();
    let current = world.model.objects.get(&key).map(|object| object.etag.clone());
    let condition = delete_condition(world, current);
    world.note(format!("delete {key:?} {condition:?}"));
    let request = world.client.delete_object().bucket(BUCKET).key(&key).set_if_match(condition.headers().0);
    let real = decided(request.send().await).unwrap();
    let expected = world.model.delete(&key, &condition);
    world.agree(&real.map(|_| ()), &expected);
    world.compare_object(&key).await;
}

/// One key may be named twice, so that the second finds what the first left.
pub(crate) async fn delete_many(world: &mut World) {
    let count = 1 + world.choices.below(8) as usize;
    let mut keys = world.distinct_keys(count);
    if world.choices.chance(20) {
        keys.push(keys[0].clone());
    }
    let quiet = world.choices.chance(30);
    let mut targets = Vec::new();
    for key in keys {
        let current = world.model.objects.get(&key).map(|object| object.etag.clone());
        let condition = delete_condition(world, current);
        targets.push((key, condition));
    }
    world.note(format!("delete {targets:?}, quiet {quiet}"));
    let identifiers = targets.iter().map(|(key, condition)| {
        ObjectIdentifier::builder().key(key).set_e_tag(condition.headers().0).build().unwrap()
    });
    let delete = Delete::builder().quiet(quiet).set_objects(Some(identifiers.collect())).build().unwrap();
    let answer = world.client.delete_objects().bucket(BUCKET).delete(delete).send().await;
    let real = decided(answer).unwrap().map(|answer| {
        let deleted = answer.deleted().iter().filter_map(|item| item.key.clone()).collect::<Vec<_>>();
        let refused = answer.errors().iter().filter_map(|item| Some((item.key.clone()?, item.code.clone()?)));
        (deleted, refused.collect::<Vec<_>>())
    });
    let (mut deleted, mut refused) = (Vec::new(), Vec::new());
    for (key, condition) in targets {
        match world.model.delete(&key, &condition) {
            Ok(()) if quiet => {}
            Ok(()) => deleted.push(key),
            Err(refusal) => refused.push((key, refusal.code)),
        }
    }
    world.agree(&real, &Ok((deleted, refused)));
}
