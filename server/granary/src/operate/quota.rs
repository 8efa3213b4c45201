//! `granary user quota`.

use anyhow::{Context, Result, bail};
use bytesize::ByteSize;
use clap::Args;
use granary_admin::{IdentityRequest, QuotaReport};

use super::bucket::Limit;
use super::identity::{Whose, ask};
use super::size;
use crate::output::{OutputFormat, print_json, print_line, table};

/// What `granary user quota` takes.
#[derive(Debug, Args)]
pub struct UserQuota {
    /// Whose.
    #[command(flatten)]
    user: Whose,
    /// Bytes of all versions and of parts of uploads in progress, such as 10GiB; or none.
    #[arg(long, value_name = "SIZE|none")]
    bytes: Option<Limit<ByteSize>>,
    /// Objects, each version counted; or none.
    #[arg(long, value_name = "N|none")]
    objects: Option<Limit<u64>>,
}

/// Sets what is named, and shows what the account holds and may hold.
pub(super) async fn run(quota: UserQuota, format: OutputFormat) -> Result<()> {
    let UserQuota { user, bytes, objects } = quota;
    let (user, target) = user.split();
    let doing = "looking at a quota";
    let report = ask(&target, &IdentityRequest::ShowQuota { user: user.clone() }).await.context(doing)?;
    let Some(mut quota) = report.quota else { bail!("the server's answer tells no quota") };
    if bytes.is_some() || objects.is_some() {
        let bytes_max = bytes.map_or(quota.bytes_max, |Limit(bytes)| bytes.map(|size| size.as_u64()));
        let objects_max = objects.map_or(quota.objects_max, |Limit(objects)| objects);
        let request = IdentityRequest::SetQuota { user, bytes_max, objects_max };
        let report = ask(&target, &request).await.context("changing a quota")?;
        let Some(changed) = report.quota else { bail!("the server's answer tells no quota") };
        quota = changed;
    }
    show(&quota, format)
}

fn show(quota: &QuotaReport, format: OutputFormat) -> Result<()> {
    if format == OutputFormat::Json {
        return print_json(quota);
    }
    let none = || "none".to_owned();
    let rows = [
        vec!["bytes".to_owned(), size(quota.bytes), quota.bytes_max.map_or_else(none, size)],
        vec![
            "objects".to_owned(),
            quota.objects.to_string(),
            quota.objects_max.map_or_else(none, |max| max.to_string()),
        ],
    ];
    print_line(&table(&[&format!("ACCOUNT {}", quota.account), "USED", "LIMIT"], &rows))
}
