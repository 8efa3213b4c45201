use async_trait::async_trait;
use granary_auth::{Credentials, RegionPolicy, StaticCredentials};
use granary_types::DriveClass;
use tokio::net::TcpListener;

use super::*;
use crate::bucket::{BucketAnswer, BucketReport, BucketRequest};
use crate::client::AdminClient;
use crate::identity::{IdentityReport, IdentityRequest, KeyPair, NamedUser};
use crate::model::{
    DriveReport, DriveState, NodeReport, NodeState, TaskProgress, TaskState, VolumePage, VolumeReport,
    VolumeState,
};
use crate::moves::{DrainPlan, Fate, MoveReport};
use crate::restores::{RestorePage, RestoreRequest, RestoreTier};
use crate::tiers::{ClassReport, TierList, TierReport};
use crate::warm::{TierJobKind, TierJobReport, TierJobState, WarmAnswer, WarmReport, WarmRequest};

fn plan(drives: Vec<String>, applied: bool) -> DrainPlan {
    DrainPlan {
        drives,
        moves: Vec::new(),
        rewritten_volumes: 1,
        rewritten_bytes: 2,
        open_volumes: 3,
        rebuilt_shards: 4,
        erasure: "4+2".to_owned(),
        applied,
    }
}

/// Seven volumes, one drive, and tasks that are named after their kind.
struct Fake;

fn volume(number: usize) -> VolumeReport {
    VolumeReport {
        id: format!("v{number}"),
        state: VolumeState::Sealed,
        erasure: "4+2".to_owned(),
        committed_bytes: 1,
        stored_bytes: 6,
        live_bytes: 4,
        drives: Vec::new(),
    }
}

fn tier_job() -> TierJobReport {
    TierJobReport {
        kind: TierJobKind::Restore,
        tier: Some(RestoreTier::Bulk),
        job: None,
        bucket: None,
        prefix: None,
        state: TierJobState::Running,
        reason: None,
        holder: Some("n".to_owned()),
        since_ms: 1,
        objects_done: 2,
        objects_found: 3,
        listed: true,
        objects_failed: 1,
        objects_without_room: 2,
        last_failure: Some("k: why".to_owned()),
        bytes_copied: 4,
        bytes_left: 5,
        seconds_left: None,
    }
}

fn tiers() -> TierList {
    TierList {
        tiered: true,
        classes: vec![ClassReport {
            class: "GLACIER".to_owned(),
            drives: Some(DriveClass::Hdd),
            erasure: None,
        }],
        tiers: vec![TierReport {
            class: Some(DriveClass::Ssd),
            drives: 3,
            capacity_bytes: 30,
            free_bytes: 10,
            volumes: 2,
            stored_bytes: 12,
            live_bytes: 4,
            live_fraction: Some(0.5),
            full: true,
            spills: true,
        }],
        warm: WarmReport { limit_bytes: 5, ..WarmReport::default() },
        spilled: 6,
        refused: 7,
    }
}

fn node() -> NodeReport {
    NodeReport {
        id: "n".to_owned(),
        address: "10.0.0.1:9100".to_owned(),
        zone: "a".to_owned(),
        state: NodeState::Alive,
        is_self: true,
        drives: 2,
        draining: 1,
        capacity_bytes: 20,
        free_bytes: 10,
        version: "1".to_owned(),
        schema: 2,
        detail: None,
    }
}

fn loss() -> crate::LossReport {
    crate::LossReport {
        kind: "delete".to_owned(),
        timeline: 2,
        found_ms: 3,
        bucket: "b".to_owned(),
        key: Some("k".to_owned()),
        version: None,
        write: None,
        detail: "it was deleted, and is there again".to_owned(),
    }
}

#[async_trait]
impl AdminBackend for Fake {
    async fn list_drives(&self) -> Result<Vec<DriveReport>, AdminError> {
        Ok(vec![DriveReport {
            node: Some("n".to_owned()),
            node_address: Some("10.0.0.1:9100".to_owned()),
            zone: "a".to_owned(),
            draining: false,
            slot: 0,
            id: Some("d".to_owned()),
            path: "/mnt/d1".to_owned(),
            state: DriveState::Online,
            capacity_bytes: Some(10),
            free_bytes: Some(5),
            detail: None,
            class: DriveClass::Hdd,
        }])
    }

    async fn list_tiers(&self) -> Result<TierList, AdminError> {
        Ok(tiers())
    }

    async fn list_nodes(&self) -> Result<Vec<NodeReport>, AdminError> {
        Ok(vec![node()])
    }

    async fn remove_node(&self, id: &str) -> Result<(), AdminError> {
        if id == "dead" { Ok(()) } else { Err(AdminError::Invalid("it is alive".to_owned())) }
    }

    async fn list_losses(&self, after: Option<&str>, _limit: usize) -> Result<crate::LossList, AdminError> {
        let next_after = after.is_none().then(|| "00".to_owned());
        Ok(crate::LossList { losses: vec![loss()], next_after, failing_over: true, copies_missing: 1 })
    }

    async fn dismiss_losses(&self) -> Result<u64, AdminError> {
        Ok(2)
    }

