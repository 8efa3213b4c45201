//! Is each key a register that all nodes share? Clients put, get, put on conditions and delete keys through every node
//! while nodes fail, and keep what they asked and were told, and when. A history is right if some order of the requests
//! explains every answer, in which each request lies between its sending and its answer (linearizability: Herlihy and
//! Wing, 1990).

mod checker;
mod workload;

use std::fmt;

pub use checker::{check, is_linearizable};
pub use workload::{Journal, Registers};

/// What a write leaves in a key. Each write of a key has one of its own.
pub type Value = u64;

/// What was asked of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// PutObject.
    Put(Value),
    /// PutObject with `If-None-Match: *`.
    PutIfAbsent(Value),
    /// PutObject with `If-Match` of the first value's tag.
    PutIfMatch(Value, Value),
    /// GetObject.
    Get,
    /// DeleteObject.
    Delete,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The write was done.
    Done,
    /// The key holds something else than the condition wants (412).
    PreconditionFailed,
    /// The key that the condition wants to match holds nothing (404).
    NoSuchKey,
    /// What the key holds.
    Held(Option<Value>),
    /// Nothing, or 503: it was done, or will be, or never.
    Unknown,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What was asked.
    pub asked: Asked,
    /// What came back.
    pub told: Told,
    /// When it was sent, in microseconds of the history.
    pub sent_us: u64,
    /// When the answer was there. An unknown one has no end.
    pub answered_us: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, told, sent_us, answered_us } = self;
        write!(f, "{sent_us:>10} {answered_us:>10} us  {asked:?} -> {told:?}")
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
