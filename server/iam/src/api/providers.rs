//! OpenID Connect providers.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html>

use std::sync::Arc;

use super::call::Call;
use super::common::authorise_tags;
use super::limits;
use super::tagging;
use super::xml::Xml;
use crate::documents::{Document, ProviderDocument, provider_document};
use crate::error::{Code, IamError, Result};
use crate::names;
use crate::state::Changes;

const URL_BYTES_MAX: usize = 255;
const CLIENTS_MAX: usize = 100;
const CLIENT_CHARS_MAX: usize = 255;
const THUMBPRINTS_MAX: usize = 5;
const THUMBPRINT_CHARS: usize = 40;

fn put(provider: ProviderDocument) -> Changes {
    let name = provider_document(&provider.account, provider.place());
    vec![(name, Some(Document::Provider(Arc::new(provider))))]
}

/// The URL of an issuer: `https://` with a host and perhaps a path, and nothing else.
fn url<'c>(call: &Call<'c>) -> Result<&'c str> {
    let url = call.form.required("Url")?;
    let fits = url.strip_prefix("https://").is_some_and(|place| {
        let host = place.split('/').next().unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\".contains(&byte);
        !host.is_empty() && place.bytes().all(is_plain) && url.parse::<http::Uri>().is_ok()
    });
    if fits && url.len() <= URL_BYTES_MAX {
        return Ok(url);
    }
    let message = "Invalid Open ID Connect Provider URL: it begins with https://, has at most 255 characters, and holds no query.";
    Err(IamError::new(Code::InvalidInput, message))
}

fn checked_client(client: &str) -> Result<String> {
    if (1..=CLIENT_CHARS_MAX).contains(&client.chars().count()) {
        return Ok(client.to_owned());
    }
    Err(IamError::new(Code::InvalidInput, "A client ID has 1 to 255 characters."))
}

/// The thumbprints of the request. They are kept and shown; what is trusted is what the server trusts.
fn thumbprints(call: &Call<'_>) -> Result<Vec<String>> {
    let given = call.form.members("ThumbprintList", "");
    if given.len() > THUMBPRINTS_MAX {
        return Err(IamError::limit("ThumbprintsPerOpenIdConnectProvider", THUMBPRINTS_MAX));
    }
    if given.iter().any(|one| one.len() != THUMBPRINT_CHARS) {
        return Err(IamError::new(Code::InvalidInput, "A thumbprint has 40 hexadecimal digits."));
    }
    Ok(given.into_iter().map(str::to_owned).collect())
}

/// The ARN in the request, if the caller may do this to it.
fn named<'c>(call: &Call<'c>) -> Result<&'c str> {
    let arn = call.form.required("OpenIDConnectProviderArn")?;
    call.authorise(arn)?;
    Ok(arn)
}

fn found(call: &Call<'_>) -> Result<Arc<ProviderDocument>> {
    let arn = named(call)?;
    call.read(|state| state.provider_of(call.account_id(), arn).cloned())
}

/// Changes a provider that is there.
async fn change(call: &Call<'_>, change: impl Fn(&mut ProviderDocument) -> Result<()>) -> Result<Xml> {
    let arn = named(call)?;
    call.store
        .change(|state| {
            let mut provider = (**state.provider_of(call.account_id(), arn)?).clone();
            change(&mut provider)?;
            Ok((put(provider), ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) async fn create(call: &Call<'_>) -> Result<Xml> {
    let url = url(call)?;
    let clients = call.form.members("ClientIDList", "").into_iter().map(checked_client);
    let provider = ProviderDocument {
        account: call.account_id().to_owned(),
        url: url.to_owned(),
        client_ids: clients.collect::<Result<_>>()?,
        thumbprints: thumbprints(call)?,
        created_ms: names::now_ms(),
        tags: call.form.tags()?,
    };
    let arn = provider.arn();
    call.authorise(&arn)?;
    authorise_tags(call, "iam:TagOpenIDConnectProvider", &arn)?;
    if provider.client_ids.len() > CLIENTS_MAX {
        return Err(IamError::limit("ClientIdsPerOpenIdConnectProvider", CLIENTS_MAX));
    }
    call.store
        .change(|state| {
            if state.provider_of(call.account_id(), &arn).is_ok() {
                let message = format!("Provider with url {url} already exists.");
                return Err(IamError::new(Code::EntityAlreadyExists, message));
            }
            if state.providers(call.account_id()).count() >= limits::PROVIDERS {
                return Err(IamError::limit("OpenIdConnectProvidersPerAccount", limits::PROVIDERS));
            }
            Ok((put(provider.clone()), ()))
        })
        .await?;
    let mut xml = Xml::new();
    xml.text("OpenIDConnectProviderArn", &arn);
    if !provider.tags.is_empty() {
        xml.tags(&provider.tags);
    }
    Ok(xml)
}

pub(super) fn get(call: &Call<'_>) -> Result<Xml> {
    let provider = found(call)?;
    let mut xml = Xml::new();
    // AWS shows the URL without its scheme.
    xml.text("Url", provider.place())
        .texts("ClientIDList", provider.client_ids.iter().map(String::as_str))
        .texts("ThumbprintList", provider.thumbprints.iter().map(String::as_str))
        .time("CreateDate", provider.created_ms);
    if !provider.tags.is_empty() {
        xml.tags(&provider.tags);
    }
    Ok(xml)
}

pub(super) fn list(call: &Call<'_>) -> Result<Xml> {
    call.authorise("*")?;
    let arns: Vec<String> =
        call.read(|state| state.providers(call.account_id()).map(|provider| provider.arn()).collect());
    let mut xml = Xml::new();
    xml.list("OpenIDConnectProviderList", &arns, |xml, arn| {
        xml.text("Arn", arn);
    });
    Ok(xml)
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Xml> {
    let arn = named(call)?;
    call.store
        .change(|state| {
            let provider = state.provider_of(call.account_id(), arn)?;
            Ok((vec![(provider_document(&provider.account, provider.place()), None)], ()))
        })
        .await?;
    Ok(Xml::new())
}

pub(super) async fn add_client(call: &Call<'_>) -> Result<Xml> {
    let client = checked_client(call.form.required("ClientID")?)?;
    change(call, |provider| {
        if !provider.client_ids.contains(&client) {
            if provider.client_ids.len() >= CLIENTS_MAX {
                return Err(IamError::limit("ClientIdsPerOpenIdConnectProvider", CLIENTS_MAX));
            }
            provider.client_ids.push(client.clone());
        }
        Ok(())
    })
    .await
}

pub(super) async fn remove_client(call: &Call<'_>) -> Result<Xml> {
    let client = call.form.required("ClientID")?;
    change(call, |provider| {
        provider.client_ids.retain(|other| other != client);
        Ok(())
    })
    .await
}

pub(super) async fn update_thumbprints(call: &Call<'_>) -> Result<Xml> {
    let thumbprints = thumbprints(call)?;
    change(call, |provider| {
        provider.thumbprints.clone_from(&thumbprints);
        Ok(())
    })
    .await
}

pub(super) async fn tag(call: &Call<'_>) -> Result<Xml> {
    let tags = tagging::change(call)?;
    change(call, |provider| tags.apply(&mut provider.tags)).await
}

pub(super) fn tags(call: &Call<'_>) -> Result<Xml> {
    tagging::list(call, &found(call)?.tags)
}
