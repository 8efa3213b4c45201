//! `granary user`, `granary key` and `granary policy`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use granary_admin::{IdentityReport, IdentityRequest, KeyAction, KeyPair, NamedUser, UserReport, UserToAdd};

use super::Target;
use super::bucket::Limit;
use super::quota::{self, UserQuota};
use crate::output::{OutputFormat, print_json, print_line, table};

/// A policy has 20 KiB at most; what is longer is no policy.
const POLICY_BYTES_MAX: u64 = 64 * 1024;

/// Users of a running store.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user with a key. Without --account it gets an account of its own and is its root user.
    Add(AddUser),
    /// List the accounts' root users, or the users of one account.
    List {
        /// The id of the account.
        #[arg(long, value_name = "ID")]
        account: Option<String>,
        /// The server.
        #[command(flatten)]
        target: Target,
    },
    /// Remove a user, or an account that has nothing in it but its root user.
    Remove(Whose),
    /// Set how many requests a second a user may send to each node, those of its sessions included.
    Limit {
        /// Whose.
        #[command(flatten)]
        user: Whose,
        /// Requests a second; or none.
        #[arg(long, value_name = "N|none")]
        requests_per_second: Limit<std::num::NonZeroU32>,
    },
    /// Show what all buckets of an account hold and may hold, and set it. What is there already stays; what is not named
    /// stays as it is.
    Quota(UserQuota),
}

/// What `granary user add` takes.
#[derive(Debug, Args)]
pub struct AddUser {
    /// The name of the user, and of its account if it gets one.
    name: String,
    /// The account it is to be a user of. It may do nothing there until policies let it.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    #[command(flatten)]
    key: ChosenKey,
    /// The id of the new account, 12 digits [default: random].
    #[arg(long, value_name = "ID", conflicts_with = "account")]
    account_id: Option<String>,
    /// The canonical id of the new account, 64 hexadecimal digits [default: random].
    #[arg(long, value_name = "ID", conflicts_with = "account")]
    canonical_id: Option<String>,
    /// The name beside the canonical id [default: the user's name].
    #[arg(long, value_name = "NAME", conflicts_with = "account")]
    display_name: Option<String>,
    /// The address that grants may name the new account by.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "account")]
    email: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// A key that is not to be made up.
#[derive(Args)]
pub struct ChosenKey {
    /// The access key [default: random].
    #[arg(long, value_name = "KEY", requires = "secret_key")]
    access_key: Option<String>,
    /// The secret key [default: random]. Other users of this machine may see it; give it in GRANARY_NEW_SECRET_KEY.
    #[arg(
        long,
        value_name = "SECRET",
        requires = "access_key",
        env = "GRANARY_NEW_SECRET_KEY",
        hide_env_values = true
    )]
    secret_key: Option<String>,
}

impl std::fmt::Debug for ChosenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChosenKey").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl ChosenKey {
    fn pair(self) -> Option<KeyPair> {
        let (access_key, secret_key) = self.access_key.zip(self.secret_key)?;
        Some(KeyPair { access_key, secret_key })
    }
}

/// A user.
#[derive(Debug, Args)]
pub struct Whose {
    /// The name of the user, or of the account whose root user is meant.
    name: String,
    /// The account it is a user of.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Whose {
    pub(super) fn split(self) -> (NamedUser, Target) {
        (NamedUser { account: self.account, name: self.name }, self.target)
    }
}

/// Access keys of users.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List the keys of a user.
    List(Whose),
    /// Give a user another key.
    Add {
        /// Whose.
        #[command(flatten)]
        user: Whose,
        /// The key.
        #[command(flatten)]
        key: ChosenKey,
    },
    /// Let a key sign again.
    Enable(OneKey),
    /// Let a key sign no more, on all nodes within a second; sessions made with it end too.
    Disable(OneKey),
    /// Remove a key.
    Remove(OneKey),
}

/// An access key.
#[derive(Debug, Args)]
pub struct OneKey {
    /// The access key.
    access_key: String,
    #[command(flatten)]
    target: Target,
}

/// Policies of users.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// List the policies of a user.
    List(Whose),
    /// Set an inline policy of a user.
    Set {
        /// Whose.
        #[command(flatten)]
        user: Whose,
        /// The name of the policy.
        #[arg(long)]
        policy: String,
        /// The file it is in; - for standard input.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove an inline policy of a user.
    Remove {
        /// Whose.
        #[command(flatten)]
        user: Whose,
        /// The name of the policy.
        #[arg(long)]
        policy: String,
    },
    /// Attach a managed policy to a user.
    Attach {
        /// Whose.
        #[command(flatten)]
        user: Whose,
        /// The ARN of the policy, such as arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess.
        #[arg(long)]
        arn: String,
    },
    /// Detach a managed policy from a user.
    Detach {
        /// Whose.
        #[command(flatten)]
        user: Whose,
        /// The ARN of the policy.
        #[arg(long)]
        arn: String,
    },
}

