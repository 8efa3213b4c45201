//! GetObjectTorrent: what a BitTorrent client needs to fetch an object and to check it.
//!
//! There is no tracker: the object itself is the seed, by its address, so that a torrent is of use where anybody may read
//! the object. The hashes of the pieces are computed while they are sent, so that a large object takes no memory, and a client
//! that hangs up ends the work.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTorrent.html>, BEP 3 (the file), BEP 19 (the seed).

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use granary_engine::{ByteRange, EncryptionInfo, ObjectInfo, ObjectStream};
use http::{HeaderValue, header};
use sha1::{Digest as _, Sha1};

use super::{ObjectAddress, version};
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::peer;
use crate::respond::S3Response;

/// Objects of this length and longer have no torrents.
const LENGTH_BYTES_LIMIT: u64 = 5 * 1024 * 1024 * 1024;
const PIECE_BYTES_MIN: u64 = 256 * 1024;
/// The pieces grow with the object, so that there are no more than this, or few more.
const PIECES_AIMED: u64 = 1024;
const HASH_BYTES: u64 = 20;

/// `GET /bucket/key?torrent`.
pub(super) async fn get(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let opened = version::open(context, object, context.query.get("versionId")).await?;
    let info = opened.info();
    if info.length_bytes >= LENGTH_BYTES_LIMIT || info.encryption == Some(EncryptionInfo::Customer) {
        return Err(S3Error::invalid_request(
            "Torrents are made of objects that are less than 5 GB and are not encrypted with a key of the client's.",
        ));
    }
    let seed = format!("{}://{}{}", peer::scheme(context.parts), context.host, context.parts.uri.path());
    let frame = Frame::of(info, file_name(object), &seed);
    let (length_bytes, version) = (info.length_bytes, info.version);
    let pieces = Pieces {
        piece_bytes: piece_bytes(length_bytes),
        left_bytes: length_bytes,
        filled_bytes: 0,
        hasher: Sha1::new(),
        data: Bytes::new(),
        stream: opened.read(ByteRange { start: 0, end: length_bytes }),
    };
    let mut response = S3Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-bittorrent"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(frame.length_bytes()));
    version::show(headers, version::VERSION, version);
    *response.body_mut() = Body::from_stream(frame.around(pieces.hashes()));
    Ok(response)
}

/// The last part of the key that can be the name of a file; the bucket's name if there is none.
fn file_name(object: &ObjectAddress) -> &str {
    let is_name = |part: &&str| !["", ".", ".."].contains(part);
    object.key.as_str().rsplit('/').find(is_name).unwrap_or(object.bucket.as_str())
}

fn piece_bytes(length_bytes: u64) -> u64 {
    (length_bytes / PIECES_AIMED).next_power_of_two().max(PIECE_BYTES_MIN)
}

/// The file around the hashes. The members of its dictionaries are sorted, as its format wants.
struct Frame {
    before: String,
    hashes_bytes: u64,
    after: String,
}

impl Frame {
    fn of(info: &ObjectInfo, name: &str, seed: &str) -> Self {
        Self::new((info.length_bytes, info.modified.0.div_euclid(1000)), name, seed)
    }

    fn new((length_bytes, modified_s): (u64, i64), name: &str, seed: &str) -> Self {
        let piece_bytes = piece_bytes(length_bytes);
        let hashes_bytes = length_bytes.div_ceil(piece_bytes) * HASH_BYTES;
        let before = format!(
            "d13:creation datei{modified_s}e4:infod6:lengthi{length_bytes}e4:name{}:{name}12:piece lengthi{piece_bytes}e\
             6:pieces{hashes_bytes}:",
            name.len()
        );
        let after = format!("e8:url-list{}:{seed}e", seed.len());
        Self { before, hashes_bytes, after }
    }

    fn length_bytes(&self) -> u64 {
        let texts_bytes = self.before.len() + self.after.len();
        self.hashes_bytes.saturating_add(u64::try_from(texts_bytes).unwrap_or(u64::MAX))
    }

    fn around(self, hashes: impl Stream<Item = S3Result<Bytes>>) -> impl Stream<Item = S3Result<Bytes>> {
        let text = |text: String| stream::iter([Ok(Bytes::from(text))]);
        text(self.before).chain(hashes).chain(text(self.after))
    }
}

/// The object, cut into pieces.
struct Pieces {
    piece_bytes: u64,
    left_bytes: u64,
    /// How much of the piece at hand was hashed.
    filled_bytes: u64,
    hasher: Sha1,
    /// Read, and not hashed yet.
    data: Bytes,
    stream: ObjectStream,
}

impl Pieces {
    /// The hash of every piece, in order.
    fn hashes(self) -> impl Stream<Item = S3Result<Bytes>> + Send {
        stream::try_unfold(self, |mut pieces| async move {
            let hash = pieces.next().await?;
            Ok(hash.map(|hash| (hash, pieces)))
        })
    }

    async fn next(&mut self) -> S3Result<Option<Bytes>> {
        while self.filled_bytes < self.piece_bytes {
            if self.data.is_empty() && !self.receive().await? {
                break;
            }
            let room_bytes = usize::try_from(self.piece_bytes - self.filled_bytes).unwrap_or(usize::MAX);
            let data = self.data.split_to(self.data.len().min(room_bytes));
            self.hasher.update(&data);
            self.filled_bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        }
        if self.filled_bytes == 0 {
            return Ok(None);
        }
        self.filled_bytes = 0;
        let hash = std::mem::take(&mut self.hasher).finalize();
        Ok(Some(Bytes::copy_from_slice(&hash)))
    }

    /// Reads on; `false` at the end of the object.
    async fn receive(&mut self) -> S3Result<bool> {
        let Some(data) = self.stream.next().await.transpose()? else {
            return if self.left_bytes == 0 { Ok(false) } else { Err(wrong_length()) };
        };
        let data_bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.left_bytes = self.left_bytes.checked_sub(data_bytes).ok_or_else(wrong_length)?;
        self.data = data;
        Ok(true)
    }
}

fn wrong_length() -> S3Error {
    S3Error::new(ErrorCode::InternalError).because("an object has another length than its own")
}

#[cfg(test)]
#[path = "torrent_tests.rs"]
mod tests;
