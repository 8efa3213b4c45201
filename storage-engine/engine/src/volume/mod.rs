//! Volumes: being written ([`OpenVolume`], [`VolumePool`]) and being read ([`VolumeMap`]).

mod book;
mod map;
mod open;
mod pool;
mod room;
mod run;

pub(crate) use book::RecordBook;
pub(crate) use map::{VolumeMap, VolumeView, all_rows};
#[cfg(test)]
pub(crate) use open::OpenColumn;
pub(crate) use open::OpenVolume;
#[cfg(test)]
pub(crate) use pool::Slot;
pub(crate) use pool::VolumePool;
pub(crate) use room::{Room, Space, VolumeLimit, with_room};
pub(crate) use run::{Run, RunStripe, seal_stripe};
