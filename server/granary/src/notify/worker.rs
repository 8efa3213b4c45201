//! What sends the events of one target, in the order of its queue and several at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use granary_engine::{Engine, EventPlace, WaitingEvent};
use granary_s3::S3Config;
use granary_s3::notifications::message;
use granary_types::{BucketId, UnixMillis, WriteId};

use super::send::{Sender, Sent};
use super::target::Target;

/// Events read at a time, and messages under way.
const PAGE: u32 = 200;
const AT_ONCE: usize = 16;
/// How often the queue is looked at for what other nodes queued.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked how full the queue is.
const MEASURE: Duration = Duration::from_secs(5);
/// How long a target that takes nothing is left alone.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// How long a message that the target did not want is left alone.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);
/// An event that nobody took in this time is dropped.
const AGE_MAX: Duration = Duration::from_hours(4 * 24);
/// Messages that were refused and are remembered as such.
const REFUSED_MAX: usize = 10_000;
/// How often it is looked for events of targets that the operator names no more.
const LOOK_FOR_UNKNOWN: Duration = Duration::from_mins(10);

/// Sends the events of one target.
pub(super) struct Worker {
    pub(super) engine: Engine,
    pub(super) sender: Arc<Sender>,
    pub(super) s3: Arc<S3Config>,
    pub(super) target: Target,
    pub(super) queue_max: u32,
}

/// How a walk along the queue ended.
#[derive(Debug, PartialEq, Eq)]
enum Walked {
    /// At its end.
    All,
    /// Where the target took no more.
    Stopped,
}

/// The place before all of a target's, and the one behind them.
fn before(target: &str) -> EventPlace {
    place(target, 0, i64::MIN)
}

fn behind(target: &str) -> EventPlace {
    place(target, 0xFF, i64::MAX)
}

fn place(target: &str, byte: u8, at_ms: i64) -> EventPlace {
    EventPlace {
        target: target.to_owned(),
        bucket: BucketId::from_bytes([byte; 16]),
        at: UnixMillis(at_ms),
        id: WriteId::from_bytes([byte; 16]),
    }
}

fn is_too_old(place: &EventPlace) -> bool {
    let age_ms = UnixMillis::now().0.saturating_sub(place.at.0);
    u64::try_from(age_ms).is_ok_and(|age| age > u64::try_from(AGE_MAX.as_millis()).unwrap_or(u64::MAX))
}

fn count(outcome: &'static str, events: usize) {
    metrics::counter!("granary_notifications_total", "outcome" => outcome).increment(events as u64);
}

impl Worker {
    /// Runs for ever. Where it is cut off, events were sent and are still queued: they are sent again.
    pub(super) async fn run(self) {
        // How full the queue is, is looked at also while the target is left alone.
        tokio::join!(self.send_forever(), self.measure_forever());
    }

    async fn send_forever(&self) {
        let mut refused = BTreeMap::new();
        let mut pause = PAUSE_MIN;
        loop {
            // Either way it is time to look: another node may have queued something.
            let _either = tokio::time::timeout(LOOK, self.engine.events_queued()).await;
            if !self.engine.leads() {
                continue;
            }
            match self.walk(&mut refused).await {
                Ok(Walked::All) => pause = PAUSE_MIN,
                Ok(Walked::Stopped) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(error) => {
                    tracing::warn!(destination = self.target.name, %error, "events cannot be read or taken out now");
                    tokio::time::sleep(PAUSE_MIN).await;
                }
            }
        }
    }

    async fn measure_forever(&self) {
        loop {
            self.measure().await;
            tokio::time::sleep(MEASURE).await;
        }
    }

    async fn measure(&self) {
        match self.engine.watch_queue(&self.target.name, self.queue_max).await {
            Ok(count) => {
                metrics::gauge!("granary_notifications_queued", "target" => self.target.name.clone())
                    .set(f64::from(count));
            }
            Err(error) => {
                tracing::warn!(destination = self.target.name, %error, "the queue of a target cannot be counted");
            }
        }
    }

    /// Sends what is queued, page by page, as long as the target takes it.
    async fn walk(&self, refused: &mut BTreeMap<EventPlace, Instant>) -> granary_engine::Result<Walked> {
        let mut after = before(&self.target.name);
        loop {
            let page = self.engine.queued_events(Some(after), PAGE).await?;
            let own: Vec<WaitingEvent> =
                page.into_iter().take_while(|event| event.place.target == self.target.name).collect();
            let Some(last) = own.last() else { return Ok(Walked::All) };
            after = last.place.clone();
            let walked = self.send_all(own, refused).await?;
            if walked == Walked::Stopped || !self.engine.leads() {
                return Ok(walked);
            }
        }
    }

    async fn send_all(
        &self,
        events: Vec<WaitingEvent>,
        refused: &mut BTreeMap<EventPlace, Instant>,
    ) -> granary_engine::Result<Walked> {
        let mut done = Vec::with_capacity(events.len());
        let mut to_send = Vec::with_capacity(events.len());
        for event in events {
            if is_too_old(&event.place) || event.event.is_none() {
                tracing::error!(destination = self.target.name, place = ?event.place, "an event is dropped that nobody took");
                count("dropped_old", 1);
                done.push(event.place);
            } else if refused.get(&event.place).is_none_or(|at| at.elapsed() >= REFUSED_PAUSE) {
                to_send.push(event);
            }
        }
        let mut walked = Walked::All;
        let mut sending = stream::iter(to_send).map(|event| self.send(event)).buffer_unordered(AT_ONCE);
        while let Some((place, sent)) = sending.next().await {
            match sent {
                Sent::Taken => {
                    count("sent", 1);
                    refused.remove(&place);
                    done.push(place);
                }
                Sent::Refused(status) => {
                    tracing::warn!(destination = self.target.name, %status, id = %place.id, "a target refused a message");
                    count("refused", 1);
                    if refused.len() >= REFUSED_MAX {
                        refused.clear();
                    }
                    refused.insert(place, Instant::now());
                }
                Sent::Down(reason) => {
                    tracing::warn!(destination = self.target.name, reason, "a target takes no messages now");
                    count("failed", 1);
                    walked = Walked::Stopped;
                    // What is under way is cut off, and sent again with the rest.
                    break;
                }
            }
        }
        drop(sending);
        self.engine.finish_events(done).await?;
        Ok(walked)
    }

    async fn send(&self, event: WaitingEvent) -> (EventPlace, Sent) {
        let sent = match message(&event, &self.s3) {
            Some(message) => self.sender.send(&self.target, &message).await,
            None => Sent::Taken,
        };
        (event.place, sent)
    }
}

/// Drops what is too old of targets that the operator does not name any more.
pub(super) async fn drop_unknown(engine: Engine, known: Vec<String>) {
    loop {
        tokio::time::sleep(LOOK_FOR_UNKNOWN).await;
        if engine.leads()
            && let Err(error) = drop_old(&engine, &known).await
        {
            tracing::warn!(%error, "events of targets that are gone cannot be dropped now");
        }
    }
}

async fn drop_old(engine: &Engine, known: &[String]) -> granary_engine::Result<()> {
    let mut after = None;
    loop {
        let page = engine.queued_events(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.place.clone());
        let mut dropped = Vec::new();
        for event in page {
            if known.contains(&event.place.target) {
                after = Some(behind(&event.place.target));
                break;
            }
            if is_too_old(&event.place) {
                dropped.push(event.place);
            }
        }
        count("dropped_old", dropped.len());
        engine.finish_events(dropped).await?;
    }
}
