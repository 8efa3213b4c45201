//! The multipart family, mistakes included.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use granary_tests::client::{Refusal, decided};

use crate::model::{PART_BYTES_MIN, Upload, etag_of};
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
pub(crate) fn some_upload(world: &mut World) -> (String, String) {
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
    let (if_match, if_none_match) = condition.headers();
    let request = world.client.complete_multipart_upload().bucket(BUCKET).key(&key).upload_id(&id);
    let request = request.set_if_match(if_match).set_if_none_match(if_none_match);
    let answer = decided(request.multipart_upload(completed_upload(&claimed)).send().await).unwrap();
    let real = answer.map(|done| done.e_tag.unwrap_or_default());
    let expected = world.model.complete(&id, &claimed, &condition);
    world.agree_on_faults(&real, &expected);
    world.compare_object(&key).await;
}

/// The document that completes an upload of these parts.
pub(crate) fn completed_upload(claimed: &[(i32, String)]) -> CompletedMultipartUpload {
    let parts = claimed
        .iter()
        .map(|(number, etag)| CompletedPart::builder().part_number(*number).e_tag(etag).build());
    CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build()
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
    let page = 1 + world.choices.below(3) as i32;
    world.note(format!("list parts of {key:?}, and uploads, by {page}"));
    let real = listed_parts(world, (&id, &key), page).await;
    world.agree(&real, &world.model.parts(&id));
    compare_uploads(world, page).await;
}

/// Number, length and ETag of all parts of an upload, asked for in pages.
pub(crate) async fn listed_parts(
    world: &World,
    (id, key): (&str, &str),
    page_parts: i32,
) -> Result<Vec<(i32, usize, String)>, Refusal> {
    let (mut parts, mut marker) = (Vec::new(), None);
    loop {
        let request = world.client.list_parts().bucket(BUCKET).key(key).upload_id(id);
        let request = request.max_parts(page_parts).set_part_number_marker(marker);
        let page = decided(request.send().await).unwrap()?;
        let count = page.parts().len() as i32;
        let truncated = page.is_truncated() == Some(true);
        if count > page_parts || (truncated && count != page_parts) {
            world.disagree(&format!("a page of {count} parts for {page_parts}, truncated: {truncated}"));
        }
        parts.extend(page.parts().iter().map(|part| {
            let etag = part.e_tag.clone().unwrap_or_default();
            (part.part_number.unwrap_or_default(), part.size.unwrap_or_default() as usize, etag)
        }));
        if !truncated {
            return Ok(parts);
        }
        marker = page.next_part_number_marker;
    }
}

pub(crate) async fn compare_uploads(world: &mut World, page_uploads: i32) {
    let (mut real, mut key_marker, mut id_marker) = (Vec::new(), None, None);
    loop {
        let request = world.client.list_multipart_uploads().bucket(BUCKET).max_uploads(page_uploads);
        let request = request.set_key_marker(key_marker).set_upload_id_marker(id_marker);
        let page = decided(request.send().await).unwrap().unwrap();
        let count = page.uploads().len() as i32;
        let truncated = page.is_truncated() == Some(true);
        if count > page_uploads || (truncated && count != page_uploads) {
            world.disagree(&format!("a page of {count} uploads for {page_uploads}, truncated: {truncated}"));
        }
        let uploads = page.uploads().iter();
        real.extend(uploads.map(|upload| (upload.key.clone().unwrap(), upload.upload_id.clone().unwrap())));
        if !truncated {
            break;
        }
        (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
    }
    let keys_in_order = real.is_sorted_by_key(|upload| upload.0.clone());
    real.sort();
    let mut expected: Vec<_> =
        world.model.uploads.iter().map(|(id, upload)| (upload.key.clone(), id.clone())).collect();
    expected.sort();
    world.agree(&Ok((real, keys_in_order)), &Ok((expected, true)));
}
