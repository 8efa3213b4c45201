//! The store for clusters while its database is killed, restarted, stopped, and fails over.

use crate::pg;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use granary_metadata::conformance::sample::{bucket, bucket_id, etag, key, one, put_empty, w};
use granary_metadata::postgres::{Migration, PostgresOptions, PostgresStore, migrate, newest_schema};
use granary_metadata::{MetadataError, MetadataStore, Outcome, TagMatch};
use pg::cluster::{Flushing, PostgresCluster, Stop, url_of};
use pg::load::Load;
use pg::proxy::Proxy;

/// Commits last 10 ms, so that most of what is killed is killed in COMMIT.
const SLOW_COMMITS: &[&str] = &["commit_delay=10000", "commit_siblings=0"];

const KILL_BACKENDS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE backend_type = 'client backend' AND datname = 'granary' AND pid <> pg_backend_pid()";

fn patient(url: &str, patience: Duration) -> PostgresOptions {
    let mut options = pg::options(url);
    options.patience = patience;
    options
}

async fn open_all(options: &PostgresOptions, count: usize) -> Vec<Arc<PostgresStore>> {
    let mut stores = Vec::new();
    for _ in 0..count {
        stores.push(Arc::new(PostgresStore::open(options.clone()).await.unwrap()));
    }
    stores
}

/// Something that blocks, off the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap().unwrap()
}

async fn cluster(flushing: Flushing, settings: &'static [&'static str]) -> Arc<PostgresCluster> {
    let cluster = blocking(move || PostgresCluster::start_with(flushing, settings)).await;
    cluster.create_database("granary").unwrap();
    Arc::new(cluster)
}

/// It was answered with SQLSTATE 3D000 by a standby that had taken over and lagged, say, and the node ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_made_a_moment_later_ended_the_node_that_started() {
    const LATE: &str = "granary_late";
    let url = blocking(|| Ok(pg::shared().url(LATE))).await;
    let in_vain = PostgresStore::open(patient(&url, Duration::from_millis(300))).await;
    assert!(matches!(in_vain, Err(MetadataError::Unavailable { .. })), "it is not waited for for ever");
    let opening = tokio::spawn(PostgresStore::open(patient(&url, Duration::from_secs(15))));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!opening.is_finished());
    blocking(|| pg::shared().create_database(LATE)).await;
    opening.await.unwrap().unwrap().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_backends_lose_no_acknowledged_commit_and_fake_no_precondition() {
    let cluster = cluster(Flushing::On, SLOW_COMMITS).await;
    let stores = open_all(&patient(&cluster.url("granary"), Duration::from_secs(40)), 2).await;
    let load = Load::start(&stores, 16).await;
    for _ in 0..25 {
        load.answered(8).await;
        let cluster = Arc::clone(&cluster);
        blocking(move || cluster.sql("postgres", KILL_BACKENDS)).await;
    }
    load.answered(100).await;
    let (done, _) = load.finish(&stores[1]).await;
    assert!(done > 100, "{done} commits");
}

