use async_trait::async_trait;
use granary_auth::{Credentials, RegionPolicy, StaticCredentials};
use tokio::net::TcpListener;

use super::*;
use crate::client::AdminClient;
use crate::model::{
    DriveReport, DriveState, NodeReport, NodeState, TaskProgress, TaskState, VolumePage, VolumeReport,
    VolumeState,
};

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

fn node() -> NodeReport {
    NodeReport {
        id: "n".to_owned(),
        address: "10.0.0.1:9100".to_owned(),
        zone: "a".to_owned(),
        state: NodeState::Alive,
        is_self: true,
        drives: 2,
        version: "1".to_owned(),
        schema: 2,
        detail: None,
    }
}

#[async_trait]
impl AdminBackend for Fake {
    async fn list_drives(&self) -> Result<Vec<DriveReport>, AdminError> {
        Ok(vec![DriveReport {
            slot: 0,
            id: Some("d".to_owned()),
            path: "/mnt/d1".to_owned(),
            state: DriveState::Online,
            capacity_bytes: Some(10),
            free_bytes: Some(5),
            detail: None,
        }])
    }

    async fn list_nodes(&self) -> Result<Vec<NodeReport>, AdminError> {
        Ok(vec![node()])
    }

    async fn remove_node(&self, id: &str) -> Result<(), AdminError> {
        if id == "dead" { Ok(()) } else { Err(AdminError::Invalid("it is alive".to_owned())) }
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
