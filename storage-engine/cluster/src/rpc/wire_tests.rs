use super::*;

#[test]
fn messages_of_another_version_are_refused_by_name() {
    let mut bytes = encode(&Handle(7)).unwrap();
    assert_eq!(decode::<Handle>(&bytes).unwrap(), Handle(7));
    bytes[0] = 9;
    let error = decode::<Handle>(&bytes).unwrap_err().to_string();
    assert_eq!(error, "this node speaks version 1 of the protocol, not version 9");
}

#[test]
fn messages_that_are_too_short_or_too_long_are_refused() {
    let bytes = encode(&Handle(300)).unwrap();
    assert!(decode::<Handle>(&bytes[..bytes.len() - 1]).is_err());
    assert!(decode::<Handle>(&[&bytes[..], &[0]].concat()).is_err());
    assert!(decode::<Handle>(&[]).is_err());
}

#[test]
fn every_operation_has_a_path_of_its_own() {
    for operation in Operation::ALL {
        assert_eq!(Operation::of_path(operation.path()), Some(operation));
    }
}

#[test]
fn what_is_handed_over_is_within_bounds() {
    let lengths = |lengths_bytes: Vec<u32>| HandOver { lengths_bytes }.lengths();
    assert_eq!(lengths(vec![3, 0, 5]).unwrap(), [3, 0, 5]);
    assert!(lengths(vec![1; HAND_OVER_PIECES_MAX]).is_ok());
    assert!(lengths(vec![1; HAND_OVER_PIECES_MAX + 1]).is_err());
    let longest = u32::try_from(HAND_OVER_LENGTH_BYTES_MAX).unwrap();
    assert!(lengths(vec![longest]).is_ok());
    assert!(lengths(vec![longest, 1]).is_err());
    assert!(lengths(vec![u32::MAX; 3]).is_err());
}
