//! Long lists, in pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::form::Form;
use super::xml::Xml;
use crate::error::{IamError, Result};

const DEFAULT_ITEMS: u32 = 100;
const MAX_ITEMS: u32 = 1_000;

/// Some items, and where the next ones begin.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    marker: Option<String>,
}

impl<T> Page<T> {
    /// The page that the form asks for. The items come in the order of their keys, which tell them apart.
    pub(crate) fn of(
        form: &Form,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Result<Self> {
        let limit = form.number("MaxItems", 1, MAX_ITEMS)?.unwrap_or(DEFAULT_ITEMS);
        let after = form.get("Marker").map(decode).transpose()?;
        let behind = |item: &T| after.as_ref().is_none_or(|after| key(item) > *after);
        let mut rest = items.into_iter().filter(behind);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let items: Vec<T> = rest.by_ref().take(limit).collect();
        let marker = rest.next().and_then(|_| items.last()).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        Ok(Self { items, marker })
    }

    /// Says whether there are more.
    pub(crate) fn end(&self, xml: &mut Xml) {
        xml.text("IsTruncated", if self.marker.is_some() { "true" } else { "false" });
        xml.optional("Marker", self.marker.as_deref());
    }
}

fn decode(marker: &str) -> Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| IamError::invalid("The value of Marker is not from an answer."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let all = ["a", "b", "c"];
        let page = |form: &str| {
            Page::of(&Form::read(form.as_bytes()).unwrap(), all, |item| (*item).to_owned()).unwrap()
        };
        let first = page("MaxItems=2");
        assert_eq!(first.items, ["a", "b"]);
        let next = page(&format!("MaxItems=2&Marker={}", first.marker.unwrap()));
        assert_eq!((next.items, next.marker), (vec!["c"], None));
        assert!(page("MaxItems=3").marker.is_none());
        assert!(Page::of(&Form::read(b"Marker=%21").unwrap(), all, |item| (*item).to_owned()).is_err());
    }
}
