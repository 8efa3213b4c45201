//! What may go wrong in the middle of a move between tiers, in the real binary: the server dies at every step of it, the power
//! fails, drives are lost, and clients overwrite, delete, copy and lock what is moved.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ObjectLockLegalHold, ObjectLockLegalHoldStatus, StorageClass, TransitionStorageClass,
};
use granary_tests::census::Harm;
use granary_tests::client::decided;
use granary_tests::content::{Choices, seeded_bytes};
use granary_tests::frozen::Calls;
use granary_tests::load::{self, Ledger, Load, OnFailure};
use granary_tests::mount::Mount;
use granary_tests::scenes::Scene;
use granary_tests::server::binary;
use granary_tests::tiers::{
    BUCKET, HDDS, check_all, complete, config, content_bytes, count_classes, live_bytes, put_all, set_rule,
    wait, wait_collected, wait_live, wait_lives, wait_moved,
};
use granary_tests::{PATIENCE, Server, ServerConfig};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

const IR: TransitionStorageClass = TransitionStorageClass::GlacierIr;
const IMAGE_BYTES: u64 = 2 << 30;
/// How many servers die beside each other: they wait more than they work.
const TOGETHER: usize = 3;
/// Moves of a few MB take half a minute with it.
const SLOW: (&str, &str) = ("GRANARY_MOVE_RATE_BYTES", "500000");
/// A volume holds less than a part, and so each part that is shared is a step of its own.
const SHORT_VOLUMES: (&str, &str) = ("GRANARY_VOLUME_LIMIT_BYTES", "4194304");

/// A death in the middle of a move.
#[derive(Clone, Debug)]
struct Death {
    scene: Scene,
    moment: Moment,
    /// How many parts live twice on the disks in the end.
    twice: RangeInclusive<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// At a crash point.
    At(&'static str),
    /// So long after the first was moved, when others are not yet.
    Midway(Duration),
}

/// At every step of a move: of packed objects, of large ones, of what shares its bytes, and of what only changes its class.
fn deaths() -> Vec<Death> {
    let large = ["after_copy_before_verify", "after_blob", "after_verify_before_commit", "after_commit"];
    let packed = ["after_pack_before_verify", "after_pack_verify_before_commit", "after_pack_commit"];
    let points = |scene, points: &[&'static str]| {
        let death = |point: &&'static str| Death { scene, moment: Moment::At(point), twice: 0..=0 };
        points.iter().map(death).collect::<Vec<_>>()
    };
    let mut all = points(Scene::Own, &packed);
    all.extend(points(Scene::Own, &large));
    all.extend(points(Scene::Labels, &["after_labels"]));
    all.extend(points(Scene::Parted, &large));
    // Who died has forgotten the copies that counted already, and the other object gets its own. If half of an object is on the
    // disks, compaction may put that back, and then both get copies of all; or it frees what the other one is read from, which has
    // its turn after the copies are forgotten then.
    let twice = [1..=2, 1..=2, 2..=2, 2..=2];
    let of_two = ["after_blob", "after_verify_before_commit", "after_commit", "after_verify_before_commit:2"];
    let shared = points(Scene::Shared, &of_two).into_iter().zip(twice);
    all.extend(shared.map(|(death, twice)| Death { twice, ..death }));
    all
}

/// A file system that may lose its power.
struct Disk {
    /// Dropped before the directory that it is in.
    mount: Option<Mount>,
    dir: TempDir,
}

impl Disk {
    fn new() -> Result<Self> {
        let mut disk = Self { mount: None, dir: tempfile::tempdir()? };
        Mount::make_ext4(&disk.dir.path().join("image"), IMAGE_BYTES)?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&mut self) -> Result<()> {
        self.mount = None;
        let [image, mounted] = ["image", "disk"].map(|name| self.dir.path().join(name));
        self.mount = Some(Mount::ext4(&mounted, &image)?);
        Ok(())
    }

    /// The settings of a server that has its drives there.
    fn config(&self) -> ServerConfig {
        let drive = |number| self.dir.path().join("disk").join(format!("d{number}"));
        ServerConfig { drive_paths: (0..3 + HDDS).map(drive).collect(), ..config() }
    }

