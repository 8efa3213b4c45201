//! The benchmark set: what each scenario sends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::content::{Choices, content_md5};
use crate::driver::{Operation, Outcome, Payload, Until, drive};
use crate::records::record_key;
use crate::target::{BUCKET, Target};

const SMALL_BYTES: u64 = 16 << 10;
const LARGE_BYTES: u64 = 64 << 20;
const PAGE_KEYS: u64 = 1000;
const KEYS_PER_PREFIX: u64 = 100;
const DELETE_BATCH_KEYS: u64 = 1000;
const LARGE_OBJECTS: u64 = 8;
/// Listing starts anew within so many pages of either end.
const LIST_PAGES: u64 = 10;
const LIST_CLIENTS: usize = 4;
const PRELOAD_CLIENTS: u64 = 64;

/// How much to do.
#[derive(Clone, Debug)]
pub struct Scale {
    /// How long a timed scenario runs.
    pub time: Duration,
    /// Keys to list.
    pub list_keys: u64,
    /// Keys to delete in batches.
    pub delete_keys: u64,
    /// The large streamed object, in GiB.
    pub stream_gib: u64,
}

/// What earlier scenarios have left on a target.
#[derive(Clone, Debug, Default)]
pub struct Left {
    small: BTreeMap<u64, u64>,
    round: u64,
    listable: bool,
    /// Records that it began with.
    pub records: u64,
}

/// One scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names and `name` say it")]
pub enum Scenario {
    PutSmall,
    GetSmall,
    PutSmallFlushes,
    PutSmallAlone,
    GetSmallAlone,
    DeleteSmall,
    DeleteMany,
    PutLarge,
    GetLarge,
    ListStart,
    ListEnd,
    PrefixesStart,
    PrefixesEnd,
    Busy,
    StreamIn,
    StreamOut,
    RecordPut,
    RecordGet,
    RecordList,
}

impl Scenario {
    /// Those for stores that hold many records: everywhere among them.
    pub const RECORDS: [Self; 3] = [Self::RecordPut, Self::RecordGet, Self::RecordList];

    /// All, in the order they must run: some read what earlier ones wrote.
    pub const ALL: [Self; 16] = [
        Self::PutSmall,
        Self::GetSmall,
        Self::PutSmallAlone,
        Self::GetSmallAlone,
        Self::DeleteSmall,
        Self::PutSmallFlushes,
        Self::Busy,
        Self::DeleteMany,
        Self::PutLarge,
        Self::GetLarge,
        Self::ListStart,
        Self::ListEnd,
        Self::PrefixesStart,
        Self::PrefixesEnd,
        Self::StreamIn,
        Self::StreamOut,
    ];

