use super::*;

const KIB: u64 = 1024;
/// What a group takes where something is short.
const SLOW: Duration = Duration::from_millis(8);

fn load(requests: u32) -> Load {
    Load { requests, bytes: u64::from(requests) * 16 * KIB }
}

/// How many of requests that come every millisecond go to the head, whose answers come at once and tell of these others.
fn handed(millis: u64, own: Load, others: impl Fn(u64) -> Load) -> usize {
    let begin = Instant::now();
    let mut advice = Advice::new(begin);
    let mut count = 0;
    for milli in 0..millis {
        let now = begin + Duration::from_millis(milli);
        if advice.choose(now, own) == Choice::AtHead {
            count += 1;
            advice.learn(now, own, (others(milli), SLOW));
        }
    }
    count
}

#[test]
fn a_lone_client_pays_for_one_request_in_a_hundred_milliseconds() {
    assert_eq!(handed(1_000, load(1), |_| Load::default()), 10);
    assert_eq!(handed(1_000, load(1), |_| load(1)), 10);
}

#[test]
fn nodes_that_have_few_each_are_packed_together() {
    assert_eq!(handed(1_000, load(5), |_| load(27)), 1_000);
    assert_eq!(handed(1_000, load(1), |_| load(2)), 1_000);
}

#[test]
fn what_is_enough_for_long_groups_is_not_handed_over() {
    assert_eq!(handed(1_000, load(16), |_| load(30)), 0);
    assert_eq!(handed(1_000, load(15), |_| load(7)), 10);
    assert_eq!(handed(1_000, load(15), |_| load(8)), 1_000);
}

#[test]
fn a_head_with_more_than_enough_is_left_alone() {
    assert_eq!(handed(1_000, load(10), |_| load(118)), 10);
    let large = Load { requests: 16, bytes: 1_800 * KIB };
    assert_eq!(handed(1_000, large_own(), |_| large), 10);
}

fn large_own() -> Load {
    Load { requests: 4, bytes: 4 * 100 * KIB }
}

#[test]
fn where_groups_are_quick_each_node_packs_its_own() {
    let now = Instant::now();
    let mut advice = Advice::new(now);
    advice.learn(now, load(5), (load(25), Duration::from_millis(2)));
    assert!(!advice.is_together());
    assert_eq!(advice.choose(now, load(5)), Choice::Here);
    advice.learn(now, load(5), (load(25), Duration::from_millis(3)));
    assert!(advice.is_together());
}

#[test]
fn what_others_do_is_noticed_within_a_hundred_milliseconds() {
    let joined = handed(1_000, load(4), |milli| if milli < 500 { Load::default() } else { load(20) });
    assert_eq!(joined, 5 + 500);
    let left = handed(1_000, load(4), |milli| if milli < 500 { load(20) } else { Load::default() });
    assert_eq!(left, 501 + 4);
}

#[test]
fn while_one_request_asks_the_others_are_packed_here() {
    let now = Instant::now();
    let mut advice = Advice::new(now);
    assert_eq!(advice.choose(now, load(3)), Choice::AtHead);
    for _ in 0..3 {
        assert_eq!(advice.choose(now + TOGETHER * 3, load(3)), Choice::Here);
    }
    // One that was forgotten is not waited for for ever.
    assert_eq!(advice.choose(now + ASKING_MAX, load(3)), Choice::AtHead);
    advice.fail(now, Duration::from_secs(60));
    assert_eq!(advice.choose(now + Duration::from_secs(59), load(3)), Choice::Here);
    assert_eq!(advice.choose(now + Duration::from_secs(60), load(3)), Choice::AtHead);
    advice.learn(now, load(3), (load(9), SLOW));
    assert!(advice.is_together());
    // Nothing was handed over for long: one asks again.
    assert_eq!(advice.choose(now + TOGETHER, load(3)), Choice::AtHead);
    assert_eq!(advice.choose(now + TOGETHER, load(3)), Choice::Here);
}

#[test]
fn a_head_forgets_what_it_was_told_and_remembers_no_more_than_a_few() {
    let (now, own) = (Instant::now(), NodeId::from_bytes([0; 16]));
    let mut heard = Heard::default();
    for number in 1..=200 {
        heard.hear(NodeId::from_bytes([number; 16]), load(1), now);
    }
    assert_eq!(heard.others(own, now).requests, 64);
    assert_eq!(heard.others(NodeId::from_bytes([1; 16]), now).requests, 63);
    heard.hear(NodeId::from_bytes([1; 16]), load(5), now);
    assert_eq!(heard.others(own, now).requests, 68);
    let later = now + HEARD;
    assert_eq!(heard.others(own, later), Load::default());
    heard.hear(NodeId::from_bytes([201; 16]), load(7), later);
    assert_eq!(heard.others(own, later), load(7));
}
