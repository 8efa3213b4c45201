//! Encrypted objects in the engine: what lies on the drives, ranges, lost drives, rotation, uploads.

use crate::common;

use bytes::Bytes;
use common::{Body, Store, bucket, drive, files_below, key, read};
use granary_engine::{
    ByteRange, CompleteOptions, CustomerKey, DEFAULT_KMS_KEY, Encryption, EncryptionInfo, EngineError,
    KeyRing, Keys, MANAGED_KEY, PutOptions, TaskKind, UploadOptions, WriteConditions,
};
use granary_types::{BucketKeys, Etag, PartNumber, UnixMillis};

/// Bytes that would be found on the drives if they were there.
const MARK: &[u8] = b"-plaintext-of-a-test-";
const LENGTHS: [usize; 9] = [0, 1, 65_535, 65_536, 65_537, 131_040, 131_072, 131_073, 1_300_000];

fn marked(length: usize) -> Bytes {
    let numbered = (0_u32..).flat_map(|n| [MARK, &n.to_be_bytes()].concat());
    numbered.take(length).collect::<Vec<_>>().into()
}

fn customer(byte: u8) -> CustomerKey {
    CustomerKey::from_slice(&[byte; 32]).unwrap()
}

fn kinds() -> [(&'static str, Encryption); 3] {
    let kms = Encryption::Kms {
        key: format!("alias/{DEFAULT_KMS_KEY}"),
        bucket_keys: BucketKeys::Disabled,
        context: None,
    };
    [("managed", Encryption::Managed), ("kms", kms), ("customer", Encryption::Customer(customer(7)))]
}

async fn store() -> Store {
    let mut store = Store::open(6).await;
    store.options.keys = KeyRing::new(Keys::generate(UnixMillis(1)).unwrap());
    store.restart().await;
    store
}

async fn put(store: &Store, name: &str, body: Bytes, encryption: Encryption) {
    let options = PutOptions { encryption, ..PutOptions::default() };
    let written =
        store.engine.put_object(&bucket(), &key(name), options, &mut Body::new(body)).await.unwrap();
    assert!(written.encryption.is_some());
}

async fn put_all(store: &Store) {
    for (kind, encryption) in kinds() {
        for length in LENGTHS {
            put(store, &format!("{kind}-{length}"), marked(length), encryption.clone()).await;
        }
    }
}

async fn get(
    store: &Store,
    name: &str,
    customer: Option<&CustomerKey>,
    range: Option<(usize, usize)>,
) -> Result<Bytes, EngineError> {
    let mut object = store.engine.open_object(&bucket(), &key(name), None).await?;
    object.unlock(customer)?;
    let (start, end) = match range {
        Some((start, end)) => (start as u64, end as u64),
        None => (0, object.info().length_bytes),
    };
    read(object.read(ByteRange { start, end })).await
}

async fn check_all(store: &Store) {
    for (kind, encryption) in kinds() {
        let key = match &encryption {
            Encryption::Customer(key) => Some(key),
            _ => None,
        };
        for length in LENGTHS {
            let name = format!("{kind}-{length}");
            assert!(get(store, &name, key, None).await.unwrap() == marked(length), "{name}");
        }
    }
}

fn drives_hold(store: &Store, what: &[u8]) -> bool {
    let all = (0..6).flat_map(|slot| files_below(&drive(store.dir.path(), slot)));
    all.into_iter().any(|file| {
        std::fs::read(file).is_ok_and(|content| content.windows(what.len()).any(|part| part == what))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_the_drives_is_ciphertext() {
    let mut store = store().await;
    put_all(&store).await;
    check_all(&store).await;
    store.restart().await;
    assert!(!drives_hold(&store, MARK));
    assert!(!drives_hold(&store, &[7; 32]), "a customer's key lies on a drive");
    check_all(&store).await;
    // The search finds what is not encrypted.
    store.put("plain", &marked(1000)).await;
    store.restart().await;
    assert!(drives_hold(&store, MARK));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_range_of_an_encrypted_object_can_be_read() {
    let store = store().await;
    put_all(&store).await;
    for length in LENGTHS {
        let body = marked(length);
        let edges = [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 200_000, 1_299_999, 1_300_000];
        let edges: Vec<usize> = edges.into_iter().filter(|edge| *edge <= length).chain([length]).collect();
        for from in &edges {
            for to in edges.iter().filter(|to| *to > from) {
                let range = Some((*from, *to));
                let got = get(&store, &format!("managed-{length}"), None, range).await.unwrap();
                assert!(got == body[*from..*to], "{length}: {from}..{to}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_key_reads() {
    let store = store().await;
    put_all(&store).await;
    store.put("plain", &marked(10)).await;
    for name in ["customer-1", "customer-1300000"] {
        let wrong = get(&store, name, Some(&customer(8)), None).await;
        assert!(matches!(wrong, Err(EngineError::WrongCustomerKey)), "{name}");
        let none = get(&store, name, None, None).await;
        assert!(matches!(none, Err(EngineError::CustomerKeyNeeded)), "{name}");
        // Whoever forgets to ask gets nothing either.
        let object = store.engine.open_object(&bucket(), &key(name), None).await.unwrap();
        let unasked = read(object.read(ByteRange { start: 0, end: 1 })).await;
        assert!(matches!(unasked, Err(EngineError::CustomerKeyNeeded)), "{name}");
    }
    for name in ["managed-1", "kms-1", "plain"] {
        let unfit = get(&store, name, Some(&customer(7)), None).await;
        assert!(matches!(unfit, Err(EngineError::CustomerKeyUnfit)), "{name}");
    }
    let unknown =
        Encryption::Kms { key: "missing".to_owned(), bucket_keys: BucketKeys::Disabled, context: None };
    let options = PutOptions { encryption: unknown, ..PutOptions::default() };
    let refused =
        store.engine.put_object(&bucket(), &key("x"), options, &mut Body::new(marked(5))).await.unwrap_err();
    assert!(matches!(refused, EngineError::NoSuchMasterKey(name) if name == "missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_objects_survive_lost_drives_and_compaction() {
    let mut store = store().await;
    put_all(&store).await;
    for slot in [1, 4] {
        for file in store.shard_files(slot) {
            std::fs::remove_file(file).unwrap();
        }
    }
    store.restart().await;
    check_all(&store).await;
    let healed = store.task(TaskKind::Heal).await;
    assert_eq!(healed.unrepairable, 0, "{healed:?}");
    assert_eq!(store.task(TaskKind::Scrub).await.findings, 0);
    // Half of what lives goes, and what is left moves.
    for length in LENGTHS {
        put(&store, "rubbish", marked(length), Encryption::Managed).await;
    }
    store.task(TaskKind::Compact).await;
    store.restart().await;
    check_all(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_reads_what_was_written_before() {
    let mut store = store().await;
    put(&store, "before", marked(100_000), Encryption::Managed).await;
    let lost = store.options.keys.clone();
    let mut keys = Keys::generate(UnixMillis(1)).unwrap();
    store.options.keys = KeyRing::new(keys.clone());
    store.restart().await;
    let gone = get(&store, "before", None, None).await.unwrap_err();
    assert!(gone.to_string().contains("encryption"), "{gone:?}");
    store.options.keys = lost;
    store.restart().await;
    assert!(get(&store, "before", None, None).await.unwrap() == marked(100_000));
    put(&store, "then", marked(5), Encryption::Managed).await;
    // A ring that grew while the server ran.
    keys.rotate(&MANAGED_KEY.parse().unwrap(), UnixMillis(2)).unwrap();
    store.options.keys.replace(keys);
    put(&store, "after", marked(70_000), Encryption::Managed).await;
    assert!(get(&store, "after", None, None).await.unwrap() == marked(70_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_encrypted_each_for_itself() {
    let mut store = store().await;
    let lengths = [65_535, 200_001, 65_536, 0, 1];
    for (kind, encryption) in kinds() {
        let customer = match &encryption {
            Encryption::Customer(key) => Some(key.clone()),
            _ => None,
        };
        let (bucket, name) = (bucket(), key(kind));
        let options = UploadOptions { encryption, ..UploadOptions::default() };
        let (upload, encrypted) = store.engine.create_upload(&bucket, &name, options).await.unwrap();
        assert!(encrypted.is_some());
        assert!(store.engine.upload(&bucket, &name, upload).await.unwrap().encryption.is_some());
        let mut parts = Vec::new();
        for (n, length) in (1..).zip(lengths) {
            let number = PartNumber::new(n).unwrap();
            // Each part is sent twice; the second counts.
            for body in [marked(length + 3), marked(length)] {
                let (engine, mut body) = (&store.engine, Body::new(body));
                let sent =
                    engine.put_part(&bucket, &name, (upload, number), customer.as_ref(), &mut body).await;
                let sent = sent.unwrap();
                parts.retain(|part: &granary_engine::UploadedPart| part.number != number);
                parts.push(sent);
            }
        }
        if customer.is_some() {
            let wrong = self::customer(8);
            for (key, is_expected) in [
                (None, matches::needed as fn(&EngineError) -> bool),
                (Some(&wrong), matches::wrong as fn(&EngineError) -> bool),
            ] {
                let number = PartNumber::new(1).unwrap();
                let mut body = Body::new(marked(5));
                let refused = store.engine.put_part(&bucket, &name, (upload, number), key, &mut body).await;
                assert!(is_expected(&refused.unwrap_err()));
            }
        }
        let options = CompleteOptions {
            parts,
            etag: Etag::new("x-5"),
            checksum: None,
            conditions: WriteConditions::default(),
        };
        let written = store.engine.complete_upload(&bucket, &name, upload, options).await.unwrap();
        assert_eq!(written.length_bytes, lengths.iter().sum::<usize>() as u64);
        assert_eq!(written.encryption == Some(EncryptionInfo::Customer), customer.is_some());
        let whole: Vec<u8> = lengths.iter().flat_map(|length| marked(*length)).collect();
        assert!(get(&store, kind, customer.as_ref(), None).await.unwrap() == whole, "{kind}");
        for range in [(0, 1), (65_534, 65_537), (65_535, 265_536), (100_000, whole.len()), (331_071, 331_073)]
        {
            let got = get(&store, kind, customer.as_ref(), Some(range)).await.unwrap();
            assert!(got == whole[range.0..range.1], "{kind} {range:?}");
        }
    }
    store.restart().await;
    assert!(!drives_hold(&store, MARK));
}

mod matches {
    use granary_engine::EngineError;

    pub(crate) fn needed(error: &EngineError) -> bool {
        matches!(error, EngineError::CustomerKeyNeeded)
    }

    pub(crate) fn wrong(error: &EngineError) -> bool {
        matches!(error, EngineError::WrongCustomerKey)
    }
}