    async fn remove_drive(&self, id: &str) -> Result<(), AdminError> {
        if id == "empty" { Ok(()) } else { Err(AdminError::Invalid("it holds shards".to_owned())) }
    }

    async fn drain(&self, leaving: Leaving, apply: bool) -> Result<DrainPlan, AdminError> {
        let drives = match leaving {
            Leaving::Drive(id) => vec![id],
            Leaving::Node(name) => vec![format!("of {name}")],
            Leaving::Replaced { old, new, fate: Fate::Unsaid } => vec![old, new],
            Leaving::Replaced { old, new, fate: Fate::Lost } => vec![old, new, "lost".to_owned()],
        };
        Ok(plan(drives, apply))
    }

    async fn cancel_drain(&self, leaving: Leaving) -> Result<bool, AdminError> {
        Ok(leaving == Leaving::Node("10.0.0.1:9100".to_owned()))
    }

    async fn moves(&self) -> Result<MoveReport, AdminError> {
        Ok(MoveReport {
            drains: Vec::new(),
            rebalance_moves_left: 3,
            rebalance_bytes_left: 4,
            tasks: Vec::new(),
            damaged: 5,
        })
    }

    async fn warm(&self, request: WarmRequest) -> Result<WarmAnswer, AdminError> {
        let started = matches!(request, WarmRequest::Prefetch { .. }).then_some(7);
        let jobs = matches!(request, WarmRequest::Jobs).then(|| vec![tier_job()]);
        Ok(WarmAnswer { started, jobs, ..WarmAnswer::default() })
    }

    async fn buckets(&self, request: BucketRequest) -> Result<BucketAnswer, AdminError> {
        let BucketRequest::Limit { bucket, limits } = request else { return Ok(BucketAnswer::default()) };
        Ok(BucketAnswer { bucket: Some(BucketReport { bucket, bytes: 1, objects: 2, limits }) })
    }

    async fn restore(&self, request: RestoreRequest) -> Result<RestorePage, AdminError> {
        Ok(RestorePage { begun: request.days.into(), next_after: request.after, ..RestorePage::default() })
    }

    async fn identities(&self, request: IdentityRequest) -> Result<IdentityReport, AdminError> {
        match request {
            IdentityRequest::AddKey { key, .. } => Ok(IdentityReport { key, ..IdentityReport::default() }),
            _ => Err(AdminError::NotFound("no such user".to_owned())),
        }
    }

    async fn list_volumes(&self, after: Option<&str>, limit: usize) -> Result<VolumePage, AdminError> {
        assert_eq!(limit, DEFAULT_PAGE);
        let start = after.map_or(0, |after| after[1..].parse::<usize>().unwrap() + 1);
        let volumes: Vec<_> = (start..7).take(3).map(volume).collect();
        let next_after = (start + 3 < 7).then(|| volumes.last().unwrap().id.clone());
        Ok(VolumePage { volumes, next_after })
    }

    async fn start(&self, kind: TaskKind) -> Result<TaskId, AdminError> {
        match kind {
            TaskKind::Compact => Err(AdminError::Unavailable("not now".to_owned())),
            kind => Ok(TaskId(kind.as_str().to_owned())),
        }
    }

    async fn progress(&self, id: &TaskId) -> Result<TaskProgress, AdminError> {
        match id.0.as_str() {
            "heal" => Ok(TaskProgress {
                task: id.clone(),
                kind: TaskKind::Heal,
                state: TaskState::Failed("why".to_owned()),
                done: 1,
                total: 2,
                bytes: 3,
                findings: 0,
                repaired: 0,
                unrepairable: 0,
            }),
            _ => Err(AdminError::NotFound("no such task".to_owned())),
        }
    }
}

async fn serve() -> String {
    let source = StaticCredentials::root(Credentials::new("root", "secret-key"));
    let verifier = Arc::new(Verifier::new(Arc::new(source), RegionPolicy::Any));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router(Arc::new(Fake), verifier)).await });
    endpoint
}

fn client(endpoint: &str, secret: &str) -> AdminClient {
    AdminClient::new(endpoint, Credentials::new("root", secret), "us-east-1", None).unwrap()
}

