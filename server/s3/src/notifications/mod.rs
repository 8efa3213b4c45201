//! Notifications: the configuration of a bucket as a document, and events as the messages that AWS sends.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html>

mod message;
mod read;
mod write;

use granary_engine::{CreatedBy, Engine, Origin};

use crate::context::Context;
use crate::operation::Operation;
use crate::request_id::RequestId;
use granary_auth::{AuthMethod, Peer, Principal};

pub use message::{Message, message};
pub(crate) use read::{LIMITS, parse};
pub(crate) use write::document;

/// The engine for writes of a request: what they cause is told as caused by it, where anybody asked to be told.
pub(crate) fn engine_for(context: &Context<'_>) -> Engine {
    let engine = &context.shared.engine;
    match context.rules.get() {
        Some(rules) if rules.tells_events => engine.on_behalf_of(origin(context)),
        _ => engine.clone(),
    }
}

pub(crate) fn origin(context: &Context<'_>) -> Origin {
    let extensions = &context.parts.extensions;
    let principal = match &context.verified.principal {
        Principal::Anonymous => "Anonymous".to_owned(),
        Principal::Root { .. } => format!("AWS:{}", context.shared.config.account_id),
        Principal::User(identity) => format!("AWS:{}", identity.user_id),
    };
    let is_form = matches!(context.verified.method, AuthMethod::Form | AuthMethod::FormV2)
        || extensions.get::<crate::body::LengthBounds>().is_some();
    Origin {
        principal,
        address: extensions
            .get::<Peer>()
            .map(|peer| peer.address.to_canonical().to_string())
            .unwrap_or_default(),
        request_id: extensions.get::<RequestId>().map(ToString::to_string).unwrap_or_default(),
        host_id: context.shared.ids.host_id().to_owned(),
        created_by: match context.requester.operation() {
            Operation::CopyObject | Operation::RenameObject => CreatedBy::Copy,
            _ if is_form => CreatedBy::Post,
            _ => CreatedBy::Put,
        },
    }
}

/// Takes any bytes for a configuration. What is kept of one must be taken again, and mean the same.
#[cfg(any(test, fuzzing))]
pub fn check_notifications(text: &[u8]) {
    let targets = ["hook".to_owned()];
    let mut made = 0;
    let new_id = || {
        made += 1;
        format!("made-{made}")
    };
    let Ok(rules) = parse(text, &targets, new_id) else { return };
    // Characters that XML cannot carry are written all the same, as S3 does, and are not read again.
    let Ok(again) = parse(&document(&rules), &targets, String::new) else { return };
    assert_eq!(again, rules);
}
