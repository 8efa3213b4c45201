//! The secret that makes a node one of the cluster's.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::RpcError;

/// The shortest secret that is taken: 32 random bytes in hexadecimal are 64.
pub const SECRET_LENGTH_BYTES_MIN: usize = 32;

const REQUEST_CONTEXT: &str = "granary node-to-node rpc 2026-11 request mac";
const ANSWER_CONTEXT: &str = "granary node-to-node rpc 2026-11 answer mac";

/// The secret of a cluster. It is turned into keys at once, is never printed, and is wiped when it is dropped.
#[derive(Clone)]
pub struct ClusterSecret {
    keys: Arc<Keys>,
}

struct Keys {
    request: Zeroizing<[u8; 32]>,
    answer: Zeroizing<[u8; 32]>,
}

impl ClusterSecret {
    /// Takes a secret. It must be random: the keys are derived from it, not stretched.
    ///
    /// # Errors
    /// When it is shorter than [`SECRET_LENGTH_BYTES_MIN`].
    pub fn new(secret: &[u8]) -> Result<Self, RpcError> {
        if secret.len() < SECRET_LENGTH_BYTES_MIN {
            return Err(RpcError::Secret { length_bytes: secret.len(), min_bytes: SECRET_LENGTH_BYTES_MIN });
        }
        let derive = |context| Zeroizing::new(blake3::derive_key(context, secret));
        Ok(Self { keys: Arc::new(Keys { request: derive(REQUEST_CONTEXT), answer: derive(ANSWER_CONTEXT) }) })
    }

    /// The code of what a request says.
    pub(super) fn request_mac(&self, said: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.keys.request, said)
    }

    /// The code of what an answer says.
    pub(super) fn answer_mac(&self, said: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.keys.answer, said)
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}
