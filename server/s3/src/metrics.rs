//! Counters and histograms of requests, by operation and by where the time went.
//!
//! The handles are taken once: looking a metric up by its labels costs more than counting. Those of histograms are taken when there is
//! something to record: the histograms of all operations are half a megabyte of zeros, which takes milliseconds to write out each
//! time. Counters are there from the beginning, so that the first error of an operation is a change of one.

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
    total: OnceLock<Histogram>,
    receive: OnceLock<Histogram>,
    engine: OnceLock<Histogram>,
    /// Of what writes; most operations do not, and have none.
    flush: OnceLock<Histogram>,
    metadata: OnceLock<Histogram>,
    send: OnceLock<Histogram>,
}

impl OneOperation {
    fn new(name: &'static str) -> Self {
        let requests = |class: &'static str| counter!("granary_s3_requests_total", "operation" => name, "status" => class);
        Self {
            name,
            ok: requests("2xx"),
            client_error: requests("4xx"),
            server_error: requests("5xx"),
            received_bytes: counter!("granary_s3_received_bytes_total", "operation" => name),
            sent_bytes: counter!("granary_s3_sent_bytes_total", "operation" => name),
            total: OnceLock::new(),
            receive: OnceLock::new(),
            engine: OnceLock::new(),
            flush: OnceLock::new(),
            metadata: OnceLock::new(),
            send: OnceLock::new(),
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
            self.record_phase("receive", &self.receive, received.waited);
        }
        for (phase, histogram, waited) in
            [("flush", &self.flush, waits.flush), ("metadata", &self.metadata, waits.metadata)]
        {
            if !waited.is_zero() {
                self.record_phase(phase, histogram, waited);
            }
        }
        let engine = total.saturating_sub(received.waited + waits.flush + waits.metadata);
        self.record_phase("engine", &self.engine, engine);
        let whole = || histogram!("granary_s3_request_seconds", "operation" => self.name);
        self.total.get_or_init(whole).record(total);
    }

    /// Counts how long a response's body took, which was sent after the request had been answered.
    pub(crate) fn record_send(&self, took: Duration) {
        self.record_phase("send", &self.send, took);
    }

    fn record_phase(&self, phase: &'static str, histogram: &OnceLock<Histogram>, took: Duration) {
        let of_phase = || histogram!("granary_s3_phase_seconds", "operation" => self.name, "phase" => phase);
        histogram.get_or_init(of_phase).record(took);
    }
}

/// What a request's body brought and how long the client was waited for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Received {
    pub(crate) bytes: u64,
    pub(crate) waited: Duration,
}

/// The handles of all operations that are implemented, and of everything else together.
pub(crate) struct OperationMetrics {
    implemented: Vec<(Operation, OneOperation)>,
    other: OneOperation,
}

impl OperationMetrics {
    pub(crate) fn new() -> Self {
        let implemented = Operation::ALL
            .iter()
            .filter(|operation| operation.status() == Status::Implemented)
            .map(|operation| (*operation, OneOperation::new(operation.name())))
            .collect();
        Self { implemented, other: OneOperation::new("other") }
    }

    pub(crate) fn of(&self, operation: Option<Operation>) -> &OneOperation {
        let found = self.implemented.iter().find(|(known, _)| Some(*known) == operation);
        found.map_or(&self.other, |(_, metrics)| metrics)
    }
}
