use std::collections::HashMap;

use granary_metadata::{NewVolume, VolumeState};
use granary_types::{DriveId, Epoch, UnixMillis, VolumeId};

use super::*;

/// A store on one machine with so many drives of each class.
fn tiers(ssds: u8, hdds: u8, asked: Option<Profile>, rules: Vec<(StorageClass, TierRule)>) -> Tiers {
    let drives = DriveSet::new(Vec::new(), Vec::new(), None);
    let classes = std::iter::repeat_n(DriveClass::Ssd, ssds.into())
        .chain(std::iter::repeat_n(DriveClass::Hdd, hdds.into()));
    let known: HashMap<DriveId, DriveClass> =
        (0_u8..).zip(classes).map(|(n, class)| (DriveId::from_bytes([n; 16]), class)).collect();
    drives.learn_classes(known);
    let wanted = Wanted::Fixed(Profile::new(4, 2).unwrap());
    Tiers::new(Arc::new(drives), wanted, asked, rules, WhenFull::Refuse)
}

fn code(tiers: &Tiers, class: StorageClass) -> (u8, u8) {
    let code = tiers.code(tiers.for_writing(class).unwrap());
    (code.data, code.parity)
}

#[test]
fn a_store_with_drives_of_one_class_keeps_every_class_on_them() {
    for tiers in [tiers(6, 0, None, Vec::new()), tiers(0, 6, None, Vec::new())] {
        assert!(!tiers.is_tiered());
        for class in StorageClass::ALL.iter().copied() {
            assert_eq!(tiers.for_writing(class).unwrap(), Tier::All);
            assert_eq!(code(&tiers, class), (4, 2));
        }
        assert_eq!(tiers.all(), [Tier::All]);
    }
}

#[test]
fn hot_classes_are_on_ssds_and_cold_ones_on_disks_each_with_a_code_for_their_number() {
    let tiers = tiers(6, 12, None, Vec::new());
    assert!(tiers.is_tiered());
    let expected = [
        (StorageClass::Standard, DriveClass::Ssd, (4, 2)),
        (StorageClass::ReducedRedundancy, DriveClass::Ssd, (4, 2)),
        (StorageClass::StandardIa, DriveClass::Hdd, (8, 4)),
        (StorageClass::GlacierIr, DriveClass::Hdd, (8, 4)),
        (StorageClass::IntelligentTiering, DriveClass::Hdd, (8, 4)),
        (StorageClass::DeepArchive, DriveClass::Hdd, (9, 3)),
    ];
    for (class, drives, wanted) in expected {
        assert_eq!(tiers.rule(class).drives, drives);
        assert_eq!(code(&tiers, class), wanted, "{class:?}");
    }
    assert_eq!(tiers.all().len(), 3);
    assert!(!tiers.is_current(Tier::All));
}

#[test]
fn what_the_operator_says_counts() {
    let eight_three = CodeRule::Fixed(Profile::new(8, 3).unwrap());
    let glacier = (StorageClass::Glacier, TierRule { drives: DriveClass::Hdd, code: eight_three });
    let asked = Some(Profile::new(5, 1).unwrap());
    let both = tiers(6, 12, asked, vec![glacier]);
    assert_eq!(code(&both, StorageClass::Glacier), (8, 3));
    assert_eq!(
        code(&both, StorageClass::Standard),
        (5, 1),
        "--erasure is for all tiers that have the drives"
    );
    assert_eq!(code(&tiers(4, 12, asked, Vec::new()), StorageClass::Standard), (2, 2));
    both.check().unwrap();
    assert!(tiers(6, 10, None, vec![glacier]).check().is_err());
    let none = tiers(6, 0, None, vec![glacier]);
    let refused = none.for_writing(StorageClass::Glacier).unwrap_err();
    assert!(matches!(refused, EngineError::NoDrivesForClass { class: StorageClass::Glacier, .. }));
    assert_eq!(none.for_keeping(StorageClass::Glacier), Tier::All);
    assert_eq!(code(&none, StorageClass::Standard), (4, 2));
}

#[test]
fn the_reserve_of_a_tier_lies_where_the_tier_does() {
    let tiers = tiers(6, 12, None, Vec::new());
    for class in [StorageClass::Standard, StorageClass::StandardIa, StorageClass::Glacier] {
        let tier = tiers.for_writing(class).unwrap();
        let reserve = tier.reserve();
        assert_eq!((reserve.home(), reserve.reserve()), (Some(tier), reserve));
        assert_eq!((tier.room(), reserve.room()), (Room::Free, Room::Reserve));
        assert_eq!(tiers.code(reserve).data, tiers.code(tier).data);
        assert_eq!(tiers.drives_of(reserve), tiers.drives_of(tier));
        assert!(tiers.is_current(reserve) && tiers.spill(reserve).is_none());
    }
    assert_eq!(Tier::All.reserve().home(), Some(Tier::All));
}

/// A volume on six drives from `first` on.
fn volume(data_columns: u8, parity_columns: u8, first: u8) -> VolumeRow {
    VolumeRow {
        volume: NewVolume {
            id: VolumeId::from_bytes([1; 16]),
            data_columns,
            parity_columns,
            drives: (first..).take(6).map(|n| DriveId::from_bytes([n; 16])).collect(),
            opened: UnixMillis(0),
        },
        state: VolumeState::Sealed,
        epoch: Epoch::FIRST,
        committed_end: 1,
        live_bytes: 1,
        stored_bytes: 1,
        freed: None,
    }
}

#[test]
fn what_nothing_is_known_of_stays_with_the_code_that_it_has() {
    let tiers = tiers(6, 12, None, Vec::new());
    let of = |class| tiers.for_writing(class).unwrap();
    assert_eq!(tiers.of_unknown(&volume(9, 3, 6)), of(StorageClass::Glacier));
    assert_eq!(tiers.of_unknown(&volume(8, 4, 6)), of(StorageClass::StandardIa));
    assert_eq!(tiers.of_unknown(&volume(5, 1, 6)), of(StorageClass::StandardIa), "no tier has this code");
    assert_eq!(tiers.of_unknown(&volume(9, 3, 0)), of(StorageClass::Standard));
}

/// A copy of a restored object shared its bytes, and a class that is read at once lay in the archive's volumes for good.
#[test]
fn what_lies_on_the_same_drives_with_the_code_of_another_tier_is_not_in_the_usual_one() {
    let tiers = tiers(6, 12, None, Vec::new());
    let is_in = |volume: &VolumeRow, class| tiers.is_in(volume, tiers.for_writing(class).unwrap());
    let (usual, archive, former) = (volume(8, 4, 6), volume(9, 3, 6), volume(5, 1, 6));
    assert!(is_in(&usual, StorageClass::StandardIa) && !is_in(&archive, StorageClass::StandardIa));
    assert!(is_in(&archive, StorageClass::Glacier) && !is_in(&usual, StorageClass::Glacier));
    assert!(is_in(&former, StorageClass::StandardIa), "no tier has this code");
    assert!(!is_in(&usual, StorageClass::Standard), "it lies on other drives");
}
