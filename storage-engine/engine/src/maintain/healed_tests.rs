use std::time::Duration;

use super::*;

#[test]
fn what_was_examined_before_it_was_asked_for_is_examined_again() {
    let (volume, began) = (VolumeId::from_bytes([1; 16]), Instant::now());
    let healed = Healed { healed: 2, ..Healed::default() };
    let mut recent = RecentHeals::default();
    assert_eq!(recent.since(volume, began), None);
    recent.note(volume, began, healed);
    assert_eq!(recent.since(volume, began), Some(healed));
    assert_eq!(recent.since(volume, began + Duration::from_millis(1)), None);
    assert_eq!(recent.since(VolumeId::from_bytes([2; 16]), began), None);
}