/// `granary user …`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn user(command: UserCommand, format: OutputFormat) -> Result<()> {
    match command {
        UserCommand::Add(add) => {
            let AddUser { name, account, key, account_id, canonical_id, display_name, email, target } = add;
            let key = key.pair();
            let user = UserToAdd { name, account, key, account_id, canonical_id, display_name, email };
            let made = ask(&target, &IdentityRequest::AddUser(user)).await.context("adding a user")?;
            show_made(&made, format)
        }
        UserCommand::List { account, target } => {
            let found =
                ask(&target, &IdentityRequest::ListUsers { account }).await.context("listing users")?;
            show_users(&found.users, format)
        }
        UserCommand::Remove(whose) => {
            let (user, target) = whose.split();
            ask(&target, &IdentityRequest::RemoveUser { user }).await.context("removing a user").map(drop)
        }
        UserCommand::Limit { user, requests_per_second: Limit(requests_per_s) } => {
            let (user, target) = user.split();
            let request = IdentityRequest::LimitUser { user, requests_per_s };
            ask(&target, &request).await.context("limiting a user").map(drop)
        }
        UserCommand::Quota(quota) => quota::run(quota, format).await,
    }
}

/// `granary key …`.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn key(command: KeyCommand, format: OutputFormat) -> Result<()> {
    let (key, action) = match command {
        KeyCommand::List(whose) => {
            let user = show(whose).await?;
            if format == OutputFormat::Json {
                return print_json(&user.keys);
            }
            let row = |key: &granary_admin::KeyReport| {
                vec![key.access_key.clone(), if key.active { "active" } else { "disabled" }.to_owned()]
            };
            return print_line(&table(
                &["ACCESS KEY", "STATE"],
                &user.keys.iter().map(row).collect::<Vec<_>>(),
            ));
        }
        KeyCommand::Add { user, key } => {
            let (user, target) = user.split();
            let request = IdentityRequest::AddKey { user, key: key.pair() };
            let made = ask(&target, &request).await.context("adding a key")?;
            return show_made(&made, format);
        }
        KeyCommand::Enable(key) => (key, KeyAction::Enable),
        KeyCommand::Disable(key) => (key, KeyAction::Disable),
        KeyCommand::Remove(key) => (key, KeyAction::Remove),
    };
    let request = IdentityRequest::ChangeKey { access_key: key.access_key, action };
    ask(&key.target, &request).await.context("changing a key").map(drop)
}

/// `granary policy …`.
///
/// # Errors
/// The server cannot be reached, or refuses; a file that cannot be read.
pub async fn policy(command: PolicyCommand, format: OutputFormat) -> Result<()> {
    let (request, target) = match command {
        PolicyCommand::List(whose) => {
            let user = show(whose).await?;
            if format == OutputFormat::Json {
                return print_json(&user.policies);
            }
            let rows: Vec<_> = user.policies.into_iter().map(|policy| vec![policy]).collect();
            return print_line(&table(&["POLICY"], &rows));
        }
        PolicyCommand::Set { user, policy: name, file } => {
            let (user, target) = user.split();
            let document = Some(read_policy(&file)?);
            (IdentityRequest::SetPolicy { user, name, document }, target)
        }
        PolicyCommand::Remove { user, policy: name } => {
            let (user, target) = user.split();
            (IdentityRequest::SetPolicy { user, name, document: None }, target)
        }
        PolicyCommand::Attach { user, arn } => {
            let (user, target) = user.split();
            (IdentityRequest::AttachPolicy { user, arn }, target)
        }
        PolicyCommand::Detach { user, arn } => {
            let (user, target) = user.split();
            (IdentityRequest::DetachPolicy { user, arn }, target)
        }
    };
    ask(&target, &request).await.context("changing the policies of a user").map(drop)
}

pub(super) async fn ask(target: &Target, request: &IdentityRequest) -> Result<IdentityReport> {
    Ok(target.client()?.identities(request).await?)
}

async fn show(whose: Whose) -> Result<UserReport> {
    let (user, target) = whose.split();
    let found = ask(&target, &IdentityRequest::ShowUser { user }).await.context("looking up a user")?;
    let Some(user) = found.users.into_iter().next() else { bail!("the server's answer names no user") };
    Ok(user)
}

fn read_policy(file: &Path) -> Result<String> {
    let shown = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(POLICY_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(POLICY_BYTES_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("reading the policy in {shown}"))?;
    ensure!(
        u64::try_from(text.len()).is_ok_and(|length| length < POLICY_BYTES_MAX),
        "{shown} is too long for a policy"
    );
    Ok(text)
}

/// Shows a user or a key that was made, with its secret: it is told this once.
fn show_made(made: &IdentityReport, format: OutputFormat) -> Result<()> {
    if format == OutputFormat::Json {
        return print_json(made);
    }
    let mut lines = Vec::new();
    if let Some(user) = made.users.first() {
        lines.push(vec!["account id".to_owned(), user.account_id.clone()]);
        lines.push(vec!["canonical id".to_owned(), user.canonical_id.clone()]);
        lines.push(vec!["arn".to_owned(), user.arn.clone()]);
    }
    if let Some(key) = &made.key {
        lines.push(vec!["access key".to_owned(), key.access_key.clone()]);
        lines.push(vec!["secret key".to_owned(), key.secret_key.clone()]);
    }
    print_line(&table(&["NAME", made.users.first().map_or("-", |user| &user.name)], &lines))
}

fn show_users(users: &[UserReport], format: OutputFormat) -> Result<()> {
    if format == OutputFormat::Json {
        return print_json(&users);
    }
    let row = |user: &UserReport| {
        vec![
            user.name.clone(),
            user.account_id.clone(),
            user.arn.clone(),
            user.display_name.clone(),
            user.keys.iter().filter(|key| key.active).count().to_string(),
        ]
    };
    let rows: Vec<_> = users.iter().map(row).collect();
    print_line(&table(&["NAME", "ACCOUNT", "ARN", "DISPLAY NAME", "ACTIVE KEYS"], &rows))
}
