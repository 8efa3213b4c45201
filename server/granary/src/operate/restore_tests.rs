use super::*;

#[test]
fn a_place_is_a_bucket_and_what_keys_begin_with() {
    let place = |bucket: &str, prefix: &str| PlaceArgument { bucket: bucket.into(), prefix: prefix.into() };
    for (text, expected) in [
        ("s3://b", place("b", "")),
        ("s3://b/", place("b", "")),
        ("s3://b/a/c", place("b", "a/c")),
        ("s3://b//x", place("b", "/x")),
    ] {
        assert_eq!(text.parse::<PlaceArgument>(), Ok(expected), "{text}");
    }
    for wrong in ["b/a", "s3://", "s3:///a", ""] {
        assert!(wrong.parse::<PlaceArgument>().is_err(), "{wrong}");
    }
}

#[test]
fn pages_add_up_and_the_first_failures_are_kept() {
    let mut done = Done::default();
    for page in 0..3_u64 {
        let failed = (0..60).map(|n| RestoreFailure { key: format!("{page}/{n}"), reason: String::new() });
        done.add(RestorePage {
            begun: 1,
            begun_bytes: 10,
            failed: failed.collect(),
            ..RestorePage::default()
        });
    }
    assert_eq!((done.begun, done.begun_bytes, done.failed, done.failures.len()), (3, 30, 180, 100));
}
