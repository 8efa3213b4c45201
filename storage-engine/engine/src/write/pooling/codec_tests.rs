use granary_metadata::conformance::sample::seal;
use granary_metadata::{
    Bucket, BucketSettings, Content, DeleteObject, NewObject, TagMatch, Tagging, WriteConditions,
};
use granary_types::{Attributes, BucketId, BucketName, ObjectKey, UnixMillis};
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::told::Told;
use crate::write::etags::{Draft, placeholder};

fn bucket() -> Bucket {
    Bucket {
        id: BucketId::from_bytes([7; 16]),
        name: BucketName::new("corpus").unwrap(),
        created: UnixMillis(1),
        settings: BucketSettings::default(),
        owner: String::new(),
        region: String::new(),
    }
}

fn key() -> ObjectKey {
    ObjectKey::new("some/key").unwrap()
}

fn conditions() -> WriteConditions {
    WriteConditions { if_none_match: Some(TagMatch::Any), ..WriteConditions::default() }
}

/// A put of these bytes, and what goes behind it.
fn put(body: &[u8], content: Content, conditions: WriteConditions) -> (PutObject, Vec<Write>) {
    let write = WriteId::random().unwrap();
    let object = NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write,
        modified: UnixMillis(1_700_000_000_000),
        length_bytes: body.len() as u64,
        etag: placeholder(write),
        storage_class: StorageClass::Standard,
        checksum: None,
        attributes: Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() },
        content,
    };
    let put = PutObject { bucket: bucket().id, key: key(), conditions, object, blobs: Vec::new() };
    let (version, tags) = (VersionId::NULL, vec![("a".to_owned(), "b".to_owned())]);
    let tagging = Tagging { bucket: put.bucket, key: key(), version, write, tags };
    (put, vec![Write::Tag(Box::new(tagging))])
}

fn request(body: &[u8], (put, behind): (PutObject, Vec<Write>), told: &Told, is_untagged: bool) -> Request {
    let record = ObjectRecord::encode(put.bucket, &put.key, &put.object, told).unwrap();
    let draft = match is_untagged {
        true => Draft::untagged(record, put.object.write).unwrap().0,
        false => record.into(),
    };
    let bytes = Bytes::copy_from_slice(body);
    let item = Item { hash: *blake3::hash(&bytes).as_bytes(), bytes, record: draft.record };
    let write = PackWrite::Put(Box::new(put), behind);
    Request { items: vec![item], write, room: draft.room, reply: oneshot::channel().0, _waiting: None }
}

fn usual(body: &[u8]) -> Request {
    request(body, put(body, Content::Empty, conditions()), &Told::put(&bucket()).under(&conditions()), true)
}

fn handed(requests: &[Request]) -> Vec<Bytes> {
    lot(requests.iter(), Load { requests: 3, bytes: 5 }, 77).unwrap()
}

#[test]
fn what_is_taken_is_what_was_handed_over() {
    let sealed = Content::Empty.sealed(seal(2));
    let mut longer = put(b"sealed body", sealed, WriteConditions::default());
    // Clients see another length than is stored.
    longer.0.object.length_bytes = 3;
    let plain = put(b"plain", Content::Empty, conditions());
    let puts = [longer, plain];
    let requests = [
        request(b"sealed body", puts[0].clone(), &Told::put(&bucket()), false),
        request(b"plain", puts[1].clone(), &Told::put(&bucket()).under(&conditions()), true),
    ];
    let pieces = handed(&requests);
    assert_eq!(pieces[1..], [Bytes::from_static(b"sealed body"), Bytes::from_static(b"plain")]);
    let Taken { load, stamp_us, objects } = taken(pieces).unwrap();
    assert_eq!((load, stamp_us), (Load { requests: 3, bytes: 5 }, 77));
    for ((object, request), (put, behind)) in objects.iter().zip(&requests).zip(&puts) {
        let sent = &request.items[0];
        assert_eq!((&object.item.bytes, object.item.hash), (&sent.bytes, sent.hash));
        assert_eq!(object.item.record, sent.record);
        let PackWrite::Put(is, beside) = &object.write else { panic!("another write") };
        assert_eq!((is.as_ref(), beside), (put, behind));
        assert_eq!(object.untagged, request.room.as_ref().map(|_| put.object.write));
    }
}

