//! The multipart family, mistakes included.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use granary_tests::client::decided;

use crate::model::{Condition, PART_BYTES_MIN, Upload, etag_of};
use crate::objects::condition;
use crate::world::{BUCKET, World};

const UPLOADS_OPEN_MAX: usize = 4;

pub(crate) async fn create(world: &mut World) {
    if world.model.uploads.len() >= UPLOADS_OPEN_MAX {
        return abort(world).await;
    }
    let key = world.key();
    let origin = world.choices.below(1000).to_string();
    world.note(format!("create upload of {key:?}"));
    let request = world.client.create_multipart_upload().bucket(BUCKET).key(&key).metadata("origin", &origin);
    let created = decided(request.send().await).unwrap().unwrap();
    let id = created.upload_id.unwrap();
    world.model.uploads.insert(id, Upload { key, origin, parts: Default::default() });
}

/// An open upload and its key, or one that never was.
fn some_upload(world: &mut World) -> (String, String) {
    let open: Vec<(String, String)> =
        world.model.uploads.iter().map(|(id, upload)| (id.clone(), upload.key.clone())).collect();
    match world.choices.pick(&open) {
        Some(open) => open.clone(),
        None => ("bm8tc3VjaC11cGxvYWQ".to_owned(), world.key()),
    }
}

pub(crate) async fn put_part(world: &mut World) {
    let (id, key) = some_upload(world);
    let number = 1 + world.choices.below(3) as i32;
    let body = if world.choices.chance(50) {
        let more = world.choices.below(70_000) as usize;
        world.body_of(PART_BYTES_MIN + more)
    } else {
        world.body()
    };
    world.note(format!("part {number} of {key:?}, {} bytes", body.len()));
    let request = world.client.upload_part().bucket(BUCKET).key(&key).upload_id(&id).part_number(number);
    let sent = decided(request.body(ByteStream::from(body.clone())).send().await).unwrap();
    let real = sent.map(|part| part.e_tag.unwrap_or_default());
    let expected = world.model.upload(&id).map(|upload| {
        upload.parts.insert(number, body.clone());
        etag_of(&body)
    });
    world.agree(&real, &expected);
}

pub(crate) async fn complete(world: &mut World) {
    let (id, key) = some_upload(world);
    let parts = world.model.uploads.get(&id).map(|upload| upload.parts.clone()).unwrap_or_default();
    let mut claimed: Vec<(i32, String)> =
        parts.iter().map(|(number, body)| (*number, etag_of(body))).collect();
    match world.choices.below(12) {
        0 => claimed.reverse(),
        1 => claimed.push((9, etag_of(b"never sent"))),
        2 if !claimed.is_empty() => claimed[0].1 = etag_of(b"another"),
        3 => claimed.truncate(1),
        _ => {}
    }
    if claimed.is_empty() {
        return;
    }
    let condition = condition(world, &key);
    let numbers: Vec<(i32, usize)> = parts.iter().map(|(number, body)| (*number, body.len())).collect();
    world.note(format!("complete {key:?} {condition:?} of {numbers:?} with {claimed:?}"));
    let completed = claimed
        .iter()
        .map(|(number, etag)| CompletedPart::builder().part_number(*number).e_tag(etag).build());
    let completed = CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build();
    let mut request = world.client.complete_multipart_upload().bucket(BUCKET).key(&key).upload_id(&id);
    match &condition {
        Condition::Always => {}
        Condition::IfAbsent => request = request.if_none_match("*"),
        Condition::IfMatch(etag) => request = request.if_match(etag),
    }
    let answer = decided(request.multipart_upload(completed).send().await).unwrap();
    let real = answer.map(|done| done.e_tag.unwrap_or_default());
    let expected = world.model.complete(&id, &claimed, &condition);
    match (&real, &expected) {
        (Err(refusal), Err(faults)) if faults.contains(refusal) => {}
        (Ok(real), Ok(expected)) if real == expected => {}
        _ => world.disagree(&format!("real {real:?}\nmodel {expected:?}")),
    }
    world.compare_object(&key).await;
}

pub(crate) async fn abort(world: &mut World) {
    let (id, key) = some_upload(world);
    world.note(format!("abort {key:?}"));
    let request = world.client.abort_multipart_upload().bucket(BUCKET).key(&key).upload_id(&id);
    let real = decided(request.send().await).unwrap().map(|_| ());
    let expected = world.model.upload(&id).map(|_| ());
    world.model.uploads.remove(&id);
    world.agree(&real, &expected);
}

pub(crate) async fn list(world: &mut World) {
    let (id, key) = some_upload(world);
    world.note(format!("list parts of {key:?}"));
    let request = world.client.list_parts().bucket(BUCKET).key(&key).upload_id(&id);
    let real = decided(request.send().await).unwrap().map(|listed| {
        let parts = listed.parts().iter();
        let part = |part: &aws_sdk_s3::types::Part| {
            (part.part_number.unwrap_or_default(), part.size.unwrap_or_default() as usize, part.e_tag.clone())
        };
        parts.map(part).collect::<Vec<_>>()
    });
    let expected = world.model.upload(&id).map(|upload| {
        let parts = upload.parts.iter();
        parts.map(|(number, body)| (*number, body.len(), Some(etag_of(body)))).collect::<Vec<_>>()
    });
    world.agree(&real, &expected);
    compare_uploads(world).await;
}

pub(crate) async fn compare_uploads(world: &mut World) {
    let answer = world.client.list_multipart_uploads().bucket(BUCKET).send().await;
    let real = decided(answer).unwrap().map(|listed| {
        let uploads = listed.uploads().iter();
        let mut uploads: Vec<_> =
            uploads.map(|upload| (upload.key.clone().unwrap(), upload.upload_id.clone().unwrap())).collect();
        let keys_in_order = uploads.is_sorted_by_key(|upload| upload.0.clone());
        uploads.sort();
        (uploads, keys_in_order)
    });
    let mut expected: Vec<_> =
        world.model.uploads.iter().map(|(id, upload)| (upload.key.clone(), id.clone())).collect();
    expected.sort();
    world.agree(&real, &Ok((expected, true)));
}
