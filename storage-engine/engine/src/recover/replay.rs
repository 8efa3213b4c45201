//! The versions of one key, from what a backup and the blocks tell of it. Pure.
//!
//! Everything is replayed in the order of its stamps: a null version replaces the one before, a version with an id comes on
//! top, a delete takes away what it names.

use std::collections::{BTreeMap, HashMap};

use granary_keys::units::stored_length_bytes;
use granary_metadata::moving::VersionEntry;
use granary_metadata::{
    Content, LegalHold, NewObject, ObjectLock, PackedLocation, PartRef, Tag, TagMatch, VersionKind,
    WriteConditions,
};
use granary_types::{BlobId, BucketId, ObjectKey, StorageClass, VersionId, WriteId};
use serde::{Deserialize, Serialize};

use super::later::{Later, joined};
use super::report::{Finding, FindingKind};
use super::{Candidates, Verdict};
use crate::record::Piece;
use crate::told::{Deed, Stamp, Told, is_before};

/// Clocks of nodes may be so far apart. Two writes that are closer, of two processes, are in conflict.
pub(crate) const CLOCKS_APART_US: u64 = 5_000_000;

/// What a version has about whose locks nothing is known.
pub(super) const HELD: ObjectLock = ObjectLock { retention: None, legal_hold: LegalHold::On };

/// Whether what was found is known to have been committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Standing {
    /// It lies behind the last end that is known of its volume.
    Behind,
    /// It lies before.
    Before,
}

/// A record that was found in a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) bucket: BucketId,
    pub(super) key: ObjectKey,
    pub(super) object: NewObject,
    pub(super) piece: Piece,
    pub(super) told: Option<Told>,
    pub(super) stamp: Stamp,
    /// Where the bytes are, of a packed object.
    pub(super) place: Option<PackedLocation>,
    pub(super) standing: Standing,
    /// How many columns of its stripe are readable; none of one that cannot be rebuilt.
    pub(super) columns: u8,
}

/// What is known of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "most are records")]
pub(super) enum Item {
    /// A version that the backup knows.
    Base(VersionEntry),
    /// Tags that the backup knows.
    BaseTags(BucketId, ObjectKey, WriteId, Vec<Tag>),
    /// An access control list that the backup knows.
    BaseAcl(BucketId, ObjectKey, WriteId, Vec<u8>),
    /// A record.
    Record(Record),
}

/// By what it is decided.
pub(super) struct Rules<'r> {
    pub(super) backup_ms: Option<i64>,
    pub(super) candidates: Candidates,
    pub(super) decisions: &'r HashMap<WriteId, Verdict>,
    /// Whether all bytes of a blob of that length were found.
    pub(super) has_blob: &'r dyn Fn(BlobId, u64) -> bool,
}

/// A version as it comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) object: NewObject,
    pub(super) order: u64,
    pub(super) lock: ObjectLock,
    pub(super) tags: Vec<Tag>,
    pub(super) acl: Option<Vec<u8>>,
    /// Whether the backup knows it.
    pub(super) in_backup: bool,
    pub(super) is_lost: bool,
}

/// What became of a key.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// The oldest first.
    pub(super) versions: Vec<Version>,
    pub(super) top_order: u64,
    pub(super) findings: Vec<Finding>,
    pub(super) gone: u64,
    pub(super) outdated: u64,
    pub(super) undecided: u64,
}

pub(super) enum Act {
    Put(Box<Version>, Option<WriteConditions>),
    Erase(VersionId, WriteId, i64),
}

pub(super) struct Event {
    pub(super) stamp: Stamp,
    standing: Standing,
    /// Of a version that only the backup knows, the stamp is a guess.
    is_stamped: bool,
    pub(super) act: Act,
}

