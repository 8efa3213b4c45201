//! The life of a training run's data: a checkpoint and many small files are written to SSDs, move to slow disks by rules, are
//! archived, restored, and archived again; at every stage they are read and compared, and the listing tells where they are.
//!
//! The disks are ext4 on loop devices that the kernel keeps as slow as disks are, in operations and in bytes. `cargo xtask
//! soak tiers` runs this with 2 GiB and 50,000 files; without it (`cargo test --test tiers_end_to_end`) it is a tenth of that. Needs root.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::TransitionStorageClass;
use granary_tests::client::decided;
use granary_tests::content::{Choices, SeededStream, seeded_bytes};
use granary_tests::mount::Mount;
use granary_tests::throttle::{DiskSpeed, Throttle};
use granary_tests::tiers::{
    BUCKET, HDDS, count_classes, live_bytes, put_parts, set_rule, wait, wait_collected, wait_on_disks,
    wait_restored,
};
use granary_tests::{Server, ServerConfig};
use tokio::task::{JoinHandle, JoinSet};

const CHECKPOINT: &str = "checkpoints/step-1000.safetensors";
const CHECKPOINT_SEED: u64 = 1 << 40;
const SSDS: usize = 3;
const CLIENTS: u64 = 16;
/// A disk: 150 movements of the head and 160 MB a second.
const DISK: DiskSpeed = DiskSpeed { operations: 150, bytes: 160_000_000 };
/// How long a day of the rules and of restores is.
const DAY: Duration = Duration::from_secs(4);

/// How much there is.
#[derive(Clone, Copy)]
struct Scale {
    checkpoint_bytes: u64,
    part_bytes: u64,
    files: u64,
    image_bytes: u64,
    within: Duration,
    restored_days: u32,
}

impl Scale {
    fn chosen() -> Self {
        match std::env::var("GRANARY_SOAK").is_ok() {
            true => Self {
                checkpoint_bytes: 2 << 30,
                part_bytes: 64 << 20,
                files: 50_000,
                image_bytes: 6 << 30,
                within: Duration::from_mins(30),
                restored_days: 60,
            },
            false => Self {
                checkpoint_bytes: 160 << 20,
                part_bytes: 16 << 20,
                files: 3_000,
                image_bytes: 1 << 30,
                within: Duration::from_mins(4),
                restored_days: 15,
            },
        }
    }

    fn total_bytes(&self) -> u64 {
        self.checkpoint_bytes + (0..self.files).map(|n| file_length(n) as u64).sum::<u64>()
    }
}

/// From 1 KB to 19 KB, 10 KB on average.
fn file_length(number: u64) -> usize {
    1_000 + usize::try_from(Choices::new(number).below(18_001)).unwrap()
}

fn file_key(number: u64) -> String {
    format!("corpus/{:03}/{number:07}.json", number % 1000)
}

/// The store, its slow disks, and what it should hold.
struct Stage {
    server: Server,
    client: Client,
    scale: Scale,
    began: Instant,
    _throttle: Throttle,
    _mounts: Vec<Mount>,
    _dir: tempfile::TempDir,
}

