//! Notifications: the targets that the operator named, and what sends events to them.
//!
//! A bucket's owner chooses among the targets by name; no request can make this server connect anywhere else. Whatever a
//! target's name resolves to is checked each time ([`crate::outbound`]), and that address is connected to; redirects are not followed.
//! Each target has a task of its own, so that a dead one holds up no other, and the tasks of one node send at a time.

mod send;
mod target;
mod worker;

use std::sync::Arc;

use anyhow::{Context, Result};
use granary_engine::Engine;
use granary_s3::S3Config;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::outbound::{Outbound, Reach};
use send::Sender;
pub use target::{TargetSetting, target_names};

/// Starts what sends events; nothing if there are no targets.
///
/// # Errors
/// Secrets or certificates that cannot be read, targets without a secret.
pub fn start(config: &Config, engine: &Engine, s3: &S3Config) -> Result<Vec<JoinHandle<()>>> {
    let settings = &config.settings;
    if settings.notify.is_empty() {
        return Ok(Vec::new());
    }
    let reach = if settings.notify_allow_private { Reach::Anywhere } else { Reach::Public };
    let allowed_by = "--notify-allow-private";
    let sender = Arc::new(Sender::new(Outbound::new(reach, allowed_by, settings.notify_ca_cert.as_deref())?));
    let targets = target::load(settings).context("the targets of notifications")?;
    let s3 = Arc::new(s3.clone());
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let mut tasks: Vec<JoinHandle<()>> = Vec::with_capacity(targets.len() + 1);
    for target in targets {
        let work = worker::Worker {
            engine: engine.clone(),
            sender: Arc::clone(&sender),
            s3: Arc::clone(&s3),
            target,
            queue_max: settings.notify_queue_max,
        };
        tasks.push(tokio::spawn(work.run()));
    }
    tasks.push(tokio::spawn(worker::drop_unknown(engine.clone(), names)));
    Ok(tasks)
}
