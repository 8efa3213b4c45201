//! Looks for an order that explains a history: depth first over which request came next, never twice through the same
//! set of requests with the same content (Wing and Gong's search with Lowe's memory).

use std::collections::HashSet;
use std::fmt::Write as _;

use anyhow::{Result, bail, ensure};

use super::{Asked, Event, Told, Value};

/// Requests of one key are a set of bits.
const MAX_EVENTS: usize = 128;

/// Fails with the history if nothing explains it.
pub fn check(key: &str, events: &[Event]) -> Result<()> {
    ensure!(events.len() <= MAX_EVENTS, "{key} has a history of {} requests", events.len());
    if is_linearizable(events) {
        return Ok(());
    }
    let mut sorted = events.to_vec();
    sorted.sort_by_key(|event| event.sent_us);
    let mut history = String::new();
    for event in sorted {
        let _ = writeln!(history, "{event}");
    }
    bail!("no order of the requests explains what was answered of {key}:\n{history}")
}

/// Whether some order explains the history of one key, which held nothing at first. At most 128 requests.
pub fn is_linearizable(events: &[Event]) -> bool {
    // What a read did not bring tells nothing.
    let told: Vec<_> = events
        .iter()
        .copied()
        .filter(|event| !(event.asked == Asked::Get && event.told == Told::Unknown))
        .take(MAX_EVENTS)
        .collect();
    let mut search = Search { events: &told, seen: HashSet::new() };
    search.goes_on(0, None)
}

struct Search<'a> {
    events: &'a [Event],
    seen: HashSet<(u128, Option<Value>)>,
}

impl Search<'_> {
    /// Whether the requests that are not in `done` can follow when the key holds `held`.
    fn goes_on(&mut self, done: u128, held: Option<Value>) -> bool {
        if !self.seen.insert((done, held)) {
            return false;
        }
        let waiting: Vec<_> =
            self.events.iter().enumerate().filter(|(bit, _)| done & (1 << bit) == 0).collect();
        let answered = waiting.iter().filter(|(_, event)| event.told != Told::Unknown);
        // What was sent after an answer cannot come before the request that was answered.
        let Some(first_answer_us) = answered.map(|(_, event)| event.answered_us).min() else { return true };
        waiting
            .into_iter()
            .filter(|(_, event)| event.sent_us <= first_answer_us)
            .any(|(bit, event)| after(held, event).is_some_and(|next| self.goes_on(done | 1 << bit, next)))
    }
}

/// What the key holds after the request, if it could be answered so when the key held `held`.
fn after(held: Option<Value>, event: &Event) -> Option<Option<Value>> {
    let (wants, leaves) = match event.asked {
        Asked::Get => return (event.told == Told::Held(held)).then_some(held),
        Asked::Put(value) => (true, Some(value)),
        Asked::PutIfAbsent(value) => (held.is_none(), Some(value)),
        Asked::PutIfMatch(expected, value) => (held == Some(expected), Some(value)),
        Asked::Delete => (true, None),
    };
    let matches_nothing = matches!(event.asked, Asked::PutIfMatch(..)) && held.is_none();
    match event.told {
        Told::Done => wants.then_some(leaves),
        Told::PreconditionFailed => (!wants && !matches_nothing).then_some(held),
        Told::NoSuchKey => matches_nothing.then_some(held),
        Told::Held(_) => None,
        Told::Unknown => Some(if wants { leaves } else { held }),
    }
}
