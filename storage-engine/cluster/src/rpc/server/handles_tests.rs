use std::sync::Weak;
use std::sync::mpsc::{Sender, channel};
use std::thread::ThreadId;

use async_trait::async_trait;
use bytes::Bytes;
use granary_drive::{Drive, DriveError, Identity, Member, write_identity};
use granary_types::{ClusterId, VolumeId};

use super::*;
use crate::access::LocalDrive;

const ONE: LifeId = LifeId([1; 16]);
const OTHER: LifeId = LifeId([2; 16]);
const PROFILE: (u8, u8) = (4, 2);

fn name(number: u8) -> ShardName {
    ShardName { volume: VolumeId::from_bytes([number; 16]), column: 0 }
}

fn drive(directory: &std::path::Path) -> LocalDrive {
    let member = Member { drive: DriveId::from_bytes([1; 16]), slot: 0 };
    let cluster = ClusterId::from_bytes([1; 16]);
    let identity = Identity::new(cluster, &member, std::slice::from_ref(&member), "4+2");
    write_identity(directory, &identity).unwrap();
    LocalDrive(Drive::open(directory, identity, Duration::from_mins(1)).unwrap())
}

async fn shard(drive: &LocalDrive, number: u8) -> OpenShard {
    let shard = drive.create_shard(name(number), PROFILE).await.unwrap();
    OpenShard { drive: Arc::new(drive.clone()), shard }
}

#[tokio::test]
async fn a_handle_serves_the_life_that_opened_it_and_only_as_it_was_opened() {
    let directory = tempfile::tempdir().unwrap();
    let drive = drive(directory.path());
    let handles = Handles::default();
    let appending = handles.add_shard(shard(&drive, 1).await, Use::Append, ONE).unwrap();
    let reading = handles.add_shard(shard(&drive, 2).await, Use::Read, ONE).unwrap();
    assert!(handles.shard(appending, Use::Append, ONE).is_ok());
    assert!(handles.shard(appending, Use::Read, ONE).is_ok());
    assert!(handles.shard(reading, Use::Read, ONE).is_ok());
    assert!(matches!(handles.shard(reading, Use::Append, ONE), Err(Failure::NoHandle)));
    assert!(matches!(handles.shard(appending, Use::Append, OTHER), Err(Failure::NoHandle)));
    handles.close(&[appending], OTHER);
    assert!(handles.shard(appending, Use::Append, ONE).is_ok(), "closed by somebody else");
    handles.close(&[appending], ONE);
    assert!(handles.shard(appending, Use::Append, ONE).is_err());
}

#[tokio::test]
async fn what_nobody_uses_is_closed_and_what_is_appended_to_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let drive = drive(directory.path());
    let handles = Handles::default();
    let appending = handles.add_shard(shard(&drive, 1).await, Use::Append, ONE).unwrap();
    let reading = handles.add_shard(shard(&drive, 2).await, Use::Read, ONE).unwrap();
    let orphan = handles.add_shard(shard(&drive, 3).await, Use::Append, OTHER).unwrap();
    handles.hear(OTHER);
    let limit = Duration::from_secs(1);
    tokio::time::sleep(limit + Duration::from_millis(100)).await;
    handles.hear(ONE);
    handles.sweep(limit);
    assert!(handles.shard(appending, Use::Append, ONE).is_ok(), "its writer lives");
    assert!(handles.shard(reading, Use::Read, ONE).is_err());
    assert!(handles.shard(orphan, Use::Append, OTHER).is_err(), "its writer is gone");
}

#[tokio::test]
async fn readers_make_room_for_others_and_writers_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let drive = drive(directory.path());
    let handles = Handles::default();
    let (first, second) = (shard(&drive, 1).await, shard(&drive, 2).await);
    let reading = handles.add_shard(first, Use::Read, ONE).unwrap();
    for _ in 1..SHARDS_MAX {
        handles.add_shard(second.clone(), Use::Append, ONE).unwrap();
    }
    assert!(handles.add_shard(second.clone(), Use::Append, ONE).is_some());
    assert!(handles.shard(reading, Use::Read, ONE).is_err());
    assert!(handles.add_shard(second, Use::Append, ONE).is_none());
}

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl ReplacementAccess for Nothing {
    async fn write(&self, _offset: u64, _bytes: Bytes) -> Result<(), DriveError> {
        Ok(())
    }

    async fn install(&self) -> Result<(), DriveError> {
        Ok(())
    }
}