impl Stage {
    async fn open(scale: Scale) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let throttle = Throttle::create().unwrap();
        let mut drive_paths: Vec<PathBuf> = (0..SSDS).map(|n| dir.path().join(format!("ssd{n}"))).collect();
        let mut mounts = Vec::new();
        for number in 0..HDDS {
            let (image, path) =
                (dir.path().join(format!("image{number}")), dir.path().join(format!("hdd{number}")));
            Mount::make_ext4(&image, scale.image_bytes).unwrap();
            mounts.push(Mount::ext4(&path, &image).unwrap());
            throttle.slow_down(&path, DISK).unwrap();
            drive_paths.push(path.join("drive"));
        }
        let config = ServerConfig { drive_paths, hdds: HDDS, ..ServerConfig::default() }
            .env("GRANARY_DEBUG_LIFECYCLE_DAY_SECONDS", &DAY.as_secs().to_string())
            .env("GRANARY_GRACE_MS", "2000")
            .env("GRANARY_CACHE_READS", "0")
            .env("GRANARY_MAINTENANCE_INTERVAL_MS", "200");
        let server = Server::start(config).await.unwrap();
        throttle.hold(server.process_id().unwrap()).unwrap();
        let client = server.client().unwrap();
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        let began = Instant::now();
        Self { server, client, scale, began, _throttle: throttle, _mounts: mounts, _dir: dir }
    }

    /// Tells how long all bytes took.
    fn say(&self, what: &str, took: Duration) {
        #[allow(clippy::cast_precision_loss, reason = "a rate is shown with few digits")]
        let rate = self.scale.total_bytes() as f64 / 1e6 / took.as_secs_f64();
        let at = self.began.elapsed().as_secs();
        println!("[{at:>4} s] {what}: {:.1} s, {rate:.0} MB/s", took.as_secs_f64());
    }

    async fn write(&self) {
        let (begun, client) = (Instant::now(), self.client.clone());
        for_each_file(self.scale.files, move |number| {
            let client = client.clone();
            async move {
                let body = ByteStream::from(seeded_bytes(number, file_length(number)));
                client.put_object().bucket(BUCKET).key(file_key(number)).body(body).send().await.unwrap();
            }
        })
        .await;
        let Scale { checkpoint_bytes, part_bytes, .. } = self.scale;
        let mut stream = SeededStream::new(CHECKPOINT_SEED);
        let parts = (0..checkpoint_bytes / part_bytes).map(|_| {
            let mut part = vec![0; usize::try_from(part_bytes).unwrap()];
            stream.read_exact(&mut part).unwrap();
            part
        });
        put_parts(&self.client, BUCKET, CHECKPOINT, parts).await.unwrap();
        self.say("written to STANDARD", begun.elapsed());
    }

    /// Reads everything and compares.
    async fn read(&self, stage: &str) {
        let (begun, client) = (Instant::now(), self.client.clone());
        for_each_file(self.scale.files, move |number| {
            let client = client.clone();
            async move { read_file(&client, number).await }
        })
        .await;
        self.read_checkpoint().await;
        self.say(&format!("read while {stage}"), begun.elapsed());
    }

    async fn read_checkpoint(&self) {
        let begun = self.begin_checkpoint().await;
        read_to_end(begun, self.scale.checkpoint_bytes, || false).await;
    }

    async fn begin_checkpoint(&self) -> ByteStream {
        self.client.get_object().bucket(BUCKET).key(CHECKPOINT).send().await.unwrap().body
    }

    /// Begins to read the checkpoint, little by little until there was enough of that, and then to its end.
    async fn read_slowly(&self, enough: &Arc<AtomicBool>) -> JoinHandle<()> {
        let (begun, length, enough) =
            (self.begin_checkpoint().await, self.scale.checkpoint_bytes, Arc::clone(enough));
        tokio::spawn(async move {
            read_to_end(begun, length, || !enough.load(Ordering::Relaxed)).await;
            assert!(enough.load(Ordering::Relaxed), "the slow read was over too early");
        })
    }

    /// Follows a rule to its end, while somebody reads all the time.
    async fn transition(&self, from: &str, to: &str, class: TransitionStorageClass, reading: Reading) {
        let begun = Instant::now();
        let (enough, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        // It goes on where it began, whatever becomes of the place.
        let slow = match reading {
            Reading::Goes => Some(self.read_slowly(&enough).await),
            Reading::Rests => None,
        };
        set_rule(&self.client, BUCKET, class).await.unwrap();
        let reader = tokio::spawn({
            let (client, enough, read) = (self.client.clone(), Arc::clone(&enough), Arc::clone(&read));
            let files = self.scale.files;
            async move {
                let mut choices = Choices::new(7);
                while reading == Reading::Goes && !enough.load(Ordering::Relaxed) {
                    read_file(&client, choices.below(files)).await;
                    read.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        wait(&format!("everything is {to}"), self.scale.within, async || {
            let counts = count_classes(&self.client, BUCKET, [from, to]).await?;
            assert_eq!(counts.iter().sum::<usize>() as u64, self.scale.files + 1, "the listing is whole");
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(counts[0] == 0)
        })
        .await
        .unwrap();
        enough.store(true, Ordering::Relaxed);
        reader.await.unwrap();
        let read = read.load(Ordering::Relaxed);
        self.say(&format!("moved to {to}, {read} reads meanwhile"), begun.elapsed());
        if let Some(slow) = slow {
            slow.await.unwrap();
        }
    }

    /// Whether the GET of a key is refused because it is archived.
    async fn is_archived(&self, key: &str) -> bool {
        match decided(self.client.get_object().bucket(BUCKET).key(key).send().await).unwrap() {
            Ok(_) => false,
            Err(refusal) => {
                assert_eq!((refusal.status, refusal.code.as_str()), (403, "InvalidObjectState"), "{key}");
                true
            }
        }
    }

    /// Restores everything by one command, and waits until all of it can be read.
    async fn restore(&self) {
        let (begun, days) = (Instant::now(), self.scale.restored_days.to_string());
        let place = format!("s3://{BUCKET}");
        let args = ["tier", "restore", &place, "--days", &days, "--tier", "Bulk", "--json"];
        let done: serde_json::Value = serde_json::from_str(&self.server.admin(&args).await.unwrap()).unwrap();
        let counted = (done["begun"].as_u64(), done["failed"].as_u64());
        assert_eq!(counted, (Some(self.scale.files + 1), Some(0)), "{done}");
        wait_restored(&self.server, self.scale.within).await.unwrap();
        for key in (0..self.scale.files).step_by(97).map(file_key).chain([CHECKPOINT.to_owned()]) {
            let head = self.client.head_object().bucket(BUCKET).key(&key).send().await.unwrap();
            assert!(
                head.restore().is_some_and(|restore| restore.contains("ongoing-request=\"false\"")),
                "{key}"
            );
        }
        self.say("restored", begun.elapsed());
    }

    async fn is_on_disks_alone(&self) {
        wait_on_disks(&self.server, self.scale.total_bytes()).await.unwrap();
        wait_collected(&self.server, 1).await.unwrap();
    }
}

/// Whether what is moved is read meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Goes,
    /// It would be refused once it is archived.
    Rests,
}

/// Runs `each` for every file, some at the same time.
async fn for_each_file<F: Future<Output = ()> + Send + 'static>(
    files: u64,
    each: impl Fn(u64) -> F + Clone + Send + 'static,
) {
    let mut tasks = JoinSet::new();
    for first in 0..CLIENTS {
        let each = each.clone();
        tasks.spawn(async move {
            for number in (first..files).step_by(usize::try_from(CLIENTS).unwrap()) {
                each(number).await;
            }
        });
    }
    tasks.join_all().await;
}

/// Reads the checkpoint and compares what comes, one piece a second while it is to go slowly.
async fn read_to_end(mut body: ByteStream, length: u64, goes_slowly: impl Fn() -> bool) {
    let (mut stream, mut read) = (SeededStream::new(CHECKPOINT_SEED), 0);
    while let Some(bytes) = body.try_next().await.unwrap() {
        let mut expected = vec![0; bytes.len()];
        stream.read_exact(&mut expected).unwrap();
        assert!(bytes == expected, "the checkpoint differs after {read} bytes");
        read += bytes.len() as u64;
        if goes_slowly() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    assert_eq!(read, length);
}

async fn read_file(client: &Client, number: u64) {
    let got = client.get_object().bucket(BUCKET).key(file_key(number)).send().await.unwrap();
    let body = got.body.collect().await.unwrap().into_bytes();
    assert!(body == seeded_bytes(number, file_length(number)), "file {number}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_training_run_leaves_moves_to_disks_is_archived_restored_and_archived_again() {
    let stage = Stage::open(Scale::chosen()).await;
    stage.write().await;
    let (ssd, hdd) = (live_bytes(&stage.server, "ssd").await, live_bytes(&stage.server, "hdd").await);
    assert_eq!((ssd.unwrap(), hdd.unwrap()), (stage.scale.total_bytes(), 0));
    stage.read("STANDARD").await;
    stage.transition("STANDARD", "GLACIER_IR", TransitionStorageClass::GlacierIr, Reading::Goes).await;
    stage.is_on_disks_alone().await;
    stage.read("GLACIER_IR").await;
    stage.transition("GLACIER_IR", "GLACIER", TransitionStorageClass::Glacier, Reading::Rests).await;
    stage.is_on_disks_alone().await;
    for key in [CHECKPOINT.to_owned(), file_key(0), file_key(stage.scale.files - 1)] {
        assert!(stage.is_archived(&key).await, "{key}");
    }
    stage.restore().await;
    stage.read("restored").await;
    let expired = wait("all restores expire", stage.scale.within, async || {
        Ok(stage.is_archived(CHECKPOINT).await && stage.is_archived(&file_key(stage.scale.files - 1)).await)
    });
    expired.await.unwrap();
    for number in (0..stage.scale.files).step_by(101) {
        assert!(stage.is_archived(&file_key(number)).await);
    }
    stage.is_on_disks_alone().await;
    stage.say("from the first write to archived again", stage.began.elapsed());
    let Written { writes, bytes, sequential } = written_to_disks(&stage.server).await;
    let (kib, percent) = (bytes / writes.max(1) / 1024, sequential * 100 / writes.max(1));
    println!("the disks took {writes} writes, {kib} KiB each on average, {percent} % in order");
    assert!(kib >= 1024, "disks are written in pieces of {kib} KiB");
    assert!(percent >= 90, "only {percent} % of the writes to disks began where the last one ended");
}

/// What was written to shard files on disks.
struct Written {
    writes: u64,
    bytes: u64,
    /// Writes that began where the thread's last one ended.
    sequential: u64,
}

async fn written_to_disks(server: &Server) -> Written {
    let page = granary_tests::raw::get(&server.host(), None, "/metrics").await.unwrap();
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let of = |name: &str| -> u64 {
        let series = format!("{name}{{class=\"hdd\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or("0");
        value.parse().unwrap()
    };
    Written {
        writes: of("granary_drive_writes_total"),
        bytes: of("granary_drive_written_bytes_total"),
        sequential: of("granary_drive_writes_sequential_total"),
    }
}
