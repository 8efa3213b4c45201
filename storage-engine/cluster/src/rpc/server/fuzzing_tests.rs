use granary_types::{DriveId, NodeId, VolumeId};

use super::*;
use crate::rpc::wire::{AppendHead, DriveReport, LifeId};

#[path = "../../../fuzz/bodies/frames.rs"]
mod frames;

#[test]
fn the_seeds_of_fuzz_targets_find_nothing() {
    granary_seeds::replay(env!("CARGO_MANIFEST_DIR"), &[("frames", frames::run)]);
}

/// Seeds are bytes that say nothing to a reader: this says what they are, and that they still are.
#[test]
fn the_seeds_of_frames_are_messages_of_this_version() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/frames");
    for (name, expected) in seeds() {
        let path = dir.join(name);
        if std::env::var_os("GRANARY_UPDATE_SEEDS").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), expected, "{name}");
    }
}

fn seeds() -> [(&'static str, Vec<u8>); 4] {
    let drive = DriveId::from_bytes([2; 16]);
    let hello = HelloAnswer {
        cluster: ClusterId::from_bytes([1; 16]),
        node: NodeId::from_bytes([3; 16]),
        life: LifeId([4; 16]),
        drives: vec![DriveReport {
            drive,
            place: "node:/d1".to_owned(),
            is_usable: true,
            is_retired: false,
            free_bytes: 1 << 40,
            total_bytes: 1 << 42,
        }],
    };
    let head = AppendHead {
        handle: Handle(7),
        offset: 4096,
        length_before_bytes: 4096,
        length_bytes: 5,
        bypasses_cache: false,
        flushes_now: true,
    };
    let group = wire::encode(&AppendGroup { drive, is_bulk_lane: false, appends: vec![head] }).unwrap();
    let name = granary_drive::ShardName { volume: VolumeId::from_bytes([5; 16]), column: 1 };
    let on_shard = wire::encode(&OnShard::new(drive, name, (4, 2))).unwrap();
    let hand_over = wire::encode(&HandOver { lengths_bytes: vec![3, 5] }).unwrap();
    let with_length = |control: &[u8], bytes: &[u8]| [&wire::bulk_head(control).unwrap()[..], bytes].concat();
    // The first byte is the length of the pieces.
    let seed = |message: &[u8]| [&[3], message].concat();
    [
        ("hello", seed(&wire::encode(&hello).unwrap())),
        ("append", seed(&with_length(&group, b"bytes"))),
        ("hand_over", seed(&with_length(&hand_over, b"saybytes"))),
        ("shard", seed(&on_shard)),
    ]
}
