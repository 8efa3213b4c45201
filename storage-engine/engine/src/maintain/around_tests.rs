use super::*;

fn nodes<const N: usize>(numbers: [u8; N]) -> HashSet<NodeId> {
    numbers.map(|number| NodeId::from_bytes([number; 16])).into()
}

fn drives<const N: usize>(numbers: [u8; N]) -> HashSet<DriveId> {
    numbers.map(|number| DriveId::from_bytes([number; 16])).into()
}

/// What a dead node had was tried in vain as long as it could come back, and then left alone for up to an hour, also when an operator
/// had removed the node meanwhile.
#[test]
fn a_removed_nodes_columns_were_left_alone_for_an_hour() {
    let mut around = Around::default();
    assert!(around.may_heal_more(nodes([1, 2, 3]), drives([])));
    assert!(!around.may_heal_more(nodes([1, 3]), drives([])), "a node that is away heals nothing");
    assert!(around.may_heal_more(nodes([1, 3]), drives([2])));
    assert!(!around.may_heal_more(nodes([1, 3]), drives([2])), "it is news once");
    assert!(around.may_heal_more(nodes([1, 3, 4]), drives([2])));
}