#[tokio::test]
async fn the_client_and_the_router_understand_each_other() {
    let client = client(&serve().await, "secret-key");
    assert_eq!(client.drives().await.unwrap()[0].path, "/mnt/d1");
    let ids: Vec<_> = client.volumes().await.unwrap().into_iter().map(|v| v.id).collect();
    assert_eq!(ids, ["v0", "v1", "v2", "v3", "v4", "v5", "v6"]);
    let task = client.start(TaskKind::Heal).await.unwrap();
    let progress = client.progress(&task).await.unwrap();
    assert_eq!(progress.state, TaskState::Failed("why".to_owned()));
    assert_eq!(client.start(TaskKind::Compact).await.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
    let unknown = client.progress(&TaskId("a/b".to_owned())).await.unwrap_err();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let error = client(&serve().await, "wrong-key").drives().await.unwrap_err();
    assert_eq!(error.code(), "SignatureDoesNotMatch");
}

async fn status(request: Request) -> StatusCode {
    use tower::ServiceExt;
    let source = StaticCredentials::root(Credentials::new("root", "secret-key"));
    let verifier = Arc::new(Verifier::new(Arc::new(source), RegionPolicy::Any));
    router(Arc::new(Fake), verifier).oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn nothing_is_served_without_a_signature() {
    for target in ["/_granary/v1/drives", "/_granary/v1/nothing", "/_granary/v1/tasks/heal"] {
        let request = Request::builder().uri(target).header("host", "h").body(Body::empty()).unwrap();
        assert_eq!(status(request).await, StatusCode::FORBIDDEN, "{target}");
    }
}

#[test]
fn page_parameters_are_bounded() {
    assert_eq!(page_parameters("after=x%2Dy&limit=5").unwrap(), (Some("x-y".to_owned()), 5));
    for bad in ["limit=0", "limit=10001", "limit=x", "other=1", "after"] {
        assert!(page_parameters(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn nodes_are_listed_and_dead_ones_removed() {
    let endpoint = serve().await;
    let client = client(&endpoint, "secret-key");
    assert_eq!(client.nodes().await.unwrap(), [node()]);
    client.remove_node("dead").await.unwrap();
    assert!(matches!(client.remove_node("n").await, Err(AdminError::Refused { .. })));
}

#[tokio::test]
async fn drains_are_shown_applied_and_ended() {
    let client = client(&serve().await, "secret-key");
    let drive = Leaving::Drive("ab".to_owned());
    assert_eq!(client.drain(&drive, false).await.unwrap(), plan(vec!["ab".to_owned()], false));
    let node = Leaving::Node("10.0.0.1:9100".to_owned());
    assert_eq!(client.drain(&node, true).await.unwrap(), plan(vec!["of 10.0.0.1:9100".to_owned()], true));
    let replaced = |fate| Leaving::Replaced { old: "o".to_owned(), new: "n".to_owned(), fate };
    let planned = client.drain(&replaced(Fate::Unsaid), true).await.unwrap();
    assert_eq!(planned, plan(vec!["o".to_owned(), "n".to_owned()], true));
    let lost = client.drain(&replaced(Fate::Lost), true).await.unwrap();
    assert_eq!(lost, plan(vec!["o".to_owned(), "n".to_owned(), "lost".to_owned()], true));
    assert!(client.cancel_drain(&node).await.unwrap());
    assert!(!client.cancel_drain(&drive).await.unwrap());
    assert_eq!(client.moves().await.unwrap().rebalance_moves_left, 3);
    assert_eq!(client.tiers().await.unwrap(), tiers());
    client.remove_drive("empty").await.unwrap();
    assert!(matches!(client.remove_drive("full").await, Err(AdminError::Refused { .. })));
}

#[test]
fn drain_parameters_are_checked() {
    let read = DrainParameters::read("apply=true&by=a%2Fb").unwrap();
    assert_eq!((read.apply, read.by.as_deref()), (true, Some("a/b")));
    for bad in ["apply=1", "by=", "other=1", "apply", "lost=1"] {
        assert!(DrainParameters::read(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn identities_are_asked_for_with_signed_bodies_that_no_log_shows() {
    let client = client(&serve().await, "secret-key");
    let user = NamedUser { account: None, name: "ann".to_owned() };
    let key = KeyPair { access_key: "AK".to_owned(), secret_key: "swordfish".to_owned() };
    let request = IdentityRequest::AddKey { user: user.clone(), key: Some(key.clone()) };
    assert!(!format!("{request:?}").contains("swordfish"));
    assert_eq!(client.identities(&request).await.unwrap().key, Some(key));
    let refused = client.identities(&IdentityRequest::ShowUser { user }).await;
    assert!(matches!(refused, Err(AdminError::Refused { code, .. }) if code == "NotFound"));
}

#[tokio::test]
async fn prefixes_are_restored_page_by_page() {
    let client = client(&serve().await, "secret-key");
    let mut request = RestoreRequest {
        bucket: "b".to_owned(),
        prefix: "p/".to_owned(),
        after: Some("k".to_owned()),
        days: 3,
        tier: RestoreTier::Bulk,
    };
    let page = client.restore(&request).await.unwrap();
    assert_eq!((page.begun, page.next_after.as_deref()), (3, Some("k")));
    request.after = None;
    assert_eq!(client.restore(&request).await.unwrap().next_after, None);
}

#[tokio::test]
async fn jobs_on_copies_are_listed() {
    let client = client(&serve().await, "secret-key");
    assert_eq!(client.warm(&WarmRequest::Jobs).await.unwrap().jobs, Some(vec![tier_job()]));
    assert_eq!(client.warm(&WarmRequest::Pins).await.unwrap().jobs, None);
}

#[tokio::test]
async fn losses_are_listed_page_by_page_and_dismissed() {
    let client = client(&serve().await, "secret-key");
    let list = client.losses().await.unwrap();
    assert_eq!(list.losses, [loss(), loss()]);
    assert!(list.failing_over && list.next_after.is_none());
    assert_eq!(client.dismiss_losses().await.unwrap().dismissed, 2);
}