#[tokio::test]
async fn replacements_are_begun_one_at_a_time_bounded_and_dropped_when_idle() {
    let handles = Arc::new(Handles::default());
    let on = |number| OnShard::new(DriveId::from_bytes([1; 16]), name(number), PROFILE);
    let beginning = handles.begin_replacement(&on(0)).unwrap();
    assert!(handles.begin_replacement(&on(0)).is_none(), "it is being begun");
    let first = handles.add_replacement(Arc::new(Nothing), &on(0), ONE);
    drop(beginning);
    let (held, _) = handles.replacement(first, ONE).unwrap();
    assert!(handles.begin_replacement(&on(0)).is_none(), "it is being written");
    assert!(handles.replacement(first, OTHER).is_err());
    drop(held);
    drop(handles.begin_replacement(&on(0)).unwrap());
    assert!(handles.replacement(first, ONE).is_err(), "another took its place");
    for number in 0..REPLACEMENTS_MAX {
        let on = on(u8::try_from(number).unwrap());
        let _beginning = handles.begin_replacement(&on).unwrap();
        handles.add_replacement(Arc::new(Nothing), &on, ONE);
    }
    assert!(handles.begin_replacement(&on(200)).is_none(), "there are too many");
    handles.hear(ONE);
    std::thread::sleep(Duration::from_millis(20));
    handles.hear(ONE);
    handles.sweep(Duration::from_millis(10));
    assert!(handles.begin_replacement(&on(200)).is_some());
}

/// Tells where it is dropped, and whether the table could be used meanwhile.
#[derive(Debug)]
struct Telling {
    handles: Weak<Handles>,
    dropped: Sender<(ThreadId, bool)>,
}

impl Drop for Telling {
    fn drop(&mut self) {
        let is_free = self.handles.upgrade().is_some_and(|it| it.replacements.try_lock().is_some());
        self.dropped.send((std::thread::current().id(), is_free)).unwrap();
    }
}

#[async_trait]
impl ReplacementAccess for Telling {
    async fn write(&self, _offset: u64, _bytes: Bytes) -> Result<(), DriveError> {
        Ok(())
    }

    async fn install(&self) -> Result<(), DriveError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_file_that_is_slow_to_remove_held_up_everybody_else_s_handles() {
    let handles = Arc::new(Handles::default());
    let on = OnShard::new(DriveId::from_bytes([1; 16]), name(1), PROFILE);
    let (dropped, told) = channel();
    let telling = || Arc::new(Telling { handles: Arc::downgrade(&handles), dropped: dropped.clone() });
    let check = |how: &str| {
        let (thread, is_free) = told.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(is_free, "{how}: the table was locked");
        assert_ne!(thread, std::thread::current().id(), "{how}: on the thread of requests");
    };
    handles.hear(ONE);
    let closed = handles.add_replacement(telling(), &on, ONE);
    handles.close(&[closed], ONE);
    check("closed");
    handles.add_replacement(telling(), &on, ONE);
    drop(handles.begin_replacement(&on).unwrap());
    check("begun again");
    handles.add_backup(telling(), on.drive, ONE).unwrap();
    handles.sweep(Duration::ZERO);
    check("swept");
    for _ in 0..REPLACEMENTS_MAX {
        handles.add_backup(Arc::new(Nothing), on.drive, ONE).unwrap();
    }
    assert!(handles.add_backup(telling(), on.drive, ONE).is_none());
    check("too many");
}

/// The table and what was at work on it looked at the same moment, and each left the dropping to the other.
#[tokio::test]
async fn a_replacement_with_two_last_holders_was_dropped_on_the_thread_of_requests() {
    let handles = Arc::new(Handles::default());
    let on = OnShard::new(DriveId::from_bytes([1; 16]), name(1), PROFILE);
    let (dropped, told) = channel();
    handles.hear(ONE);
    let replacement = Arc::new(Telling { handles: Arc::downgrade(&handles), dropped });
    let handle = handles.add_replacement(replacement, &on, ONE);
    let (first, _) = handles.replacement(handle, ONE).unwrap();
    let (second, _) = handles.replacement(handle, ONE).unwrap();
    first.write(0, Bytes::new()).await.unwrap();
    handles.close(&[handle], ONE);
    drop(first);
    assert!(told.try_recv().is_err(), "somebody is at work on it");
    drop(second);
    let (thread, _) = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_ne!(thread, std::thread::current().id());
}
