//! Answers, as the query protocol has them.

use std::fmt::Write as _;

use quick_xml::escape::escape;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The inside of an answer.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &str, text: impl AsRef<str>) -> &mut Self {
        let text = text.as_ref();
        // What XML cannot say at all must not make the document unreadable.
        let shown: String = text.chars().filter(|&c| c >= ' ' || matches!(c, '\t' | '\n' | '\r')).collect();
        // Writing to a String cannot fail.
        let _ = write!(self.0, "<{name}>{}</{name}>", escape(shown.as_str()));
        self
    }

    /// An element with text, if there is any.
    pub(crate) fn optional(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            self.text(name, text);
        }
        self
    }

    /// An element with a time in milliseconds since the Unix epoch, shown in seconds.
    pub(crate) fn time(&mut self, name: &str, unix_ms: i64) -> &mut Self {
        let at = OffsetDateTime::from_unix_timestamp(unix_ms.div_euclid(1000));
        let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        // A time of these years can always be shown.
        self.text(name, at.format(&Rfc3339).unwrap_or_default())
    }

    /// An element with elements.
    pub(crate) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let _ = write!(self.0, "<{name}>");
        inside(self);
        let _ = write!(self.0, "</{name}>");
        self
    }

    /// A list of elements.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut inside: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.element(name, |xml| {
            for item in items {
                xml.element("member", |xml| inside(xml, item));
            }
        })
    }

    /// A list of texts.
    pub(crate) fn texts<'t>(&mut self, name: &str, items: impl IntoIterator<Item = &'t str>) -> &mut Self {
        self.element(name, |xml| {
            for item in items {
                xml.text("member", item);
            }
        })
    }

    /// Tags.
    pub(crate) fn tags(&mut self, tags: &[(String, String)]) -> &mut Self {
        self.list("Tags", tags, |xml, (key, value)| {
            xml.text("Key", key).text("Value", value);
        })
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Xml;

    #[test]
    fn texts_are_escaped_and_times_shown() {
        let mut xml = Xml::new();
        xml.text("A", "<&\u{1}\">").time("T", 1_700_000_000_999).texts("L", ["x"]).optional("O", None);
        assert_eq!(
            xml.into_text(),
            "<A>&lt;&amp;&quot;&gt;</A><T>2023-11-14T22:13:20Z</T><L><member>x</member></L>"
        );
    }
}
