//! The encryption of an upload, kept with it until it is completed.

use granary_types::{Attributes, Seal};

use crate::error::{EngineError, Result};

/// In the attributes of an upload, how its parts are encrypted. No header has a colon in its name.
const UPLOAD_SEAL: &str = "seal:";

/// Keeps an encryption with an upload.
pub(crate) fn keep_upload_seal(attributes: &mut Attributes, seal: Option<&Seal>) -> Result<()> {
    if let Some(seal) = seal {
        let encoded = postcard::to_stdvec(seal)
            .map_err(|_| EngineError::Internal("the encryption of an upload cannot be encoded"))?;
        attributes.headers.push((UPLOAD_SEAL.to_owned(), hex::encode(encoded)));
    }
    Ok(())
}

/// What [`keep_upload_seal`] kept. What cannot be understood is an error: it is not taken for no encryption.
pub(crate) fn upload_seal(attributes: &Attributes) -> Result<Option<Seal>> {
    let kept = attributes.headers.iter().find(|(name, _)| name == UPLOAD_SEAL);
    let Some((_, encoded)) = kept else { return Ok(None) };
    let seal = hex::decode(encoded).ok().and_then(|bytes| postcard::from_bytes(&bytes).ok());
    seal.map(Some).ok_or(EngineError::Internal("the encryption of an upload cannot be understood"))
}

/// As [`upload_seal`], and takes it out.
pub(crate) fn take_upload_seal(attributes: &mut Attributes) -> Result<Option<Seal>> {
    let seal = upload_seal(attributes)?;
    attributes.headers.retain(|(name, _)| name != UPLOAD_SEAL);
    Ok(seal)
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
