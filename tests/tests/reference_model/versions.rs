//! Operations on a bucket whose versioning is switched on and off.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, Delete, ObjectIdentifier, VersioningConfiguration};
use granary_tests::client::decided;

use crate::copies::percent_encode;
use crate::objects::{condition_on, delete_condition};
use crate::versioned_model::{Line, Status};
use crate::world::{VERSIONED, World};

/// An id that no version has.
const NO_VERSION: &str = "0123456789abcdef0123456789abcdef";

/// The id of a version of the key, or one that is none.
fn any_version(world: &mut World, key: &str) -> String {
    let versions = world.versions.keys.get(key).map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<String> = versions.iter().map(|version| version.id.clone()).collect();
    match world.choices.pick(&ids) {
        Some(id) if !world.choices.chance(10) => id.clone(),
        _ => NO_VERSION.to_owned(),
    }
}

pub(crate) async fn step(world: &mut World) {
    match world.choices.below(100) {
        0..28 => put(world).await,
        28..40 => delete(world).await,
        40..55 => delete_version(world).await,
        55..60 => delete_many(world).await,
        60..75 => get(world).await,
        75..83 => copy(world).await,
        83..95 => list(world).await,
        _ => switch(world).await,
    }
}

async fn switch(world: &mut World) {
    let (status, sent) = if world.choices.chance(65) {
        (Status::Enabled, BucketVersioningStatus::Enabled)
    } else {
        (Status::Suspended, BucketVersioningStatus::Suspended)
    };
    world.note(format!("versioning {status:?}"));
    let configuration = VersioningConfiguration::builder().status(sent.clone()).build();
    let request = world.client.put_bucket_versioning().bucket(VERSIONED);
    decided(request.versioning_configuration(configuration).send().await).unwrap().unwrap();
    world.versions.status = status;
    let now = decided(world.client.get_bucket_versioning().bucket(VERSIONED).send().await).unwrap().unwrap();
    if now.status != Some(sent) {
        world.disagree(&format!("versioning is {:?}", now.status));
    }
}

async fn put(world: &mut World) {
    let (key, body) = (world.key(), world.body());
    let current = world.versions.current_etag(&key);
    let condition = condition_on(world, current);
    world.note(format!("put a version of {key:?}, {} bytes {condition:?}", body.len()));
    let (if_match, if_none_match) = condition.headers();
    let request = world.client.put_object().bucket(VERSIONED).key(&key);
    let request = request.set_if_match(if_match).set_if_none_match(if_none_match);
    match (decided(request.body(ByteStream::from(body.clone())).send().await).unwrap(), &condition) {
        (Ok(put), condition) if world.versions.check(&key, condition).is_ok() => {
            written(world, &key, put.version_id(), Some(body));
        }
        (real, condition) => world.agree(&real.map(drop), &world.versions.check(&key, condition)),
    }
}

fn written(world: &mut World, key: &str, id: Option<&str>, body: Option<bytes::Bytes>) {
    if !world.versions.fits(key, id) {
        world.disagree(&format!("{key:?} got version {id:?} while {:?}", world.versions.status));
    }
    world.versions.push(key, id, body);
}

async fn delete(world: &mut World) {
    let key = world.key();
    let current = world.versions.current_etag(&key);
    let condition = delete_condition(world, current);
    world.note(format!("delete {key:?} among versions {condition:?}"));
    let request =
        world.client.delete_object().bucket(VERSIONED).key(&key).set_if_match(condition.headers().0);
    let gone = match decided(request.send().await).unwrap() {
        Ok(gone) if world.versions.check(&key, &condition).is_ok() => gone,
        real => return world.agree(&real.map(drop), &world.versions.check(&key, &condition)),
    };
    if world.versions.status == Status::Never {
        world.versions.delete(&key, "null");
        world.agree(&Ok((gone.delete_marker, gone.version_id)), &Ok((None, None)));
        return;
    }
    world.agree(&Ok(gone.delete_marker), &Ok(Some(true)));
    written(world, &key, gone.version_id(), None);
}

async fn delete_version(world: &mut World) {
    let key = world.key();
    let id = any_version(world, &key);
    world.note(format!("delete version {id} of {key:?}"));
    let request = world.client.delete_object().bucket(VERSIONED).key(&key).version_id(&id);
    let gone = decided(request.send().await).unwrap().unwrap();
    let marker = world.versions.delete(&key, &id).then_some(true);
    world.agree(&Ok((gone.delete_marker, gone.version_id)), &Ok((marker, Some(id))));
}

async fn delete_many(world: &mut World) {
    let keys = world.distinct_keys(4);
    let targets: Vec<(String, String)> =
        keys.iter().map(|key| (key.clone(), any_version(world, key))).collect();
    world.note(format!("delete versions {targets:?}"));
    let identifiers =
        targets.iter().map(|(key, id)| ObjectIdentifier::builder().key(key).version_id(id).build().unwrap());
    let delete = Delete::builder().set_objects(Some(identifiers.collect())).build().unwrap();
    let answer = world.client.delete_objects().bucket(VERSIONED).delete(delete).send().await;
    let answer = decided(answer).unwrap().unwrap();
    let real: Vec<_> = answer
        .deleted()
        .iter()
        .map(|item| (item.key.clone().unwrap(), item.version_id.clone().unwrap(), item.delete_marker))
        .collect();
    let expected: Vec<_> = targets
        .into_iter()
        .map(|(key, id)| {
            let marker = world.versions.delete(&key, &id).then_some(true);
            (key, id, marker)
        })
        .collect();
    world.agree(&Ok(real), &Ok(expected));
}

