//! `granary metadata losses`.

use anyhow::{Context, Result};
use clap::Args;
use granary_admin::LossReport;

use super::Target;
use crate::output::{OutputFormat, print_json, print_line, table};

/// Which losses to show, and of which server.
#[derive(Debug, Args)]
pub struct LossesArgs {
    #[command(flatten)]
    target: Target,
    /// Forget them: they were dealt with.
    #[arg(long)]
    dismiss: bool,
}

/// Shows what fail-overs lost, or forgets it.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn losses(args: &LossesArgs, format: OutputFormat) -> Result<()> {
    let client = args.target.client()?;
    if args.dismiss {
        let dismissed = client.dismiss_losses().await.context("dismissing losses")?;
        return match format {
            OutputFormat::Json => print_json(&dismissed),
            OutputFormat::Text => print_line(&format!("{} dismissed", dismissed.dismissed)),
        };
    }
    let list = client.losses().await.context("listing losses")?;
    if format == OutputFormat::Json {
        return print_json(&list);
    }
    if list.failing_over {
        print_line("The database failed over just now, and it is still being found out what that lost.")?;
    }
    if list.losses.is_empty() {
        return print_line("Nothing is known to be lost.");
    }
    let header = ["KIND", "TIMELINE", "BUCKET", "KEY", "VERSION", "DETAIL"];
    print_line(&table(&header, &list.losses.iter().map(row).collect::<Vec<_>>()))
}

fn row(loss: &LossReport) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        loss.kind.clone(),
        loss.timeline.to_string(),
        if loss.bucket.is_empty() { dash() } else { loss.bucket.clone() },
        loss.key.clone().unwrap_or_else(dash),
        loss.version.clone().unwrap_or_else(dash),
        loss.detail.clone(),
    ]
}
