//! Both listings of objects, paged, against the model's whole listing.

use aws_sdk_s3::types::{CommonPrefix, Object};
use granary_tests::client::decided;

use crate::model::Entry;
use crate::world::{BUCKET, World};

const PREFIXES: [&str; 9] = ["", "a", "a/", "b/", "b/1", "dir/", "z/", "zz/a", "nothing"];
const DELIMITERS: [Option<&str>; 5] = [None, None, Some("/"), Some("/"), Some("a")];

/// What is listed, and by how much at once.
struct Question<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    start_after: &'a str,
    page_keys: i32,
}

/// A page, and where the next one begins.
struct Page {
    entries: Vec<Entry>,
    next: Option<String>,
}

pub(crate) async fn list(world: &mut World) {
    let prefix = *world.choices.pick(&PREFIXES).unwrap();
    let delimiter = *world.choices.pick(&DELIMITERS).unwrap();
    // With a delimiter a start inside a folded prefix is left out: the API reference does not say what it gives.
    let start_after =
        if delimiter.is_none() && world.choices.chance(30) { world.key() } else { String::new() };
    let page_keys = 1 + world.choices.below(9) as i32;
    compare(world, &Question { prefix, delimiter, start_after: &start_after, page_keys }).await;
}

pub(crate) async fn compare_whole(world: &mut World) {
    compare(world, &Question { prefix: "", delimiter: None, start_after: "", page_keys: 1000 }).await;
}

async fn compare(world: &mut World, question: &Question<'_>) {
    let Question { prefix, delimiter, start_after, page_keys } = question;
    let is_first_version = world.choices.chance(30);
    let version = if is_first_version { 1 } else { 2 };
    world.note(format!(
        "list v{version} prefix {prefix:?} delimiter {delimiter:?} after {start_after:?} by {page_keys}"
    ));
    let mut listed = Vec::new();
    let mut next = None;
    loop {
        let page = if is_first_version {
            page_by_marker(world, question, next).await
        } else {
            page_by_token(world, question, next).await
        };
        let count = page.entries.len() as i32;
        if count > *page_keys || (page.next.is_some() && count != *page_keys) {
            world.disagree(&format!("a page of {count} for {page_keys}, truncated: {}", page.next.is_some()));
        }
        listed.extend(page.entries);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let expected = world.model.list(prefix, *delimiter, start_after);
    if listed != expected {
        world.disagree(&format!("real {listed:?}\nmodel {expected:?}"));
    }
}

async fn page_by_token(world: &World, question: &Question<'_>, token: Option<String>) -> Page {
    let request = world.client.list_objects_v2().bucket(BUCKET).prefix(question.prefix);
    let request = request.max_keys(question.page_keys).set_delimiter(question.delimiter.map(str::to_owned));
    let start = (!question.start_after.is_empty()).then(|| question.start_after.to_owned());
    let request = request.set_continuation_token(token).set_start_after(start);
    let page = decided(request.send().await).unwrap().unwrap();
    let entries = entries(page.contents(), page.common_prefixes());
    let next = page.next_continuation_token().map(str::to_owned);
    if page.is_truncated() != Some(next.is_some()) || page.key_count() != Some(entries.len() as i32) {
        world.disagree("a truncated page has a continuation token, and only that; and each its count");
    }
    Page { entries, next }
}

/// The last key is the next marker, but where a delimiter folds keys the server names it.
async fn page_by_marker(world: &World, question: &Question<'_>, marker: Option<String>) -> Page {
    let start = (!question.start_after.is_empty()).then(|| question.start_after.to_owned());
    let request = world.client.list_objects().bucket(BUCKET).prefix(question.prefix);
    let request = request.max_keys(question.page_keys).set_delimiter(question.delimiter.map(str::to_owned));
    let page = decided(request.set_marker(marker.or(start)).send().await).unwrap().unwrap();
    let truncated = page.is_truncated() == Some(true);
    if page.next_marker().is_some() != (truncated && question.delimiter.is_some()) {
        world.disagree("a truncated page with a delimiter has a next marker, and only that");
    }
    let last = page.contents().last().and_then(|object| object.key.clone());
    let next = page.next_marker().map(str::to_owned).or(last).filter(|_| truncated);
    Page { entries: entries(page.contents(), page.common_prefixes()), next }
}

/// Keys and folded prefixes in one order, as S3 counts them.
fn entries(objects: &[Object], folded: &[CommonPrefix]) -> Vec<Entry> {
    let mut entries: Vec<(String, Entry)> = Vec::new();
    for object in objects {
        let key = object.key().unwrap_or_default().to_owned();
        let etag = object.e_tag().unwrap_or_default().to_owned();
        entries.push((key.clone(), Entry::Key(key, object.size().unwrap_or_default() as usize, etag)));
    }
    for folded in folded {
        let folded = folded.prefix().unwrap_or_default().to_owned();
        entries.push((folded.clone(), Entry::Prefix(folded)));
    }
    entries.sort();
    entries.into_iter().map(|(_, entry)| entry).collect()
}
