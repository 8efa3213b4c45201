//! `granary tier prefetch|pin|unpin|pins`.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use granary_admin::{AdminClient, PinReport, WarmJobReport, WarmJobState, WarmRequest};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Target, size};
use crate::output::{OutputFormat, print_json, print_line, print_notice, table};

const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// A server that restarts for this long loses the job; a shorter hiccup does not end the command.
const MAX_FAILED_POLLS: u32 = 20;

/// `s3://bucket/prefix`, or `s3://bucket` for all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(super) bucket: String,
    pub(super) prefix: String,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("s3://").ok_or("it begins with s3://, as in s3://bucket/prefix")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("it names no bucket".to_owned());
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

/// The objects that are to be warm, and the server.
#[derive(Debug, Args)]
pub struct WarmArgs {
    /// The objects: s3://bucket/prefix, or s3://bucket for all of them.
    #[arg(value_name = "S3-URL")]
    objects: Prefix,
    /// Start it and do not wait for its end.
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    target: Target,
}

/// The objects that need not be pinned any more, and the server.
#[derive(Debug, Args)]
pub struct UnpinArgs {
    /// The prefix as it was pinned.
    #[arg(value_name = "S3-URL")]
    objects: Prefix,
    #[command(flatten)]
    target: Target,
}

/// `granary tier prefetch`. The exit code is a failure if not everything has its copy.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn prefetch(args: &WarmArgs, format: OutputFormat) -> Result<ExitCode> {
    let Prefix { bucket, prefix } = args.objects.clone();
    run(args, WarmRequest::Prefetch { bucket, prefix }, format).await.context("prefetching")
}

/// `granary tier pin`. The exit code is a failure if not everything has its copy.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn pin(args: &WarmArgs, format: OutputFormat) -> Result<ExitCode> {
    let Prefix { bucket, prefix } = args.objects.clone();
    run(args, WarmRequest::Pin { bucket, prefix }, format).await.context("pinning")
}

/// `granary tier unpin`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn unpin(args: &UnpinArgs, format: OutputFormat) -> Result<()> {
    let Prefix { bucket, prefix } = args.objects.clone();
    let answer = args.target.client()?.warm(&WarmRequest::Unpin { bucket, prefix }).await;
    let copies = answer.context("unpinning")?.unpinned.unwrap_or_default();
    match format {
        OutputFormat::Json => print_json(&serde_json::json!({ "unpinned": copies })),
        OutputFormat::Text => print_line(&format!("{copies} copies go when their room is needed")),
    }
}

/// `granary tier pins`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn pins(target: &Target, format: OutputFormat) -> Result<()> {
    let answer = target.client()?.warm(&WarmRequest::Pins).await.context("listing pins")?;
    let pins = answer.pins.unwrap_or_default();
    if format == OutputFormat::Json {
        return print_json(&pins);
    }
    let row = |pin: &PinReport| {
        vec![format!("s3://{}/{}", pin.bucket, pin.prefix), pin.copies.to_string(), size(pin.bytes)]
    };
    print_line(&table(&["PINNED", "COPIES", "BYTES"], &pins.iter().map(row).collect::<Vec<_>>()))
}

async fn run(args: &WarmArgs, request: WarmRequest, format: OutputFormat) -> Result<ExitCode> {
    let client = args.target.client()?;
    let Some(job) = client.warm(&request).await?.started else { bail!("the server's answer names no job") };
    if args.detach {
        match format {
            OutputFormat::Json => print_json(&serde_json::json!({ "job": job }))?,
            OutputFormat::Text => print_line(&format!("started: job {job}"))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let done = follow(&client, job, format).await?;
    report(&done, format)?;
    let is_complete = done.state == WarmJobState::Done && done.failed == 0 && done.no_room == 0;
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn follow(client: &AdminClient, job: u64, format: OutputFormat) -> Result<WarmJobReport> {
    let bar = match format {
        OutputFormat::Json => ProgressBar::hidden(),
        OutputFormat::Text => {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} objects, {msg} {eta}");
            ProgressBar::new(0).with_style(style.context("the progress bar")?)
        }
    };
    let mut failed_polls = 0;
    loop {
        match client.warm(&WarmRequest::Job { job }).await {
            Ok(answer) => {
                failed_polls = 0;
                let Some(found) = answer.job else { bail!("the server's answer tells of no job") };
                bar.set_length(found.found);
                bar.set_position(found.copied + found.warm + found.changed + found.failed + found.no_room);
                bar.set_message(indicatif::BinaryBytes(found.bytes).to_string());
                if found.state != WarmJobState::Running {
                    bar.finish_and_clear();
                    return Ok(found);
                }
            }
            Err(error) => {
                failed_polls += 1;
                if failed_polls == MAX_FAILED_POLLS {
                    return Err(error).context("asking for the progress");
                }
                if error.status() == http::StatusCode::NOT_FOUND {
                    bail!("the server does not know the job any more; it was restarted, most likely");
                }
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn report(job: &WarmJobReport, format: OutputFormat) -> Result<()> {
    if format == OutputFormat::Json {
        return print_json(job);
    }
    if let WarmJobState::Failed(why) = &job.state {
        print_notice(&format!("granary: it ended early: {why}"));
    }
    let WarmJobReport { found, copied, bytes, warm, changed, failed, no_room, on_ssd, archived, .. } = job;
    print_line(&format!(
        "{copied} of {found} objects copied, {}; {warm} had a copy, {changed} changed meanwhile, {failed} failed, \
         {no_room} found no room; \
         {on_ssd} lie on SSDs, {archived} are archived",
        size(*bytes)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_url_with_a_bucket() {
        let of =
            |bucket: &str, prefix: &str| Ok(Prefix { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        assert_eq!("s3://b/a/c/".parse(), of("b", "a/c/"));
        assert_eq!("s3://b".parse(), of("b", ""));
        assert_eq!("s3://b/".parse(), of("b", ""));
        for bad in ["b/a", "s3://", "s3:///a", "https://b/a"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}
