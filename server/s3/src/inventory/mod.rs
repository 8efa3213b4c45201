//! Inventories: lists of what is in a bucket, written as objects into another, each day or each week.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html>

mod config;
mod list;
mod run;

pub(crate) use config::{DOCUMENT, Inventory, asked_fields};
