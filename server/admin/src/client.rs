//! The client's side.

use std::path::Path;
use std::time::SystemTime;

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use granary_auth::Credentials;
use http::{Method, Request};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bucket::{BucketAnswer, BucketRequest};
use crate::error::AdminError;
use crate::identity::{IdentityReport, IdentityRequest};
use crate::losses::{LossList, LossesDismissed};
use crate::model::{
    DriveList, DriveReport, NodeList, NodeReport, TaskId, TaskKind, TaskProgress, TaskStarted, VolumePage,
    VolumeReport,
};
use crate::moves::{DrainEnded, DrainPlan, Fate, Leaving, MoveReport};
use crate::restores::{RestorePage, RestoreRequest};
use crate::tiers::TierList;
use crate::transport::Transport;
use crate::warm::{WarmAnswer, WarmRequest};

/// Calls the admin API of one server.
pub struct AdminClient {
    transport: Transport,
    credentials: Credentials,
    region: String,
}

#[derive(Deserialize)]
struct ErrorDocument {
    code: String,
    message: String,
}

impl AdminClient {
    /// A client for the server at `endpoint` (`http://host:port` or `https://host:port`), signing with `credentials`
    /// for `region`. With https, the certificates in the PEM file `ca_certificate` are trusted, and no others.
    ///
    /// # Errors
    /// An endpoint that is no such URL, a certificate that cannot be read.
    pub fn new(
        endpoint: &str,
        credentials: Credentials,
        region: &str,
        ca_certificate: Option<&Path>,
    ) -> Result<Self, AdminError> {
        let transport = Transport::new(endpoint, ca_certificate)?;
        Ok(Self { transport, credentials, region: region.to_owned() })
    }

