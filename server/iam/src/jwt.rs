//! Signatures of JSON Web Tokens, verified by ring as everything else here is. Nothing is signed.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use signature::{Error, Verifier};

/// The algorithms that AWS takes; those with shared secrets are none of them.
pub(crate) const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256, Algorithm::ES384];

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring what verifies. Done twice, it is as if it were done once.
pub(crate) fn install() {
    let _was_installed = PROVIDER.install_default();
}

fn no_signer(_algorithm: &Algorithm, _key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

/// How a key verifies.
enum Method {
    Rsa(&'static RsaParameters),
    Ec(&'static dyn VerificationAlgorithm),
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let (method, family) = match algorithm {
        Algorithm::RS256 => (Method::Rsa(&RSA_PKCS1_2048_8192_SHA256), AlgorithmFamily::Rsa),
        Algorithm::RS384 => (Method::Rsa(&RSA_PKCS1_2048_8192_SHA384), AlgorithmFamily::Rsa),
        Algorithm::RS512 => (Method::Rsa(&RSA_PKCS1_2048_8192_SHA512), AlgorithmFamily::Rsa),
        Algorithm::ES256 => (Method::Ec(&ECDSA_P256_SHA256_FIXED), AlgorithmFamily::Ec),
        Algorithm::ES384 => (Method::Ec(&ECDSA_P384_SHA384_FIXED), AlgorithmFamily::Ec),
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    if key.family() != family {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(Public { method, algorithm: *algorithm, key: key.clone() }))
}

struct Public {
    method: Method,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match (&self.method, self.key.kind()) {
            (Method::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Method::Ec(algorithm), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(*algorithm, point).verify(message, signature)
            }
            _ => return Err(Error::new()),
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
