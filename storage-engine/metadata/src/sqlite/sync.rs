//! The locks of what is also run under every schedule of its threads (`storage-engine/schedules`), which has others.

pub(super) use parking_lot::{Condvar, Mutex};
