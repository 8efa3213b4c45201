//! Rules on any text: nothing in the project names a particular machine's directories.

use std::path::Path;

use super::Findings;

/// Prefixes that only make sense on one person's machine, each in two halves so that this file passes.
const MACHINE_PATHS: [(&str, &str); 4] = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/")];

pub(crate) fn check(path: &Path, content: &str, findings: &mut Findings) {
    for (number, line) in content.lines().enumerate() {
        for (start, end) in MACHINE_PATHS {
            let needle = format!("{start}{end}");
            let found = line.match_indices(&needle).any(|(at, _)| starts_a_path(line, at));
            if found {
                let place = format!("{}:{}", path.display(), number + 1);
                findings.error(place, format!("names a machine's path ({needle}…)"));
            }
        }
    }
}

/// Whether the slash at `at` begins an absolute path, rather than continuing `a/b/` or a URL.
fn starts_a_path(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|text| text.chars().next_back());
    !before.is_some_and(|character| character.is_alphanumeric() || "_-.}/".contains(character))
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
