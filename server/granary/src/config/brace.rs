//! Brace ranges in drive paths: `/mnt/d{1...6}` names six drives.

use anyhow::{Result, ensure};

/// More drives than this on one command line are a typing mistake.
const MAX_PATHS: usize = 1024;

/// Expands every `{first...last}` in `pattern`; the rightmost varies fastest. Leading zeros set a width:
/// `{01...12}`. A pattern without a range is one path.
///
/// # Errors
/// Braces that do not match or hold no range, a range that runs backwards, more than 1024 paths.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>> {
    let Some((before, rest)) = pattern.split_once('{') else {
        ensure!(!pattern.contains('}'), "{pattern:?} has a closing brace without an opening one");
        return Ok(vec![pattern.to_owned()]);
    };
    let (range, after) = rest
        .split_once('}')
        .filter(|_| !before.contains('}'))
        .ok_or_else(|| anyhow::anyhow!("{pattern:?} has braces that do not match"))?;
    let numbers = range_numbers(range)?;
    let tails = expand(after)?;
    ensure!(
        numbers.len().saturating_mul(tails.len()) <= MAX_PATHS,
        "{pattern:?} names more than {MAX_PATHS} paths"
    );
    let paths =
        numbers.iter().flat_map(|number| tails.iter().map(move |tail| format!("{before}{number}{tail}")));
    Ok(paths.collect())
}

fn range_numbers(range: &str) -> Result<Vec<String>> {
    let parse = |text: &str| -> Option<u32> {
        (text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 6).then(|| text.parse().ok()).flatten()
    };
    let (first_text, last_text) = range
        .split_once("...")
        .ok_or_else(|| anyhow::anyhow!("{{{range}}} is not a range of the form {{1...6}}"))?;
    let (Some(first), Some(last)) = (parse(first_text), parse(last_text)) else {
        anyhow::bail!("{{{range}}} is not a range of the form {{1...6}}");
    };
    ensure!(first <= last, "{{{range}}} runs backwards");
    let count = usize::try_from(last - first).unwrap_or(usize::MAX);
    ensure!(count < MAX_PATHS, "{{{range}}} names more than {MAX_PATHS} paths");
    let width = if first_text.starts_with('0') { first_text.len() } else { 0 };
    Ok((first..=last).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn ranges_expand() {
        assert_eq!(expand("/mnt/d").unwrap(), ["/mnt/d"]);
        assert_eq!(expand("/mnt/d{1...3}").unwrap(), ["/mnt/d1", "/mnt/d2", "/mnt/d3"]);
        assert_eq!(expand("/d{09...11}/x").unwrap(), ["/d09/x", "/d10/x", "/d11/x"]);
        assert_eq!(expand("/{1...2}/{3...4}").unwrap(), ["/1/3", "/1/4", "/2/3", "/2/4"]);
    }

    #[test]
    fn mistakes_are_refused() {
        for bad in [
            "/d{",
            "/d}",
            "/d{1}",
            "/d{1..3}",
            "/d{3...1}",
            "/d{a...b}",
            "/d{-1...2}",
            "/d}1{",
            "/d{1...5000}",
        ] {
            assert!(expand(bad).is_err(), "{bad}");
        }
        assert!(expand("/{1...100}/{1...100}").is_err());
    }
}
