use granary_types::{BucketId, BucketName, UnixMillis};

use super::*;
use crate::model::Bucket;

fn bucket(settings: BucketSettings) -> Bucket {
    Bucket {
        id: BucketId::from_bytes([7; 16]),
        name: BucketName::new("a-bucket").unwrap(),
        created: UnixMillis(5),
        region: "eu-west-1".to_owned(),
        owner: "root".to_owned(),
        settings,
    }
}

#[test]
fn rows_without_settings_mean_the_default_and_rotten_ones_do_not() {
    let lock = Some(BucketLock {
        default: Some(DefaultRetention { mode: LockMode::Compliance, period: RetentionPeriod::Days(9) }),
    });
    let whole = bucket(BucketSettings { versioning: Versioning::Enabled, lock });
    let bytes = postcard::to_stdvec(&whole).unwrap();
    assert_eq!(postcard::from_bytes::<Bucket>(&bytes).unwrap(), whole);
    let settings = postcard::to_stdvec(&whole.settings).unwrap();
    let without = bytes.get(..bytes.len() - settings.len()).unwrap();
    assert_eq!(postcard::from_bytes::<Bucket>(without).unwrap(), bucket(BucketSettings::default()));
    assert!(postcard::from_bytes::<Bucket>(bytes.get(..=without.len()).unwrap()).is_err());
    assert!(postcard::from_bytes::<Bucket>(&[without, &[9, 0]].concat()).is_err());
}

#[test]
fn a_lock_needs_versioning_and_keeps_it() {
    let never = BucketSettings::default();
    assert_eq!(never.changed(BucketChange::SetLock(BucketLock::default())), None);
    let enabled = never.changed(BucketChange::EnableVersioning).unwrap();
    let locked = enabled.changed(BucketChange::SetLock(BucketLock::default())).unwrap();
    assert_eq!(locked.changed(BucketChange::SuspendVersioning), None);
    let suspended = enabled.changed(BucketChange::SuspendVersioning).unwrap();
    assert_eq!(suspended.versioning, Versioning::Suspended);
    assert_eq!(suspended.changed(BucketChange::SetLock(BucketLock::default())), None);
}