    /// What was not flushed is gone.
    async fn cut_power(&mut self, server: &mut Server) -> Result<()> {
        // It has died by itself, unless it is to be cut off midway.
        if server.is_running() {
            server.freeze_with(Calls::UnderWay).await?;
        }
        self.mount.as_ref().context("a mount")?.cut_power()?;
        server.kill()?;
        self.mount()
    }
}

impl Death {
    /// The server dies while it moves what was written before, is started again, and goes on to the end. The power fails as well,
    /// if there is a disk for that.
    async fn is_survived(&self, server: &mut Server, disk: Option<&mut Disk>) -> Result<()> {
        let mut env = config().env;
        if matches!(self.scene, Scene::Shared | Scene::Parted) {
            env.push((SHORT_VOLUMES.0.to_owned(), SHORT_VOLUMES.1.to_owned()));
        }
        server.set_env(env.clone());
        server.launch().await?;
        self.scene.write(server).await?;
        // Two that share their bytes move together only if both are due when the first is looked at, after a day of a second.
        let due = tokio::time::Instant::now() + Duration::from_secs(1);
        server.stop().await?;
        let mut deadly = env.clone();
        deadly.push(match self.moment {
            Moment::At(point) => ("GRANARY_CRASH_POINT".to_owned(), format!("tier.{point}")),
            Moment::Midway(_) => (SLOW.0.to_owned(), SLOW.1.to_owned()),
        });
        server.set_env(deadly);
        server.launch().await?;
        tokio::time::sleep_until(due).await;
        self.happens(server).await?;
        match disk {
            Some(disk) => disk.cut_power(server).await?,
            None => server.kill()?,
        }
        server.set_env(env);
        server.launch().await?;
        self.scene.ends_whole(server, self.twice.clone()).await
    }

    async fn happens(&self, server: &mut Server) -> Result<()> {
        let client = server.client()?;
        self.scene.begin(&client).await?;
        match self.moment {
            Moment::At(_) => drop(server.wait_exit(PATIENCE).await?),
            Moment::Midway(delay) => {
                self.scene.wait_midway(&client).await?;
                tokio::time::sleep(delay).await;
                self.scene.ensure_midway(&client).await?;
            }
        }
        Ok(())
    }
}

/// Does something for each of these, for some of them at a time.
async fn together<T: 'static>(all: impl IntoIterator<Item = T>, what: impl AsyncFn(T) + Copy + 'static) {
    let gate = Arc::new(Semaphore::new(TOGETHER));
    let mut running = JoinSet::new();
    let tasks = LocalSet::new();
    for one in all {
        let gate = Arc::clone(&gate);
        let task = async move {
            let _turn = gate.acquire().await.unwrap();
            what(one).await;
        };
        running.spawn_local_on(task, &tasks);
    }
    tasks.run_until(running.join_all()).await;
}

#[tokio::test]
async fn a_move_that_is_killed_at_any_step_goes_on_and_loses_nothing() {
    together(deaths(), async |death| {
        let mut server = Server::prepare(config()).unwrap();
        let survived = death.is_survived(&mut server, None).await;
        survived.unwrap_or_else(|error| panic!("{death:?}: {error:#}"));
    })
    .await;
}

/// The power fails at each step, and at some other times: what was not flushed is gone.
#[tokio::test]
async fn a_power_cut_in_the_middle_of_a_move_loses_nothing() {
    let moments = [0, 1_500, 3_000].map(|millis| Moment::Midway(Duration::from_millis(millis)));
    let others = moments.map(|moment| Death { scene: Scene::Own, moment, twice: 0..=0 });
    together(deaths().into_iter().chain(others), async |death| {
        let mut disk = Disk::new().unwrap();
        let mut server = Server::prepare(disk.config()).unwrap();
        let survived = death.is_survived(&mut server, Some(&mut disk)).await;
        survived.unwrap_or_else(|error| panic!("{death:?}: {error:#}"));
    })
    .await;
}