async fn get(world: &mut World) {
    let key = world.key();
    let id = if world.choices.chance(60) { Some(any_version(world, &key)) } else { None };
    world.note(format!("get version {id:?} of {key:?}"));
    compare_version(world, &key, id.as_deref()).await;
}

async fn compare_version(world: &World, key: &str, id: Option<&str>) {
    let request = world.client.get_object().bucket(VERSIONED).key(key).set_version_id(id.map(str::to_owned));
    let real = match decided(request.send().await).unwrap() {
        Ok(got) => Ok(got.body.collect().await.unwrap().into_bytes()),
        Err(refusal) => Err(refusal),
    };
    world.agree(&real, &world.versions.get(key, id));
}

async fn copy(world: &mut World) {
    let (from, to) = (world.key(), world.key());
    let id = any_version(world, &from);
    world.note(format!("copy version {id} of {from:?} to {to:?}"));
    let source = format!("{VERSIONED}/{}?versionId={id}", percent_encode(&from));
    let answer = world.client.copy_object().bucket(VERSIONED).key(&to).copy_source(source).send().await;
    match (decided(answer).unwrap(), world.versions.get(&from, Some(&id))) {
        (Ok(copied), Ok(body)) => written(world, &to, copied.version_id(), Some(body)),
        // A marker that is named as a source is no allowed method but an invalid request.
        (Err(real), Err(expected)) if (real.status, expected.status) == (400, 405) => {}
        (real, expected) => world.agree(&real.map(drop), &expected.map(drop)),
    }
}

async fn list(world: &mut World) {
    let prefix = *world.choices.pick(&["", "a", "a/", "b/", "dir/", "z/"]).unwrap();
    let delimiter = world.choices.chance(40).then_some("/");
    let page = 1 + i32::try_from(world.choices.below(9)).unwrap();
    world.note(format!("list versions below {prefix:?} by {page}, delimiter {delimiter:?}"));
    compare_list(world, prefix, delimiter, page).await;
}

async fn compare_list(world: &World, prefix: &str, delimiter: Option<&str>, page: i32) {
    let (mut real, mut key_marker, mut version_marker) = (Vec::new(), None, None);
    loop {
        let request = world.client.list_object_versions().bucket(VERSIONED).prefix(prefix).max_keys(page);
        let request = request.set_delimiter(delimiter.map(str::to_owned)).set_key_marker(key_marker);
        let answer = decided(request.set_version_id_marker(version_marker).send().await).unwrap().unwrap();
        let mut lines: Vec<(String, Line)> = Vec::new();
        for version in answer.versions() {
            let (key, etag) = (version.key.clone().unwrap(), version.e_tag.clone());
            let (id, latest) = (version.version_id.clone().unwrap(), version.is_latest.unwrap());
            lines.push((key.clone(), Line::Version { key, id, latest, etag }));
        }
        for marker in answer.delete_markers() {
            let key = marker.key.clone().unwrap();
            let (id, latest) = (marker.version_id.clone().unwrap(), marker.is_latest.unwrap());
            lines.push((key.clone(), Line::Version { key, id, latest, etag: None }));
        }
        for folded in answer.common_prefixes() {
            let folded = folded.prefix.clone().unwrap();
            lines.push((folded.clone(), Line::Prefix(folded)));
        }
        if i32::try_from(lines.len()).unwrap() > page {
            world.disagree("a page is too long");
        }
        real.extend(lines);
        if answer.is_truncated != Some(true) {
            break;
        }
        (key_marker, version_marker) = (answer.next_key_marker, answer.next_version_id_marker);
    }
    // The SDK gives versions and markers apart, so their order within a key is seen by the page that ends in it.
    let sorted = |mut lines: Vec<(String, Line)>| {
        lines.sort_by_key(|(key, line)| (key.clone(), format!("{line:?}")));
        lines
    };
    let expected = world.versions.list(prefix, delimiter).into_iter().map(|line| match &line {
        Line::Version { key, .. } | Line::Prefix(key) => (key.clone(), line.clone()),
    });
    world.agree(&Ok(sorted(real)), &Ok(sorted(expected.collect())));
}

/// Every version there is, and both listings.
pub(crate) async fn compare_everything(world: &World) {
    for (key, versions) in &world.versions.keys {
        compare_version(world, key, None).await;
        for version in versions {
            compare_version(world, key, Some(&version.id)).await;
        }
    }
    compare_list(world, "", None, 1000).await;
    let plain = decided(world.client.list_objects_v2().bucket(VERSIONED).send().await).unwrap().unwrap();
    let keys = plain.contents().iter().filter_map(|object| object.key.clone()).collect();
    world.agree(&Ok(keys), &Ok(world.versions.current_keys()));
}
