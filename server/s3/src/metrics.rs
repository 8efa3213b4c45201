//! Counters and histograms of requests, by operation and by where the time went.
//!
//! The handles are taken once: looking a metric up by its labels costs more than counting. They are taken with the first request of
//! an operation: the histograms of all operations are half a megabyte of zeros, which takes milliseconds to write out each time.

use std::sync::OnceLock;
use std::time::Duration;

use granary_engine::Waits;
use metrics::{Counter, Histogram, counter, histogram};

use crate::operation::{Operation, Status};

/// The handles of one operation.
pub(crate) struct OneOperation {
    name: &'static str,
    ok: Counter,
    client_error: Counter,
    server_error: Counter,
    received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    total: Histogram,
    receive: Histogram,
    engine: Histogram,
    /// Of what writes; most operations do not, and have none.
    flush: OnceLock<Histogram>,
    metadata: OnceLock<Histogram>,
    pub(crate) send: Histogram,
}

impl OneOperation {
    fn new(name: &'static str) -> Self {
        let requests = |class: &'static str| counter!("granary_s3_requests_total", "operation" => name, "status" => class);
        let phase = |phase| phase_of(name, phase);
        Self {
            name,
            ok: requests("2xx"),
            client_error: requests("4xx"),
            server_error: requests("5xx"),
            received_bytes: counter!("granary_s3_received_bytes_total", "operation" => name),
            sent_bytes: counter!("granary_s3_sent_bytes_total", "operation" => name),
            total: histogram!("granary_s3_request_seconds", "operation" => name),
            receive: phase("receive"),
            engine: phase("engine"),
            flush: OnceLock::new(),
            metadata: OnceLock::new(),
            send: phase("send"),
        }
    }

    /// Counts a request that has been answered; a response's body may still have to be sent.
    pub(crate) fn record(&self, status: http::StatusCode, total: Duration, received: Received, waits: Waits) {
        if status.is_server_error() {
            self.server_error.increment(1);
        } else if status.is_client_error() {
            self.client_error.increment(1);
        } else {
            self.ok.increment(1);
        }
        if received.bytes > 0 {
            self.received_bytes.increment(received.bytes);
            self.receive.record(received.waited);
        }
        for (phase, histogram, waited) in
            [("flush", &self.flush, waits.flush), ("metadata", &self.metadata, waits.metadata)]
        {
            if !waited.is_zero() {
                histogram.get_or_init(|| phase_of(self.name, phase)).record(waited);
            }
        }
        self.engine.record(total.saturating_sub(received.waited + waits.flush + waits.metadata));
        self.total.record(total);
    }
}

fn phase_of(operation: &'static str, phase: &'static str) -> Histogram {
    histogram!("granary_s3_phase_seconds", "operation" => operation, "phase" => phase)
}

/// What a request's body brought and how long the client was waited for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Received {
    pub(crate) bytes: u64,
    pub(crate) waited: Duration,
}

/// The handles of all operations that are implemented, and of everything else together.
pub(crate) struct OperationMetrics {
    implemented: Vec<(Operation, OnceLock<OneOperation>)>,
    other: OnceLock<OneOperation>,
}

impl OperationMetrics {
    pub(crate) fn new() -> Self {
        let implemented = Operation::ALL
            .iter()
            .filter(|operation| operation.status() == Status::Implemented)
            .map(|operation| (*operation, OnceLock::new()))
            .collect();
        Self { implemented, other: OnceLock::new() }
    }

    pub(crate) fn of(&self, operation: Option<Operation>) -> &OneOperation {
        let found = self.implemented.iter().find(|(known, _)| Some(*known) == operation);
        match found {
            Some((known, metrics)) => metrics.get_or_init(|| OneOperation::new(known.name())),
            None => self.other.get_or_init(|| OneOperation::new("other")),
        }
    }
}
