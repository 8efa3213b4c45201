//! A request's body on its way into the engine.
//!
//! HTTP frames → aws-chunked framing off → length checked → digests → the engine, which pulls. Nothing is polled
//! before the handler has checked everything it can, because hyper sends `100 Continue` at the first poll. A client
//! that sends nothing for the idle time is answered `RequestTimeout`.

mod digests;
mod leftover;
mod source;

pub(crate) use digests::{BodyDigests, EtagNeed};
pub(crate) use leftover::Leftover;
pub(crate) use source::{BodyLimits, BodySource, LengthBounds, Protection, is_unknown, read_document};