/// A disk that is written, and an SSD that is read, are lost in the middle of a move.
#[tokio::test]
async fn a_drive_lost_in_the_middle_of_a_move_loses_nothing() {
    together([0, 6], async |slot| {
        let server = Server::start(config().env("GRANARY_MOVE_RATE_BYTES", "1500000")).await.unwrap();
        let client = server.client().unwrap();
        put_all(&client).await.unwrap();
        set_rule(&client, BUCKET, IR).await.unwrap();
        Scene::Own.wait_midway(&client).await.unwrap();
        let lost = server.drive_paths()[slot].clone();
        Harm::Removed.inflict(&lost, &mut Choices::new(0)).unwrap();
        Scene::Own.ensure_midway(&client).await.unwrap();
        check_all(&client).await.unwrap();
        wait_moved(&client, BUCKET, "STANDARD", "GLACIER_IR").await.unwrap();
        check_all(&client).await.unwrap();
        // A new drive in its place takes its share.
        std::fs::create_dir_all(&lost).unwrap();
        let mut left = None;
        let healed = wait("the census is complete", PATIENCE, async || {
            // What was being moved or sealed is for the next heal.
            server.admin_output(&["heal"]).await?;
            left = complete(&server, 1).await.err();
            Ok(left.is_none())
        });
        healed.await.with_context(|| format!("{left:?}")).unwrap();
        // Not with heals going on: each seals what is open, which is compacted then.
        wait_collected(&server, 1).await.unwrap();
        wait_live(&server, content_bytes()).await.unwrap();
        check_all(&client).await.unwrap();
    })
    .await;
}

/// Clients put, overwrite, delete, upload in parts and read what rules move under them.
#[tokio::test]
async fn a_load_on_what_is_moved_never_sees_a_wrong_byte() {
    let mut server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    client.create_bucket().bucket(load::BUCKET).send().await.unwrap();
    set_rule(&client, load::BUCKET, IR).await.unwrap();
    let ledger = Arc::new(Ledger::default());
    for seed in 0..3 {
        let load = Load::start(&server.client().unwrap(), &ledger, 8, seed, OnFailure::Stop);
        tokio::time::sleep(Duration::from_secs(4)).await;
        if seed == 1 {
            server.kill().unwrap();
        }
        load.finish().await.unwrap();
        if seed == 1 {
            server.launch().await.unwrap();
        }
        ledger.verify(&server.client().unwrap()).await.unwrap();
    }
    let counts = count_classes(&server.client().unwrap(), load::BUCKET, ["STANDARD", "GLACIER_IR"]).await;
    assert!(counts.unwrap()[1] > 0, "nothing was moved under the load");
    // Parts of uploads that the death cut off stay where they are, until they are given up. The rule moves nothing that is empty.
    let client = server.client().unwrap();
    let uploads = client.list_multipart_uploads().bucket(load::BUCKET).send().await.unwrap();
    for upload in uploads.uploads() {
        let abort = client.abort_multipart_upload().bucket(load::BUCKET);
        let abort = abort.set_key(upload.key.clone()).set_upload_id(upload.upload_id.clone());
        abort.send().await.unwrap();
    }
    let moved =
        wait("what is not empty is moved", PATIENCE, async || Ok(live_bytes(&server, "ssd").await? == 0));
    moved.await.unwrap();
    ledger.verify(&client).await.unwrap();
    // Copies share the bytes of large objects, and may go on sharing them on the disks.
    wait_lives(&server, 0, ledger.distinct_bytes()..=ledger.settled_bytes()).await.unwrap();
    wait_collected(&server, 1).await.unwrap();
    ledger.verify(&client).await.unwrap();
}