    /// All drives.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn drives(&self) -> Result<Vec<DriveReport>, AdminError> {
        let list: DriveList = self.call(Method::GET, "/_granary/v1/drives").await?;
        Ok(list.drives)
    }

    /// Where storage classes lie, and the drives of each class.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn tiers(&self) -> Result<TierList, AdminError> {
        self.call(Method::GET, "/_granary/v1/tiers").await
    }

    /// The nodes of the store; none for a store on one machine.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn nodes(&self) -> Result<Vec<NodeReport>, AdminError> {
        let list: NodeList = self.call(Method::GET, "/_granary/v1/nodes").await?;
        Ok(list.nodes)
    }

    /// Says what emptying drives does, and begins with it if `apply`.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn drain(&self, leaving: &Leaving, apply: bool) -> Result<DrainPlan, AdminError> {
        let (place, separator) = place(leaving);
        self.call(Method::POST, &format!("{place}{separator}apply={apply}")).await
    }

    /// Ends the emptying of drives. Whether any was being emptied.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn cancel_drain(&self, leaving: &Leaving) -> Result<bool, AdminError> {
        let ended: DrainEnded = self.call(Method::DELETE, &place(leaving).0).await?;
        Ok(ended.ended)
    }

    /// What is being moved.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn moves(&self) -> Result<MoveReport, AdminError> {
        self.call(Method::GET, "/_granary/v1/moves").await
    }

    /// Retires a drive that was emptied.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn remove_drive(&self, id: &str) -> Result<(), AdminError> {
        self.call(Method::DELETE, &format!("/_granary/v1/drives/{}", encode(id))).await
    }

    /// Removes a node for good: a dead one, or one whose drives were emptied.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn remove_node(&self, id: &str) -> Result<(), AdminError> {
        self.call(Method::DELETE, &format!("/_granary/v1/nodes/{}", encode(id))).await
    }

    /// All volumes, page by page.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn volumes(&self) -> Result<Vec<VolumeReport>, AdminError> {
        let mut volumes = Vec::new();
        let mut target = "/_granary/v1/volumes".to_owned();
        loop {
            let page: VolumePage = self.call(Method::GET, &target).await?;
            volumes.extend(page.volumes);
            let Some(after) = page.next_after else { return Ok(volumes) };
            target = format!("/_granary/v1/volumes?after={}", encode(&after));
        }
    }

    /// All that fail-overs of the metadata's database lost.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn losses(&self) -> Result<LossList, AdminError> {
        let mut all: LossList = self.call(Method::GET, "/_granary/v1/losses").await?;
        while let Some(after) = all.next_after.take() {
            let target = format!("/_granary/v1/losses?after={}", encode(&after));
            let page: LossList = self.call(Method::GET, &target).await?;
            all.losses.extend(page.losses);
            all.next_after = page.next_after;
        }
        Ok(all)
    }

    /// Forgets what was lost.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn dismiss_losses(&self) -> Result<LossesDismissed, AdminError> {
        self.call(Method::DELETE, "/_granary/v1/losses").await
    }

    /// Starts a task.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn start(&self, kind: TaskKind) -> Result<TaskId, AdminError> {
        let started: TaskStarted =
            self.call(Method::POST, &format!("/_granary/v1/{}", kind.as_str())).await?;
        Ok(started.task)
    }

    /// How far a task is.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn progress(&self, task: &TaskId) -> Result<TaskProgress, AdminError> {
        self.call(Method::GET, &format!("/_granary/v1/tasks/{}", encode(&task.0))).await
    }

    /// Does something with users, keys or their policies.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn identities(&self, request: &IdentityRequest) -> Result<IdentityReport, AdminError> {
        let body = serde_json::to_vec(request)
            .map_err(|error| AdminError::transport("writing the request", error))?;
        self.call_with(Method::POST, "/_granary/v1/identities", body.into()).await
    }

    /// Tells what a bucket holds, or changes what it may hold.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn buckets(&self, request: &BucketRequest) -> Result<BucketAnswer, AdminError> {
        let body = serde_json::to_vec(request)
            .map_err(|error| AdminError::transport("writing the request", error))?;
        self.call_with(Method::POST, "/_granary/v1/buckets", body.into()).await
    }

    /// Restores what is archived in one page of keys.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn restore(&self, request: &RestoreRequest) -> Result<RestorePage, AdminError> {
        let body = serde_json::to_vec(request)
            .map_err(|error| AdminError::transport("writing the request", error))?;
        self.call_with(Method::POST, "/_granary/v1/restores", body.into()).await
    }

    /// Pins and prefetches prefixes, and tells how far that is.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn warm(&self, request: &WarmRequest) -> Result<WarmAnswer, AdminError> {
        let body = serde_json::to_vec(request)
            .map_err(|error| AdminError::transport("writing the request", error))?;
        self.call_with(Method::POST, "/_granary/v1/warm", body.into()).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, target: &str) -> Result<T, AdminError> {
        self.call_with(method, target, Bytes::new()).await
    }

    async fn call_with<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<T, AdminError> {
        let response = self.transport.send(self.signed(method, target, &body)?).await?;
        let (status, body) = (response.status(), response.into_body());
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| AdminError::transport("understanding the server's answer", error));
        }
        let document = serde_json::from_slice(&body).unwrap_or_else(|_| ErrorDocument {
            code: "Unknown".to_owned(),
            message: "the answer is not from an admin API".to_owned(),
        });
        Err(AdminError::Refused { status, code: document.code, message: document.message })
    }

    fn signed(&self, method: Method, target: &str, body: &Bytes) -> Result<Request<Full<Bytes>>, AdminError> {
        let authority = self.transport.authority();
        let url = format!("{}://{authority}{target}", self.transport.scheme());
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = SigningCredentials::from_keys(
            self.credentials.access_key.as_str(),
            self.credentials.secret_key.expose(),
            None,
        )
        .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| AdminError::transport("signing", error))?
            .into();
        let host = std::iter::once(("host", authority.as_str()));
        let signable = SignableRequest::new(method.as_str(), &url, host, SignableBody::Bytes(body))
            .map_err(|error| AdminError::transport("signing", error))?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|error| AdminError::transport("signing", error))?
            .into_parts();
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", &authority)
            .body(Full::new(body.clone()))
            .map_err(|error| AdminError::transport("making the request", error))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// Where a drain is, and what comes before the next parameter.
fn place(leaving: &Leaving) -> (String, char) {
    match leaving {
        Leaving::Drive(id) => (format!("/_granary/v1/drives/{}/drain", encode(id)), '?'),
        Leaving::Node(name) => (format!("/_granary/v1/nodes/{}/drain", encode(name)), '?'),
        Leaving::Replaced { old, new, fate } => {
            let lost = *fate == Fate::Lost;
            (format!("/_granary/v1/drives/{}/replace?by={}&lost={lost}", encode(old), encode(new)), '&')
        }
    }
}

/// What SigV4 leaves as it is stays so: the other side signs the path in its canonical form.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}