    /// What reports call it, and `--only` selects it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::PutSmall => "put 16 KiB x32",
            Self::GetSmall => "get 16 KiB x32",
            Self::PutSmallFlushes => "put 16 KiB x64",
            Self::PutSmallAlone => "put 16 KiB x1",
            Self::GetSmallAlone => "get 16 KiB x1",
            Self::DeleteSmall => "delete x32",
            Self::DeleteMany => "delete-objects keys x4",
            Self::PutLarge => "put 64 MiB x2",
            Self::GetLarge => "get 64 MiB x2",
            Self::ListStart => "list pages, start x4",
            Self::ListEnd => "list pages, end x4",
            Self::PrefixesStart => "list prefixes, start x4",
            Self::PrefixesEnd => "list prefixes, end x4",
            Self::Busy => "mixed 16 KiB x256",
            Self::StreamIn => "stream in x1",
            Self::StreamOut => "stream out x1",
            Self::RecordPut => "put 16 KiB among records x32",
            Self::RecordGet => "get records x32",
            Self::RecordList => "list pages of records x4",
        }
    }

    /// Whether repeating it tells more.
    pub fn is_repeatable(self) -> bool {
        // The deletes take away what the rounds before them have put.
        !matches!(self, Self::StreamIn | Self::StreamOut | Self::DeleteMany | Self::DeleteSmall)
    }

    /// Writes what the scenario needs, unmeasured.
    pub async fn prepare(self, target: &Target, left: &mut Left, scale: &Scale) -> Result<()> {
        match self {
            Self::DeleteMany => {
                let each = scale.delete_keys / PRELOAD_CLIENTS;
                preload(target, each, 1024, |client, sequence| format!("m/{client:02}{sequence:06}")).await
            }
            Self::ListStart | Self::ListEnd | Self::PrefixesStart | Self::PrefixesEnd if !left.listable => {
                left.listable = true;
                let each = scale.list_keys / PRELOAD_CLIENTS;
                preload(target, each, 1, move |client, sequence| list_key(client * each + sequence)).await
            }
            _ => Ok(()),
        }
    }

    /// Runs it once.
    pub async fn run(self, target: &Target, left: &mut Left, scale: &Scale) -> Result<Outcome> {
        let timed = Until::Elapsed(scale.time);
        match self {
            Self::PutSmall => {
                left.round += 1;
                let round = left.round;
                let put = move |client, sequence| Some(put(small_path(round, client, sequence), SMALL_BYTES));
                let outcome = drive(target, 32, timed, put).await?;
                left.small = outcome.finished.clone();
                Ok(outcome)
            }
            Self::GetSmall => drive(target, 32, timed, random_gets(left)).await,
            Self::GetSmallAlone => drive(target, 1, timed, random_gets(left)).await,
            Self::PutSmallAlone => {
                drive(target, 1, timed, |_, n| Some(put(key_path("a", 0, n), SMALL_BYTES))).await
            }
            Self::PutSmallFlushes => {
                drive(target, 64, timed, |c, n| Some(put(key_path("f", c, n), SMALL_BYTES))).await
            }
            Self::DeleteSmall => {
                let (small, round) = (std::mem::take(&mut left.small), left.round);
                let delete = move |client, sequence| {
                    let there = sequence < small.get(&client).copied().unwrap_or_default();
                    there.then(|| Operation::new("DELETE", small_path(round, client, sequence)))
                };
                drive(target, 32, timed, delete).await
            }
            Self::DeleteMany => drive(target, 4, Until::Done, delete_batches(scale.delete_keys)).await,
            Self::PutLarge => {
                drive(target, 2, timed, |c, n| Some(put(key_path("L", c, n % LARGE_OBJECTS), LARGE_BYTES)))
                    .await
            }
            Self::GetLarge => {
                drive(target, 2, timed, |c, _| Some(Operation::new("GET", key_path("L", c, 0)))).await
            }
            Self::ListStart => drive(target, LIST_CLIENTS, timed, list_pages(0, "")).await,
            Self::ListEnd => {
                let tail = scale.list_keys.saturating_sub(PAGE_KEYS * (LIST_PAGES + 1));
                drive(target, LIST_CLIENTS, timed, list_pages(tail, "")).await
            }
            Self::PrefixesStart => drive(target, LIST_CLIENTS, timed, list_prefixes(0)).await,
            Self::PrefixesEnd => {
                let prefixes = scale.list_keys / KEYS_PER_PREFIX;
                drive(target, LIST_CLIENTS, timed, list_prefixes(prefixes.saturating_sub(PAGE_KEYS))).await
            }
            Self::Busy => drive(target, 256, timed, mixed).await,
            Self::StreamIn => {
                let length_bytes = scale.stream_gib << 30;
                let once = move |_, n| (n == 0).then(|| put(key_path("S", 0, 0), length_bytes));
                drive(target, 1, Until::Done, once).await
            }
            Self::RecordPut => {
                left.round += 1;
                drive(target, 32, timed, put_among(left.records, left.round)).await
            }
            Self::RecordGet => drive(target, 32, timed, get_records(left.records)).await,
            Self::RecordList => drive(target, LIST_CLIENTS, timed, list_records(left.records)).await,
            Self::StreamOut => {
                let once = |_, n| (n == 0).then(|| Operation::new("GET", key_path("S", 0, 0)));
                drive(target, 1, Until::Done, once).await
            }
        }
    }
}

fn put(path: String, length_bytes: u64) -> Operation {
    Operation { payload: Payload::Block(length_bytes), ..Operation::new("PUT", path) }
}

fn key_path(kind: &str, client: u64, sequence: u64) -> String {
    format!("/{BUCKET}/{kind}/{client:03}/{sequence:06}")
}

fn small_path(round: u64, client: u64, sequence: u64) -> String {
    format!("/{BUCKET}/s{round}/{client:03}/{sequence:06}")
}

fn list_key(number: u64) -> String {
    format!("l/{:06}/{:03}", number / KEYS_PER_PREFIX, number % KEYS_PER_PREFIX)
}

async fn preload<F>(target: &Target, each: u64, length_bytes: u64, key: F) -> Result<()>
where
    F: Fn(u64, u64) -> String + Send + Sync + 'static,
{
    let next = move |client, sequence| {
        (sequence < each).then(|| put(format!("/{BUCKET}/{}", key(client, sequence)), length_bytes))
    };
    let clients = usize::try_from(PRELOAD_CLIENTS).context("clients")?;
    drive(target, clients, Until::Done, next).await.map(|_| ())
}

