//! Copies of objects, and of ranges of them into parts, with conditions on either end.

use aws_sdk_s3::types::MetadataDirective;
use granary_tests::client::{Refusal, decided};

use crate::model::{
    Condition, Model, Object, PART_BYTES_MIN, SourceCondition, Span, etag_of, no_such_upload,
};
use crate::multipart::some_upload;
use crate::objects::condition;
use crate::world::{BUCKET, World};

impl Model {
    /// The source of a copy, or everything that speaks against it: S3 does not say what it reports first.
    fn source(&self, from: &str, condition: &SourceCondition, faults: &mut Vec<Refusal>) -> Option<Object> {
        let source = match self.get(from) {
            Ok(source) => source.clone(),
            Err(refusal) => {
                faults.push(refusal);
                return None;
            }
        };
        let holds = match condition {
            SourceCondition::Always => true,
            SourceCondition::IfMatch(etag) => *etag == source.etag,
            SourceCondition::IfNoneMatch(etag) => *etag != source.etag,
        };
        if !holds {
            faults.push(Refusal::new(412, "PreconditionFailed"));
        }
        Some(source)
    }

    /// A copy is one object again, whatever parts its source had, so its ETag is a plain MD5. `origin` is what
    /// replaces the source's metadata.
    fn copy(
        &mut self,
        (from, to): (&str, &str),
        origin: Option<&str>,
        (of_source, of_target): (&SourceCondition, &Condition),
    ) -> Result<String, Vec<Refusal>> {
        let mut faults = Vec::new();
        if from == to && origin.is_none() {
            faults.push(Refusal::new(400, "InvalidRequest"));
        }
        let source = self.source(from, of_source, &mut faults);
        faults.extend(self.check(to, of_target).err());
        let Some(source) = source.filter(|_| faults.is_empty()) else { return Err(faults) };
        let copy = Object::new(source.body, origin.unwrap_or(&source.origin));
        self.put(to, copy, &Condition::Always).map_err(|refusal| vec![refusal])
    }

    fn copy_part(
        &mut self,
        (id, number): (&str, i32),
        (from, span): (&str, Option<Span>),
        condition: &SourceCondition,
    ) -> Result<String, Vec<Refusal>> {
        let mut faults = Vec::new();
        if !self.uploads.contains_key(id) {
            faults.push(no_such_upload());
        }
        let source = self.source(from, condition, &mut faults);
        let part = match (source, span) {
            (Some(source), Some(span)) => {
                // A range of a read may go beyond the end, one of a copy may not.
                let beyond = matches!(span, Span::Closed(_, last) if last >= source.body.len());
                let part = self.range(from, span).map(|(_, part)| part);
                faults.extend(beyond.then(|| Refusal::new(416, "InvalidRange")));
                part.ok()
            }
            (source, _) => source.map(|source| source.body),
        };
        let Some(part) = part.filter(|_| faults.is_empty()) else { return Err(faults) };
        let etag = etag_of(&part);
        self.upload(id).map_err(|refusal| vec![refusal])?.parts.insert(number, part);
        Ok(etag)
    }
}

fn source_condition(world: &mut World, from: &str) -> SourceCondition {
    let current = world.model.objects.get(from).map(|object| object.etag.clone());
    let current = current.unwrap_or_else(|| etag_of(b"nothing"));
    match world.choices.below(12) {
        0 => SourceCondition::IfMatch(current),
        1 => SourceCondition::IfMatch(etag_of(b"stale")),
        2 => SourceCondition::IfNoneMatch(current),
        3 => SourceCondition::IfNoneMatch(etag_of(b"stale")),
        _ => SourceCondition::Always,
    }
}

/// The two headers of a condition on a source: that it matches, and that it does not.
fn source_headers(condition: &SourceCondition) -> (Option<String>, Option<String>) {
    match condition {
        SourceCondition::Always => (None, None),
        SourceCondition::IfMatch(etag) => (Some(etag.clone()), None),
        SourceCondition::IfNoneMatch(etag) => (None, Some(etag.clone())),
    }
}

pub(crate) fn source_of(key: &str) -> String {
    format!("{BUCKET}/{}", percent_encode(key))
}

/// Every byte but the plainest, encoded.
pub(crate) fn percent_encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(byte);
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

pub(crate) async fn copy(world: &mut World) {
    let (from, to) = (world.key(), world.key());
    let (of_source, of_target) = (source_condition(world, &from), condition(world, &to));
    let origin = world.choices.chance(30).then(|| world.choices.below(1000).to_string());
    world.note(format!("copy {from:?} {of_source:?} to {to:?} {of_target:?}, saying {origin:?}"));
    let (matches, differs) = source_headers(&of_source);
    let (if_match, if_none_match) = of_target.headers();
    let mut request = world.client.copy_object().bucket(BUCKET).key(&to).copy_source(source_of(&from));
    request = request.set_copy_source_if_match(matches).set_copy_source_if_none_match(differs);
    request = request.set_if_match(if_match).set_if_none_match(if_none_match);
    if let Some(origin) = &origin {
        request = request.metadata_directive(MetadataDirective::Replace).metadata("origin", origin);
    }
    let real = decided(request.send().await)
        .unwrap()
        .map(|copied| copied.copy_object_result.and_then(|result| result.e_tag).unwrap_or_default());
    let expected = world.model.copy((&from, &to), origin.as_deref(), (&of_source, &of_target));
    world.agree_on_faults(&real, &expected);
    world.compare_object(&to).await;
}

pub(crate) async fn copy_part(world: &mut World) {
    let (id, key) = some_upload(world);
    let from = world.key();
    let number = 1 + world.choices.below(3) as i32;
    let condition = source_condition(world, &from);
    let span = some_span(world, &from);
    world.note(format!("copy {from:?} {condition:?} {span:?} to part {number} of {key:?}"));
    let (matches, differs) = source_headers(&condition);
    let request = world.client.upload_part_copy().bucket(BUCKET).key(&key).upload_id(&id).part_number(number);
    let request =
        request.copy_source(source_of(&from)).set_copy_source_range(span.map(|span| span.to_string()));
    let request = request.set_copy_source_if_match(matches).set_copy_source_if_none_match(differs);
    let real = decided(request.send().await)
        .unwrap()
        .map(|copied| copied.copy_part_result.and_then(|result| result.e_tag).unwrap_or_default());
    let expected = world.model.copy_part((&id, number), (&from, span), &condition);
    world.agree_on_faults(&real, &expected);
}

/// The whole of the source, or a range of it that may be too long.
fn some_span(world: &mut World, from: &str) -> Option<Span> {
    let length = world.model.objects.get(from).map_or(10, |object| object.body.len()) as u64;
    match world.choices.below(4) {
        0 => None,
        1 => Some(Span::Closed(0, length.max(1) as usize - 1)),
        // As much as a part must have, where there is as much.
        2 => {
            let first = world.choices.below(1 + length.saturating_sub(PART_BYTES_MIN as u64)) as usize;
            Some(Span::Closed(first, first + PART_BYTES_MIN.min(length.max(1) as usize) - 1))
        }
        _ => {
            let first = world.choices.below(length + 2) as usize;
            Some(Span::Closed(first, first + world.choices.below(length + 10) as usize))
        }
    }
}
