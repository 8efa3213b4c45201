use granary_metadata::conformance::sample::blob_id;

use super::*;

#[test]
fn copies_are_known_when_a_commit_that_names_them_was_applied() {
    let (copies, done) = (Copies::default(), Outcome::Done { replaced: None, order: 0 });
    let of = |blob| copies.of(Tier::All, blob_id(blob));
    copies.learn(Tier::All, &[(blob_id(1), blob_id(11)), (blob_id(2), blob_id(12))], &done);
    assert_eq!((of(1), of(2), of(3)), (Some(blob_id(11)), Some(blob_id(12)), None));
    assert_eq!(copies.of(Tier::Warm, blob_id(1)), None, "it lies in another tier");
    copies.learn(Tier::All, &[(blob_id(2), blob_id(12)), (blob_id(3), blob_id(13))], &Outcome::Moved);
    assert_eq!((of(1), of(2), of(3)), (Some(blob_id(11)), Some(blob_id(12)), None));
    copies.forget(Tier::All, blob_id(2));
    assert_eq!((of(1), of(2)), (Some(blob_id(11)), None));
}

#[test]
fn no_more_than_so_many_copies_are_remembered() {
    let (copies, done) = (Copies::default(), Outcome::Done { replaced: None, order: 0 });
    let many: Vec<Copied> = (0..=COPIES_MAX as u64).map(|n| (blob_id(n), blob_id(n))).collect();
    copies.learn(Tier::All, &many, &done);
    assert_eq!(copies.of(Tier::All, blob_id(0)), Some(blob_id(0)));
    assert_eq!(copies.of(Tier::All, blob_id(COPIES_MAX as u64)), None);
}
