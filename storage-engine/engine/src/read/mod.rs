//! Reading: nothing leaves that was not checked against its hash.
//!
//! The fast way reads the one block that holds the bytes. Whatever is wrong with it (the drive is gone, the file
//! is short, a hash does not match) makes it an erasure: the stripe's other columns are read and checked, the
//! column is rebuilt and checked, and the damage is reported to be healed.

mod ahead;
mod back;
mod blob;
mod block;
mod copying;
mod gather;
mod handle;
mod lease;
mod places;
mod running;
mod stripe;

pub(crate) use ahead::Room;
pub(crate) use back::{WrittenStripe, read_back};
pub(crate) use block::{BlockPlace, Records, VerifiedBlock, header_at, verify_block, verify_body};
pub(crate) use copying::Copying;
pub(crate) use gather::gather_stripe;
pub(crate) use handle::Reader;
pub use handle::{ObjectHandle, ObjectStream};
pub(crate) use running::Running;
pub(crate) use stripe::{Found, Stripe, any_header, read_block, read_stripe};