/// Replays what is known of a key.
pub(super) fn replay(bucket: BucketId, key: &ObjectKey, items: Vec<Item>, rules: &Rules<'_>) -> Replayed {
    let mut known = Known::sort(items);
    let mut replayed = Replayed::default();
    let top = known.base.values().map(|entry| entry.top_order).max().unwrap_or(0);
    let mut events = known.base_events(rules);
    events.extend(known.other_events(rules, &mut replayed));
    events.sort_by_key(|event| event.stamp);
    let mut live: Vec<Version> = Vec::new();
    let mut last: Option<(Stamp, bool)> = None;
    for event in events {
        let conflict = last.is_some_and(|(stamp, is_stamped)| {
            let is_close = event.stamp.at_us.saturating_sub(stamp.at_us) < CLOCKS_APART_US;
            is_close && is_stamped && event.is_stamped && stamp.life != event.stamp.life
        });
        last = Some((event.stamp, event.is_stamped));
        if counts((bucket, key), &event, conflict, &live, rules, &mut replayed) {
            apply(event.act, &mut live, &mut replayed);
        }
    }
    for lost in live.iter().filter(|version| version.is_lost) {
        let finding = Finding::new(FindingKind::Lost, bucket, key);
        let object = &lost.object;
        replayed.findings.push(finding.of_write(object.version, object.write, object.modified.0));
    }
    live.retain(|version| !version.is_lost);
    number(&mut live, top);
    replayed.top_order = live.last().map_or(top, |version| version.order.max(top));
    replayed.versions = live;
    replayed
}

/// Gives orders: those of the backup stay where they still go up.
fn number(versions: &mut [Version], top: u64) {
    let mut last = 0_u64;
    for version in versions {
        let stays = version.in_backup && version.order > last;
        let next = last.saturating_add(1);
        version.order = match (stays, version.in_backup) {
            (true, _) => version.order,
            (false, true) => next,
            (false, false) => next.max(top.saturating_add(1)),
        };
        last = version.order;
    }
}

fn apply(act: Act, live: &mut Vec<Version>, replayed: &mut Replayed) {
    let before = live.len();
    let version = match &act {
        Act::Put(put, _) => put.object.version,
        Act::Erase(version, ..) => *version,
    };
    live.retain(|other| other.object.version != version);
    let gone = u64::try_from(before.saturating_sub(live.len())).unwrap_or(0);
    replayed.gone = replayed.gone.saturating_add(gone);
    if let Act::Put(put, _) = act {
        live.push(*put);
    }
}

/// Whether an event counts. Says so if somebody has to decide that.
fn counts(
    (bucket, key): (BucketId, &ObjectKey),
    event: &Event,
    conflict: bool,
    live: &[Version],
    rules: &Rules<'_>,
    replayed: &mut Replayed,
) -> bool {
    let (version, write, modified_ms, deed) = match &event.act {
        Act::Put(put, _) if put.in_backup => return true,
        Act::Put(put, _) => (put.object.version, put.object.write, put.object.modified.0, "put"),
        Act::Erase(version, write, modified_ms) => (*version, *write, *modified_ms, "delete"),
    };
    let held = match &event.act {
        Act::Put(_, Some(conditions)) => holds(conditions, live.last()),
        _ => true,
    };
    let kind = match (held, conflict, event.standing) {
        (false, ..) => FindingKind::Condition,
        (true, true, _) => FindingKind::Conflict,
        (true, false, Standing::Behind) => FindingKind::Unconfirmed,
        (true, false, Standing::Before) => return true,
    };
    let suggested = if held { Verdict::Include } else { Verdict::Exclude };
    let decided = rules.decisions.get(&write).copied();
    let verdict = decided.unwrap_or(match rules.candidates {
        Candidates::Undecided | Candidates::AsSuggested => suggested,
        Candidates::All => Verdict::Include,
        Candidates::None => Verdict::Exclude,
    });
    replayed.undecided = replayed.undecided.saturating_add(u64::from(decided.is_none()));
    let finding = Finding::new(kind, bucket, key).of_write(version, write, modified_ms);
    replayed.findings.push(Finding { deed, suggested: Some(suggested), decision: Some(verdict), ..finding });
    verdict == Verdict::Include
}

/// Whether the conditions of a put hold against the current version.
fn holds(conditions: &WriteConditions, current: Option<&Version>) -> bool {
    conditions_hold(conditions, current.map(|version| &version.object))
}

/// Whether the conditions of a put hold against what is current.
pub(crate) fn conditions_hold(conditions: &WriteConditions, current: Option<&NewObject>) -> bool {
    let current = current.filter(|object| object.kind == VersionKind::Object);
    let fits = |wanted: &TagMatch, object: &NewObject| match wanted {
        TagMatch::Any => true,
        TagMatch::OneOf(tags) => tags.contains(&object.etag),
    };
    let is_match =
        conditions.if_match.as_ref().is_none_or(|wanted| current.is_some_and(|is| fits(wanted, is)));
    let is_none =
        conditions.if_none_match.as_ref().is_none_or(|not| !current.is_some_and(|is| fits(not, is)));
    is_match && is_none
}