/// Reads of objects that `PutSmall` wrote, at random over all clients' keys.
fn random_gets(left: &Left) -> impl Fn(u64, u64) -> Option<Operation> + Send + Sync + use<> {
    let (small, round) = (left.small.clone(), left.round);
    move |client, sequence| {
        let mut choices = Choices::new(client << 40 | sequence);
        let writer = choices.below(small.len() as u64);
        let written = small.get(&writer).copied().filter(|written| *written > 0)?;
        Some(Operation::new("GET", small_path(round, writer, choices.below(written))))
    }
}

/// Each client puts an object and reads it back, in turn.
fn mixed(client: u64, sequence: u64) -> Option<Operation> {
    let path = key_path("x", client, sequence / 2);
    Some(if sequence.is_multiple_of(2) { put(path, SMALL_BYTES) } else { Operation::new("GET", path) })
}

fn delete_batches(keys: u64) -> impl Fn(u64, u64) -> Option<Operation> + Send + Sync {
    let each = keys / PRELOAD_CLIENTS;
    let batches = each * PRELOAD_CLIENTS / DELETE_BATCH_KEYS;
    move |client, sequence| {
        let batch = sequence * LIST_CLIENTS as u64 + client;
        if batch >= batches {
            return None;
        }
        let mut body = String::from("<Delete><Quiet>true</Quiet>");
        for number in batch * DELETE_BATCH_KEYS..(batch + 1) * DELETE_BATCH_KEYS {
            let _ = write!(body, "<Object><Key>m/{:02}{:06}</Key></Object>", number / each, number % each);
        }
        body.push_str("</Delete>");
        Some(Operation {
            query: "delete=".to_owned(),
            extra: content_md5(body.as_bytes()),
            payload: Payload::Owned(body.into_bytes()),
            units: DELETE_BATCH_KEYS,
            ..Operation::new("POST", format!("/{BUCKET}"))
        })
    }
}

fn list_pages(
    first_key: u64,
    delimiter: &'static str,
) -> impl Fn(u64, u64) -> Option<Operation> + Send + Sync {
    move |client, sequence| {
        let page = (client + sequence) % LIST_PAGES;
        Some(list(delimiter, &list_key(first_key + page * PAGE_KEYS)))
    }
}

fn list_prefixes(first_prefix: u64) -> impl Fn(u64, u64) -> Option<Operation> + Send + Sync {
    // After the last key of the prefix before, so that the page begins with this prefix.
    let after =
        first_prefix.checked_sub(1).map(|before| list_key(before * KEYS_PER_PREFIX + KEYS_PER_PREFIX - 1));
    let after = after.unwrap_or_else(|| "l/".to_owned());
    move |_, _| Some(list("delimiter=%2F&", &after))
}

fn list(delimiter: &str, start_after: &str) -> Operation {
    let start_after = start_after.replace('/', "%2F");
    Operation {
        query: format!("{delimiter}list-type=2&max-keys={PAGE_KEYS}&prefix=l%2F&start-after={start_after}"),
        ..Operation::new("GET", format!("/{BUCKET}"))
    }
}

/// Any of the records.
fn any_record(client: u64, sequence: u64, records: u64) -> String {
    record_key(Choices::new(client << 40 | sequence).below(records.max(1)))
}

fn put_among(records: u64, round: u64) -> impl Fn(u64, u64) -> Option<Operation> + Send + Sync {
    move |client, sequence| {
        let behind = any_record(client, sequence ^ round << 32, records);
        Some(put(format!("/{BUCKET}/{behind}-{round}-{client}-{sequence}"), SMALL_BYTES))
    }
}

fn get_records(records: u64) -> impl Fn(u64, u64) -> Option<Operation> + Send + Sync {
    move |client, sequence| {
        Some(Operation::new("GET", format!("/{BUCKET}/{}", any_record(client, sequence, records))))
    }
}

fn list_records(records: u64) -> impl Fn(u64, u64) -> Option<Operation> + Send + Sync {
    move |client, sequence| {
        let after = any_record(client, sequence, records.saturating_sub(PAGE_KEYS)).replace('/', "%2F");
        Some(Operation {
            query: format!("list-type=2&max-keys={PAGE_KEYS}&prefix=r%2F&start-after={after}"),
            ..Operation::new("GET", format!("/{BUCKET}"))
        })
    }
}
