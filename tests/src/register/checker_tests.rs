#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::content::Choices;

fn event(asked: Asked, told: Told, sent_us: u64, answered_us: u64) -> Event {
    Event { asked, told, sent_us, answered_us }
}

#[test]
fn a_read_that_misses_an_acknowledged_write_is_noticed() {
    let put = event(Asked::Put(1), Told::Done, 0, 10);
    assert!(is_linearizable(&[put, event(Asked::Get, Told::Held(Some(1)), 20, 30)]));
    assert!(!is_linearizable(&[put, event(Asked::Get, Told::Held(None), 20, 30)]));
    // While the write goes on, both are right.
    assert!(is_linearizable(&[put, event(Asked::Get, Told::Held(None), 5, 30)]));
}

#[test]
fn a_read_does_not_go_back_to_what_an_earlier_one_no_longer_saw() {
    let put = event(Asked::Put(2), Told::Done, 10, 100);
    let history = |first, second| {
        let before = event(Asked::Put(1), Told::Done, 0, 5);
        let first = event(Asked::Get, Told::Held(Some(first)), 20, 30);
        [before, put, first, event(Asked::Get, Told::Held(Some(second)), 40, 50)]
    };
    assert!(is_linearizable(&history(1, 2)));
    assert!(!is_linearizable(&history(2, 1)));
}

#[test]
fn one_of_two_that_want_the_key_to_be_absent_wins() {
    let first = event(Asked::PutIfAbsent(1), Told::Done, 0, 10);
    let second = |told| event(Asked::PutIfAbsent(2), told, 0, 10);
    assert!(is_linearizable(&[first, second(Told::PreconditionFailed)]));
    assert!(!is_linearizable(&[first, second(Told::Done)]));
    let both_lost = event(Asked::PutIfAbsent(1), Told::PreconditionFailed, 0, 10);
    assert!(!is_linearizable(&[both_lost, second(Told::PreconditionFailed)]));
}

#[test]
fn a_condition_is_refused_for_what_is_there() {
    let put = event(Asked::Put(1), Told::Done, 0, 10);
    let matching = |expected, told| event(Asked::PutIfMatch(expected, 2), told, 20, 30);
    assert!(is_linearizable(&[put, matching(1, Told::Done)]));
    assert!(is_linearizable(&[put, matching(7, Told::PreconditionFailed)]));
    assert!(!is_linearizable(&[put, matching(1, Told::PreconditionFailed)]));
    assert!(!is_linearizable(&[put, matching(7, Told::Done)]));
    assert!(!is_linearizable(&[put, matching(7, Told::NoSuchKey)]));
    assert!(is_linearizable(&[matching(7, Told::NoSuchKey)]));
}

#[test]
fn an_unanswered_write_may_be_seen_late_or_never_but_not_taken_back() {
    let lost = event(Asked::Put(1), Told::Unknown, 0, u64::MAX);
    let read = |held, at| event(Asked::Get, Told::Held(held), at, at + 1);
    assert!(is_linearizable(&[lost, read(None, 10), read(None, 20)]));
    assert!(is_linearizable(&[lost, read(None, 10), read(Some(1), 20)]));
    assert!(!is_linearizable(&[lost, read(Some(1), 10), read(None, 20)]));
    assert!(!is_linearizable(&[read(Some(1), 10), event(Asked::Put(1), Told::Unknown, 20, u64::MAX)]));
}

/// Six clients over one real register, each request decided somewhere between its sending and its answer.
fn simulated(seed: u64, requests: usize) -> Vec<Event> {
    let mut choices = Choices::new(seed);
    let mut pending: Vec<(u64, Asked, u64)> = Vec::new();
    let mut free = [0_u64; 6];
    for value in 0..requests as u64 {
        let client = usize::try_from(choices.below(6)).unwrap();
        let sent = free[client] + choices.below(20);
        let decided = sent + choices.below(30);
        let asked = match choices.below(6) {
            0 | 1 => Asked::Get,
            2 => Asked::Delete,
            3 => Asked::PutIfAbsent(value),
            4 => Asked::PutIfMatch(choices.below(value + 1), value),
            _ => Asked::Put(value),
        };
        free[client] = decided + choices.below(30);
        pending.push((decided, asked, sent));
    }
    pending.sort_by_key(|(decided, ..)| *decided);
    let mut held = None;
    let mut events = Vec::new();
    for (decided, asked, sent_us) in pending {
        let (wants, leaves) = match asked {
            Asked::Get => (true, held),
            Asked::Put(value) => (true, Some(value)),
            Asked::PutIfAbsent(value) => (held.is_none(), Some(value)),
            Asked::PutIfMatch(expected, value) => (held == Some(expected), Some(value)),
            Asked::Delete => (true, None),
        };
        let told = match asked {
            Asked::Get => Told::Held(held),
            Asked::PutIfMatch(..) if held.is_none() => Told::NoSuchKey,
            _ if wants => Told::Done,
            _ => Told::PreconditionFailed,
        };
        held = if wants { leaves } else { held };
        let is_lost = told != Told::Held(held) && choices.below(12) == 0;
        let (told, answered_us) =
            if is_lost { (Told::Unknown, u64::MAX) } else { (told, decided + choices.below(30)) };
        events.push(Event { asked, told, sent_us, answered_us });
    }
    events
}

#[test]
fn what_one_register_answers_is_explained() {
    for seed in 0..200 {
        assert!(is_linearizable(&simulated(seed, 60)), "seed {seed}");
    }
}

#[test]
fn a_read_of_what_was_overwritten_long_ago_is_noticed() {
    let mut noticed = 0;
    for seed in 0..200 {
        let mut events = simulated(seed, 60);
        let end = events.iter().map(|event| event.answered_us).filter(|end| *end < u64::MAX).max().unwrap();
        events.push(event(Asked::Put(900), Told::Done, end + 1, end + 2));
        events.push(event(Asked::Put(901), Told::Done, end + 3, end + 4));
        let is_right = is_linearizable(&events);
        events.push(event(Asked::Get, Told::Held(Some(900)), end + 5, end + 6));
        assert!(is_right && !is_linearizable(&events), "seed {seed}");
        noticed += 1;
    }
    assert_eq!(noticed, 200);
}