#[test]
fn nothing_is_taken_of_what_is_not_whole_or_not_as_it_was() {
    let pieces = handed(&[usual(b"one"), usual(b"other")]);
    assert!(taken(pieces.clone()).is_some());
    for length in 0..pieces[0].len() {
        let cut = [&[pieces[0].slice(..length)][..], &pieces[1..]].concat();
        assert!(taken(cut).is_none(), "{length}");
    }
    let longer = Bytes::from([&pieces[0][..], &[0]].concat());
    assert!(taken([&[longer][..], &pieces[1..]].concat()).is_none());
    assert!(taken(Vec::new()).is_none());
    assert!(taken(pieces[..2].to_vec()).is_none());
    assert!(taken([&pieces[..], &pieces[2..]].concat()).is_none());
    let swapped = vec![pieces[0].clone(), pieces[2].clone(), pieces[1].clone()];
    assert!(taken(swapped).is_none());
    let mut body = pieces[1].to_vec();
    body[1] ^= 1;
    assert!(taken(vec![pieces[0].clone(), body.into(), pieces[2].clone()]).is_none());
    let mut said = pieces[0].to_vec();
    said[0] += 1;
    assert!(taken([&[Bytes::from(said)][..], &pieces[1..]].concat()).is_none());
}

#[test]
fn only_small_plain_puts_are_taken() {
    let refused = |request: Request| taken(handed(&[request])).is_none();
    let told = Told::put(&bucket());
    let plain = || put(b"body", Content::Empty, WriteConditions::default());
    assert!(!refused(request(b"body", plain(), &told, true)));
    assert!(refused(usual(&[])));
    assert!(!refused(usual(&vec![1; PACKED_LENGTH_BYTES_MAX])));
    assert!(refused(usual(&vec![1; PACKED_LENGTH_BYTES_MAX + 1])));
    assert!(refused(request(b"another length", plain(), &told, true)));
    assert!(refused(request(b"body", plain(), &Told::of(&bucket(), Deed::Erased), true)));
    let mut marker = plain();
    marker.0.object.kind = VersionKind::DeleteMarker;
    assert!(refused(request(b"body", marker, &told, true)));
    let erasing = Write::Delete(DeleteObject {
        bucket: bucket().id,
        key: key(),
        version: VersionId::NULL,
        conditions: WriteConditions::default(),
    });
    let (put, behind) = plain();
    let with = |behind: Vec<Write>| request(b"body", (put.clone(), behind), &told, true);
    assert!(refused(with(vec![erasing])));
    assert!(!refused(with(vec![behind[0].clone(); BEHIND_MAX])));
    assert!(refused(with(vec![behind[0].clone(); BEHIND_MAX + 1])));
    let requests: Vec<Request> = (0..=OBJECTS_MAX).map(|_| usual(b"body")).collect();
    assert!(taken(handed(&requests)).is_none());
    assert!(taken(handed(&requests[1..])).is_some());
    assert!(taken(handed(&[])).is_none());
}

#[test]
fn an_answer_is_about_as_many_objects_as_were_handed_over() {
    let waits = Waits { flush: Duration::from_micros(1_500), metadata: Duration::from_secs(1_000_000) };
    let done = Outcome::Done { replaced: None, order: 4 };
    let stored = Stored::new(&done, Some(Etag::new("tag")), waits).unwrap();
    assert_eq!(stored.waits().flush, waits.flush);
    assert_eq!(Outcome::from(stored.fate.clone()), done);
    assert_eq!(Stored::new(&Outcome::NoSuchUpload, None, waits), None);
    let results = vec![Ok(stored), Err(NotStored::NoSpace), Err(NotStored::Unknown)];
    let answer = Answer { stamp_us: 9, others: Load { requests: 1, bytes: 2 }, results };
    let bytes = answer.encode().unwrap();
    assert_eq!(Answer::decode(&bytes, 3).as_ref(), Some(&answer));
    assert_eq!(Answer::decode(&bytes, 2), None);
    assert_eq!(Answer::decode(&[&bytes[..], &[0]].concat(), 3), None);
    for length in 0..bytes.len() {
        assert_eq!(Answer::decode(&bytes[..length], 3), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_changed_of_what_is_said_is_understood_or_refused(
        at in any::<prop::sample::Index>(),
        with in 1..=u8::MAX,
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let pieces = handed(&[usual(b"one"), usual(b"other")]);
        let mut said = pieces[0].to_vec();
        let place = at.index(said.len());
        said[place] ^= with;
        if let Some(taken) = taken([&[Bytes::from(said)][..], &pieces[1..]].concat()) {
            prop_assert_eq!(taken.objects.len(), 2);
        }
        prop_assert!(taken(vec![Bytes::from(noise.clone()), Bytes::from_static(b"one")]).is_none());
        let _any = Answer::decode(&noise, 1);
    }
}