/// Half of the commits whose answer is lost are committed, half are not: each is told as it is, and a put is not told that
/// its key exists because it wrote it itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_whose_answer_is_lost_are_read_back() {
    let cluster = cluster(Flushing::Off, &[]).await;
    let proxy = Proxy::start(cluster.host()).await;
    let url = cluster.url("granary").replace(&cluster.host(), &proxy.host);
    let stores = open_all(&patient(&url, Duration::from_secs(40)), 2).await;
    let load = Load::start(&stores, 16).await;
    load.answered(1500).await;
    let (done, unavailable) = load.finish(&stores[1]).await;
    assert!(done > 1000 && unavailable == 0, "{done} commits, {unavailable} refused");
    let read_backs = cluster.sql("granary", "SELECT sum(read_backs) FROM writers").unwrap();
    let cuts = proxy.commits.load(Ordering::SeqCst) / 5;
    assert!(read_backs.parse::<u64>().unwrap() >= 10, "{read_backs} read back of {cuts}");
    let (commits, wholes) = (&proxy.commits, &proxy.wholes);
    let (commits, wholes) = (commits.load(Ordering::SeqCst), wholes.load(Ordering::SeqCst));
    assert!(wholes > commits / 2, "{wholes} of {commits} batches were stored by one statement");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_load_loses_nothing() {
    let cluster = cluster(Flushing::On, SLOW_COMMITS).await;
    let stores = open_all(&patient(&cluster.url("granary"), Duration::from_secs(40)), 2).await;
    let load = Load::start(&stores, 16).await;
    for how in [Stop::Immediate, Stop::Fast, Stop::Immediate] {
        load.answered(50).await;
        let cluster = Arc::clone(&cluster);
        blocking(move || cluster.restart(how)).await;
    }
    load.answered(50).await;
    let (done, _) = load.finish(&stores[0]).await;
    assert!(done > 150, "{done} commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_database_is_unavailable_in_time_and_used_again_by_itself() {
    let cluster = cluster(Flushing::Off, &[]).await;
    let patience = Duration::from_secs(3);
    let store = open_all(&patient(&cluster.url("granary"), patience), 1).await.remove(0);
    store.create_bucket(bucket(1)).await.unwrap();
    let server = Arc::clone(&cluster);
    blocking(move || server.stop(Stop::Fast)).await;
    for _ in 0..2 {
        let begun = Instant::now();
        let read = store.bucket(&bucket(1).name).await;
        assert!(matches!(read, Err(MetadataError::Unavailable { .. })), "{read:?}");
        let write = store.create_bucket(bucket(2)).await;
        assert!(matches!(write, Err(MetadataError::Unavailable { .. })), "{write:?}");
        assert!(begun.elapsed() < patience * 6, "{:?}", begun.elapsed());
    }
    let server = Arc::clone(&cluster);
    blocking(move || server.launch()).await;
    assert_eq!(store.bucket(&bucket(1).name).await.unwrap(), Some(bucket(1)));
    store.create_bucket(bucket(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fail_over_to_a_synchronous_standby_loses_nothing() {
    let primary = cluster(Flushing::On, &[]).await;
    let model = Arc::clone(&primary);
    let standby = blocking(move || {
        let standby = model.standby(Flushing::On, &[])?;
        model.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        model.sql("postgres", "SELECT pg_reload_conf()")?;
        Ok(standby)
    });
    let standby = Arc::new(standby.await);
    // The one that is read-only comes first: it is passed by.
    let url = url_of(&[&standby, &primary], "granary");
    let stores = open_all(&patient(&url, Duration::from_secs(40)), 2).await;
    let load = Load::start(&stores, 16).await;
    load.answered(200).await;
    let (old, new) = (Arc::clone(&primary), Arc::clone(&standby));
    blocking(move || {
        old.stop(Stop::Immediate)?;
        new.promote()
    })
    .await;
    load.answered(200).await;
    let (done, _) = load.finish(&stores[1]).await;
    assert!(done > 300, "{done} commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_nodes_that_race_for_one_key_exactly_one_wins() {
    let url = tokio::task::spawn_blocking(pg::fresh_database).await.unwrap();
    let stores = open_all(&pg::options(&url), 2).await;
    stores[0].create_bucket(bucket(1)).await.unwrap();
    for n in 1..=150_u64 {
        let name = format!("key-{n}");
        let racers: Vec<_> = (0..2_u64)
            .map(|node| {
                let (store, name) = (Arc::clone(&stores[usize::try_from(node).unwrap()]), name.clone());
                tokio::spawn(async move {
                    let mut put = put_empty(1, &name, n * 2 + node);
                    put.conditions.if_none_match = Some(TagMatch::Any);
                    (n * 2 + node, one(&*store, w(put)).await)
                })
            })
            .collect();
        let mut won = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                (tag, Outcome::Done { order: 1, replaced: None }) => won.push(tag),
                (_, outcome) => assert_eq!(outcome, Outcome::PreconditionFailed),
            }
        }
        assert_eq!(won.len(), 1, "round {n}");
        for store in &stores {
            let row = store.object(bucket_id(1), &key(&name), None).await.unwrap().unwrap();
            assert_eq!(row.object.etag, etag(won[0]));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_does_not_serve_this_binary_is_refused() {
    let cluster = cluster(Flushing::Off, &[]).await;
    let url = cluster.url("granary");
    let mut options = pg::options(&url);
    options.migration = Migration::Refuse;
    let unmigrated = PostgresStore::open(options.clone()).await.map(drop);
    assert!(matches!(unmigrated, Err(MetadataError::Unavailable { .. })), "{unmigrated:?}");
    let (before, after) = migrate(&options).await.unwrap();
    assert_eq!((before.version, after.version), (0, newest_schema()));
    drop(PostgresStore::open(options.clone()).await.unwrap());
    let set = |version: u32, oldest: u32| {
        let sql = format!("UPDATE granary_schema SET version = {version}, oldest_binary = {oldest}");
        cluster.sql("granary", &sql).unwrap();
    };
    // A newer schema that still serves this binary: nodes are upgraded one by one.
    set(newest_schema() + 1, newest_schema());
    drop(PostgresStore::open(options.clone()).await.unwrap());
    set(newest_schema() + 2, newest_schema() + 1);
    for result in [PostgresStore::open(options.clone()).await.map(drop), migrate(&options).await.map(drop)] {
        let Err(MetadataError::SchemaTooNew { found, supported }) = result else { panic!("{result:?}") };
        assert_eq!((found, supported), (newest_schema() + 2, newest_schema()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_would_lose_data_is_refused_and_no_error_shows_the_password() {
    let cluster = cluster(Flushing::Off, &[]).await;
    let mut options = PostgresOptions::new(&cluster.url("granary")).unwrap();
    options.patience = Duration::from_secs(20);
    let refused = PostgresStore::open(options).await.map(drop).unwrap_err();
    assert!(format!("{refused:?}").contains("fsync"), "{refused:?}");
    let wrong = cluster.url("granary").replace("granary-test@", "geheim@");
    let refused =
        PostgresStore::open(patient(&wrong, Duration::from_millis(200))).await.map(drop).unwrap_err();
    assert!(!format!("{refused:?} {refused}").contains("geheim"), "{refused:?}");
}
