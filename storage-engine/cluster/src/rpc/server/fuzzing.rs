//! What fuzz targets call: the protocol is private.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use granary_types::ClusterId;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::BodyReader;
use crate::rpc::auth::{self, HEADER};
use crate::rpc::replay::ReplayGuard;
use crate::rpc::secret::ClusterSecret;
use crate::rpc::wire::{
    self, AppendGroup, AppendResults, Failure, HandOver, Handle, HelloAnswer, OnShard, ReadShard,
    WriteReplacement,
};

/// Bodies are read within this; nothing is waited for, as all of them is there.
const DEADLINE: Duration = Duration::from_secs(60);

/// Reads `data` as a message of every kind: what is understood says the same when it is written and read again.
///
/// # Panics
/// When it does not.
pub fn message(data: &[u8]) {
    again::<HelloAnswer>(data);
    again::<OnShard>(data);
    again::<Handle>(data);
    again::<ReadShard>(data);
    again::<AppendGroup>(data);
    again::<AppendResults>(data);
    again::<WriteReplacement>(data);
    again::<HandOver>(data);
    again::<Failure>(data);
}

fn again<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(message) = wire::decode::<T>(data) else { return };
    let written = wire::encode(&message).ok();
    let read = written.as_deref().and_then(|written| wire::decode::<T>(written).ok());
    assert_eq!(read.and_then(|read| wire::encode(&read).ok()), written);
    assert!(written.is_some());
}

/// Takes `data` for the header that authenticates a request: it is refused, because the secret is not in it.
///
/// # Panics
/// When it is not.
pub fn header(data: &[u8]) {
    let Ok(secret) = ClusterSecret::new(&[7; 64]) else { return };
    for value in [data.to_vec(), hex::encode(data).into_bytes()] {
        let Ok(request) = Request::post("http://granary/granary/append").header(HEADER, value).body(())
        else {
            continue;
        };
        let verified =
            auth::verify(&secret, ClusterId::from_bytes([1; 16]), &ReplayGuard::default(), &request);
        assert!(verified.is_err());
    }
}

/// Takes `data` for the body of a request that carries bytes to be written, and reads it whole and in pieces of
/// `piece_bytes`: both give the same control message and bytes, or neither gives any.
///
/// # Panics
/// When they differ.
pub fn bulk(data: &[u8], piece_bytes: usize) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let whole = runtime.block_on(read(data, data.len().max(1)));
    let split = runtime.block_on(read(data, piece_bytes.max(1)));
    assert_eq!(whole, split);
    if let Some((control, rest)) = whole {
        assert_eq!(control.len() + rest.len() + 4, data.len());
    }
}

async fn read(data: &[u8], piece_bytes: usize) -> Option<(Bytes, Bytes)> {
    let pieces =
        data.chunks(piece_bytes).map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
    let body = StreamBody::new(futures::stream::iter(pieces));
    let mut reader = BodyReader::new(body, data.len(), DEADLINE);
    let control = reader.take_control().await.ok()?;
    let rest = reader.take_rest().await.ok()?;
    reader.check(*blake3::hash(data).as_bytes()).ok()?;
    Some((control, rest))
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