/// What is known of a key, sorted.
#[derive(Default)]
pub(super) struct Known {
    base: BTreeMap<WriteId, VersionEntry>,
    tags: HashMap<WriteId, Vec<Tag>>,
    acls: HashMap<WriteId, Vec<u8>>,
    /// The records of each write that count: those of its last try.
    pub(super) puts: BTreeMap<WriteId, Vec<Record>>,
    pub(super) erased: BTreeMap<WriteId, Record>,
    /// What was told of each write after it was put.
    pub(super) later: HashMap<WriteId, Later>,
}

impl Known {
    pub(super) fn sort(items: Vec<Item>) -> Self {
        let mut known = Self::default();
        let mut refused: HashMap<WriteId, Stamp> = HashMap::new();
        for item in items {
            match item {
                Item::Base(entry) => drop(known.base.insert(entry.row.object.write, entry)),
                Item::BaseTags(_, _, write, tags) => drop(known.tags.insert(write, tags)),
                Item::BaseAcl(_, _, write, acl) => drop(known.acls.insert(write, acl)),
                Item::Record(record) => match record.told.as_ref().map(|told| told.deed.clone()) {
                    Some(Deed::Put) | None => {
                        known.puts.entry(record.object.write).or_default().push(record);
                    }
                    Some(Deed::Retiered) => {
                        known.later.entry(record.object.write).or_default().learn(record);
                    }
                    Some(Deed::Erased) => drop(known.erased.insert(record.object.write, record)),
                    Some(Deed::Refused(write)) => {
                        let last = refused.entry(write).or_default();
                        *last = record.stamp.max(*last);
                    }
                    Some(Deed::Bucket(_) | Deed::BucketGone) => {}
                },
            }
        }
        let is_refused = |write: &WriteId, stamp| refused.get(write).is_some_and(|at| *at > stamp);
        for (write, records) in &mut known.puts {
            let last = records.iter().map(|record| record.stamp).max().unwrap_or_default();
            records.retain(|record| record.stamp == last && !is_refused(write, last));
        }
        known.puts.retain(|_, records| !records.is_empty());
        known.erased.retain(|write, record| !is_refused(write, record.stamp));
        known
    }

    /// The versions of the backup, each where its bytes are now.
    fn base_events(&mut self, rules: &Rules<'_>) -> Vec<Event> {
        let mut events = Vec::with_capacity(self.base.len());
        for (write, entry) in &self.base {
            let records = self.puts.remove(write);
            let mut object = entry.row.object.clone();
            let place = records.as_ref().and_then(|records| best_place(records));
            let later = self.later.get(write);
            if let Some(content) = blobs_of(later, &object, rules) {
                object.content = content;
            }
            let is_lost = match (object.content.packed().is_some(), place) {
                (false, _) => !has_all(&object.content, rules),
                (true, Some(place)) => {
                    object.content = Content::Packed(place).sealed_like(&object.content);
                    false
                }
                (true, None) => true,
            };
            let told = records.as_ref().and_then(|records| coldest(records));
            cool(&mut object, told.map(|told| told.object.storage_class));
            cool(&mut object, later.and_then(|later| later.class));
            let stamp = told.map(|record| record.stamp);
            let guess = Stamp { at_us: micros(object.modified.0), life: 0 };
            let version = Version {
                object,
                order: entry.row.order,
                // A lock that cannot be understood is not taken for none.
                lock: entry.object_lock().unwrap_or(HELD),
                tags: self.tags.remove(write).unwrap_or_default(),
                acl: self.acls.remove(write),
                in_backup: true,
                is_lost,
            };
            events.push(Event {
                stamp: stamp.unwrap_or(guess),
                standing: Standing::Before,
                is_stamped: false,
                act: Act::Put(Box::new(version), None),
            });
        }
        // Where the backup's order and guessed stamps disagree, the order is right.
        events.sort_by_key(|event| match &event.act {
            Act::Put(version, _) => version.order,
            Act::Erase(..) => 0,
        });
        let mut last = Stamp::default();
        for event in &mut events {
            event.stamp = event.stamp.max(last);
            last = event.stamp;
        }
        events
    }