/// Objects are copied and locked while they are moved. Locks move with them and hold.
#[tokio::test]
async fn copies_and_locks_race_the_moves() {
    const OBJECTS: u64 = 24;
    // Large objects are moved for some two seconds, a few at a time.
    let config = config().env("GRANARY_MOVE_RATE_BYTES", "1000000");
    let server = Server::start(config).await.unwrap();
    let client = server.client().unwrap();
    let bucket = client.create_bucket().bucket(BUCKET).object_lock_enabled_for_bucket(true);
    bucket.send().await.unwrap();
    let body = |n: u64| seeded_bytes(n, if n.is_multiple_of(2) { 9_000 } else { 400_000 });
    for n in 0..OBJECTS {
        let put = client.put_object().bucket(BUCKET).key(format!("o{n}"));
        put.body(ByteStream::from(body(n))).send().await.unwrap();
    }
    set_rule(&client, BUCKET, IR).await.unwrap();
    let moved = async || server.metric("granary_lifecycle_total{outcome=\"transitioned\"}").await;
    wait("something is moved", PATIENCE, async || Ok(moved().await? > 0.0)).await.unwrap();
    assert!(moved().await.unwrap() < 20.0, "it is in the middle of the move");
    let mut racers = JoinSet::new();
    for n in 0..OBJECTS {
        racers.spawn(race_one(client.clone(), n, body(n).len()));
    }
    let held: BTreeMap<String, Option<String>> = racers.join_all().await.into_iter().collect();
    for key in held.keys().cloned().chain((0..OBJECTS).map(|n| format!("copy{n}"))) {
        let n: u64 = key.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let moved = wait(&key, PATIENCE, async || {
            let head = client.head_object().bucket(BUCKET).key(&key).send().await?;
            Ok(head.storage_class() == Some(&StorageClass::GlacierIr))
        });
        moved.await.unwrap();
        let got = client.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
        assert!(got.body.collect().await.unwrap().into_bytes() == body(n), "{key}");
    }
    for (key, version) in &held {
        let delete = client.delete_object().bucket(BUCKET).key(key).set_version_id(version.clone());
        assert_eq!(decided(delete.send().await).unwrap().unwrap_err().status, 403, "{key} is held");
    }
    wait("nothing is left on the SSDs", PATIENCE, async || Ok(live_bytes(&server, "ssd").await? == 0))
        .await
        .unwrap();
    // A copy of a large object shares its bytes, unless it was made when these lay elsewhere already.
    let lengths = |parity: u64| (parity..OBJECTS).step_by(2).map(|n| body(n).len() as u64).sum::<u64>();
    let (small, large, live) = (lengths(0), lengths(1), live_bytes(&server, "hdd").await.unwrap());
    assert!((2 * small + large..=2 * (small + large)).contains(&live), "{small} {large} {live}");
    wait_collected(&server, 1).await.unwrap();
}

/// Puts a hold on an object, copies it elsewhere, and gives back the version that is held.
async fn race_one(client: Client, n: u64, length: usize) -> (String, Option<String>) {
    let key = format!("o{n}");
    tokio::time::sleep(Duration::from_millis(n * 97 % 2000)).await;
    let hold = ObjectLockLegalHold::builder().status(ObjectLockLegalHoldStatus::On).build();
    let put = client.put_object_legal_hold().bucket(BUCKET).key(&key).legal_hold(hold);
    put.send().await.unwrap();
    let source = format!("{BUCKET}/{key}");
    let copy = client.copy_object().bucket(BUCKET).key(format!("copy{n}")).copy_source(&source);
    copy.send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key(&key).send().await.unwrap();
    assert_eq!(head.content_length(), Some(i64::try_from(length).unwrap()));
    (key, head.version_id)
}

/// The database and its copies are gone after everything was moved: the blocks tell the classes.
#[tokio::test]
async fn without_the_database_moved_objects_keep_their_class() {
    let config = || config().env("GRANARY_METADATA_BACKUPS_KEPT", "0");
    let mut server = Server::start(config()).await.unwrap();
    let client = server.client().unwrap();
    put_all(&client).await.unwrap();
    client
        .put_object()
        .bucket(BUCKET)
        .key("empty-ish")
        .body(ByteStream::from_static(b"ab"))
        .send()
        .await
        .unwrap();
    set_rule(&client, BUCKET, IR).await.unwrap();
    wait_moved(&client, BUCKET, "STANDARD", "GLACIER_IR").await.unwrap();
    // Of the same drives: only the class changes.
    set_rule(&client, BUCKET, TransitionStorageClass::Glacier).await.unwrap();
    wait_moved(&client, BUCKET, "GLACIER_IR", "GLACIER").await.unwrap();
    server.admin(&["volume", "compact"]).await.unwrap();
    server.kill().unwrap();
    for path in server.drive_paths() {
        std::fs::remove_dir_all(path.join("meta")).unwrap();
        let _none = std::fs::remove_dir_all(path.join("backups"));
    }
    let mut command = Command::new(binary().unwrap());
    command.args(["--json", "recover", "--from-drives", "--apply", "--candidates", "suggested"]);
    for path in server.drive_paths() {
        command.arg("--data").arg(path);
    }
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.launch().await.unwrap();
    let client = server.client().unwrap();
    let counts = count_classes(&client, BUCKET, ["STANDARD", "GLACIER"]).await.unwrap();
    assert_eq!(counts, [0, granary_tests::tiers::contents().len() + 1]);
}
