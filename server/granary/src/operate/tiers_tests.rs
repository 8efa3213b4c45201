#![allow(clippy::unwrap_used, reason = "tests")]

use granary_types::DriveClass;

use super::super::status::tests::tier;
use super::*;

#[test]
fn full_drives_and_mixed_volumes_are_explained() {
    let spills = "The drives of class ssd are full: what is written to them goes to the disks.";
    assert_eq!(note(&tier(DriveClass::Ssd, true, true)).as_deref(), Some(spills));
    let refused = "The drives of class hdd are full: writes to them are refused.";
    assert_eq!(note(&tier(DriveClass::Hdd, true, false)).as_deref(), Some(refused));
    assert_eq!(note(&tier(DriveClass::Ssd, false, true)), None);
    let mixed = TierReport { class: None, ..tier(DriveClass::Ssd, false, false) };
    assert!(note(&mixed).unwrap().starts_with("Mixed: "));
}