    fn other_events(self, rules: &Rules<'_>, replayed: &mut Replayed) -> Vec<Event> {
        let mut events = Vec::new();
        let mut is_outdated = |stamp: Stamp| {
            let outdated = rules.backup_ms.is_some_and(|backup| is_before(stamp, backup));
            replayed.outdated = replayed.outdated.saturating_add(u64::from(outdated));
            outdated
        };
        for (write, records) in self.puts {
            let event = put_event(&records, self.later.get(&write), rules);
            events.extend(event.filter(|event| !is_outdated(event.stamp)));
        }
        for (write, record) in self.erased {
            if !is_outdated(record.stamp) {
                let (stamp, standing) = (record.stamp, record.standing);
                let act = Act::Erase(record.object.version, write, record.object.modified.0);
                events.push(Event { stamp, standing, is_stamped: true, act });
            }
        }
        events
    }
}

fn micros(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0).saturating_mul(1000)
}

/// Of several records of one version, the one told when it had moved to its last class.
fn coldest(records: &[Record]) -> Option<&Record> {
    // The first of those that are alike.
    records.iter().rev().max_by_key(|record| record.object.storage_class.coldness())
}

/// Of several places of the same bytes, the one with the most columns.
fn best_place(records: &[Record]) -> Option<PackedLocation> {
    let placed = records.iter().filter_map(|record| Some((record.columns, record.place.as_ref()?)));
    let best = placed.max_by_key(|(columns, place)| (*columns, place.volume, place.stripe_offset));
    best.map(|(_, place)| place.clone())
}

/// Gives an object the class that it was told to have later, if that is a colder one.
fn cool(object: &mut NewObject, told: Option<StorageClass>) {
    if let Some(class) = told.filter(|class| object.storage_class.may_become(*class)) {
        object.storage_class = class;
    }
}

/// The blobs that a version was told to refer to later.
fn blobs_of(later: Option<&Later>, object: &NewObject, rules: &Rules<'_>) -> Option<Content> {
    later?.content(&object.content, object.storage_class, rules)
}

pub(super) fn put_event(records: &[Record], later: Option<&Later>, rules: &Rules<'_>) -> Option<Event> {
    let standing = records.iter().map(|record| record.standing).max()?;
    let place = best_place(records);
    let pieces: BTreeMap<u32, &Record> = records.iter().map(|record| (record.piece.index, record)).collect();
    let first = coldest(records)?;
    let is_whole = usize::try_from(first.piece.of).is_ok_and(|of| of == pieces.len());
    let mut object = first.object.clone();
    if let Some(place) = place {
        object.content = Content::Packed(place).sealed_like(&first.object.content);
    } else if let Some(content) = joined(&pieces) {
        object.content = content;
        if let Some(content) = blobs_of(later, &object, rules) {
            object.content = content;
        }
    }
    cool(&mut object, later.and_then(|later| later.class));
    let has_place = object.content.packed().is_some() || object.content.blobs().is_some();
    let is_empty = !has_place && object.length_bytes > 0;
    let is_lost = !is_whole || is_empty || !has_all(&object.content, rules);
    let (stamp, told) = (first.stamp, first.told.as_ref());
    let version = Version {
        object,
        order: 0,
        lock: told.map(|told| told.lock).unwrap_or_default(),
        tags: told.map(|told| told.tags.clone()).unwrap_or_default(),
        acl: told.and_then(|told| told.acl.clone()).map(String::into_bytes),
        in_backup: false,
        is_lost,
    };
    let conditions = told.and_then(|told| told.conditions.clone());
    let is_stamped = told.is_some();
    Some(Event { stamp, standing, is_stamped, act: Act::Put(Box::new(version), conditions) })
}

/// How many bytes are stored of a part.
pub(crate) fn stored_length(content: &Content, part: &PartRef) -> u64 {
    match content.seal() {
        Some(_) => stored_length_bytes(part.length_bytes),
        None => part.length_bytes,
    }
}

pub(super) fn has_all(content: &Content, rules: &Rules<'_>) -> bool {
    content.parts().iter().all(|part| (rules.has_blob)(part.blob, stored_length(content, part)))
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
