//! Text with wildcards and policy variables.
//!
//! What a variable stands for is text: a user whose name is `*` matches a `*` and nothing else. Source:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>

use std::borrow::Cow;

use super::context::Context;

/// Which characters of a text mean more than themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// None.
    Plain,
    /// `*` and `?`.
    Wildcards,
    /// `${…}`.
    Variables,
    /// All of them.
    Both,
}

impl Syntax {
    fn has_wildcards(self) -> bool {
        matches!(self, Self::Wildcards | Self::Both)
    }

    fn has_variables(self) -> bool {
        matches!(self, Self::Variables | Self::Both)
    }
}

/// Whether two letters that differ in case alone are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Sensitive,
    Insensitive,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Glyph {
    Char(char),
    /// `*`.
    Any,
    /// `?`.
    One,
    /// A variable's key, in lower case, and what to take when it is not there.
    Variable(String, Option<String>),
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Glyph>);

impl Pattern {
    /// Reads a pattern. `None` for a variable without end or name.
    pub(super) fn compile(text: &str, syntax: Syntax) -> Option<Self> {
        let mut glyphs = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if syntax.has_variables()
                && let Some(after) = rest.strip_prefix("${")
            {
                let (inner, behind) = after.split_once('}')?;
                glyphs.push(variable(inner)?);
                rest = behind;
                continue;
            }
            glyphs.push(match next {
                '*' if syntax.has_wildcards() => Glyph::Any,
                '?' if syntax.has_wildcards() => Glyph::One,
                plain => Glyph::Char(plain),
            });
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
        // Several stars in a row mean what one does, and cost more.
        glyphs.dedup_by(|next, previous| *next == Glyph::Any && *previous == Glyph::Any);
        Some(Self(glyphs))
    }

    /// Whether the whole of `text` fits. A variable that has no value fits nothing.
    pub(super) fn matches(&self, text: &str, context: &Context, case: Case) -> bool {
        self.resolved(context).is_some_and(|glyphs| fits(&glyphs, text, case))
    }

    /// Whether the text fits, variables fitting anything.
    pub(super) fn could_match(&self, text: &str, case: Case) -> bool {
        fits(&self.with_anything(), text, case)
    }

    /// The pattern's text up to the first wildcard or variable.
    pub(super) fn fixed_start(&self) -> String {
        let fixed = self.0.iter().map_while(|glyph| match glyph {
            Glyph::Char(letter) => Some(*letter),
            _ => None,
        });
        fixed.collect()
    }

    /// Whether it has a variable whose key, in lower case, is one of those that are meant.
    pub(super) fn has_variable(&self, is_meant: &impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|glyph| matches!(glyph, Glyph::Variable(key, _) if is_meant(key)))
    }

    /// Whether it has neither wildcards nor variables.
    pub(super) fn is_fixed(&self) -> bool {
        self.0.iter().all(|glyph| matches!(glyph, Glyph::Char(_)))
    }

    /// The parts between colons: the first five colons divide an ARN, later ones belong to the resource. What stands for
    /// a variable divides nothing.
    pub(super) fn arn_parts(&self) -> Option<[Self; 6]> {
        let mut parts: Vec<Vec<Glyph>> = vec![Vec::new()];
        for glyph in &self.0 {
            if *glyph == Glyph::Char(':') && parts.len() < 6 {
                parts.push(Vec::new());
            } else if let Some(last) = parts.last_mut() {
                last.push(glyph.clone());
            }
        }
        let parts: Vec<Self> = parts.into_iter().map(Self).collect();
        parts.try_into().ok()
    }

    /// What comes before the first `/`, and whether there is one or could be one. Variables may be anything.
    pub(super) fn before_slash(&self) -> (Self, bool) {
        let slash = self.0.iter().position(|glyph| *glyph == Glyph::Char('/'));
        let open = self.0.iter().any(|glyph| !matches!(glyph, Glyph::Char(_)));
        let end = slash.unwrap_or(self.0.len());
        let before = self.0.iter().take(end).cloned().collect();
        (Self(before), slash.is_some() || open)
    }

    fn with_anything(&self) -> Vec<Glyph> {
        let any = |glyph: &Glyph| match glyph {
            Glyph::Variable(..) => Glyph::Any,
            other => other.clone(),
        };
        self.0.iter().map(any).collect()
    }

    fn resolved(&self, context: &Context) -> Option<Cow<'_, [Glyph]>> {
        if !self.0.iter().any(|glyph| matches!(glyph, Glyph::Variable(..))) {
            return Some(Cow::Borrowed(&self.0));
        }
        let mut glyphs = Vec::with_capacity(self.0.len() + 32);
        for glyph in &self.0 {
            match glyph {
                Glyph::Variable(key, default) => {
                    let value = context.single(key).or(default.as_deref())?;
                    glyphs.extend(value.chars().map(Glyph::Char));
                }
                other => glyphs.push(other.clone()),
            }
        }
        Some(Cow::Owned(glyphs))
    }
}

/// `*`, `?` or `$` for the character itself; else a key, and perhaps `, 'default'`.
fn variable(inner: &str) -> Option<Glyph> {
    if let "*" | "?" | "$" = inner {
        return inner.chars().next().map(Glyph::Char);
    }
    let (key, default) = match inner.split_once(',') {
        None => (inner, None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key, Some(quoted.to_owned()))
        }
    };
    let key = key.trim();
    let is_key = !key.is_empty() && !key.contains(['{', '$', '*', '?']);
    is_key.then(|| Glyph::Variable(key.to_ascii_lowercase(), default))
}

/// Whether the text fits, in time proportional to pattern × text at worst and without recursion.
fn fits(pattern: &[Glyph], text: &str, case: Case) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    // Where to go on when what follows the last star does not fit: one character later.
    let mut star: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = rest.clone();
        match (pattern.get(at), ahead.next()) {
            (Some(Glyph::Any), _) => {
                at += 1;
                star = Some((at, rest.clone()));
            }
            (Some(glyph), Some(letter)) if glyph_fits(glyph, letter, case) => {
                at += 1;
                rest = ahead;
            }
            (None, None) => return true,
            _ => {
                let Some((after, mut from)) = star.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                at = after;
                rest = from.clone();
                star = Some((after, from));
            }
        }
    }
}

fn glyph_fits(glyph: &Glyph, letter: char, case: Case) -> bool {
    match glyph {
        Glyph::One => true,
        Glyph::Char(own) => {
            *own == letter || case == Case::Insensitive && own.to_lowercase().eq(letter.to_lowercase())
        }
        Glyph::Any | Glyph::Variable(..) => false,
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
