//! What is known to fail, and what is known not to be checked, in one revision.
//!
//! The file is the one that the suite reads, with `server` and `client`: lists of `scenario` or `scenario:check-id`.
//! The suite ignores other keys; ours are `server-unchecked` and `client-unchecked`: lists of `scenario:CheckName`, for
//! checks that report neither success nor failure.

use std::path::Path;

use super::Side;
use crate::workspace::Result;

/// The lines of one side.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) failures: Vec<String>,
    pub(super) unchecked: Vec<String>,
}

impl Expected {
    /// Reads the file of a revision.
    pub(super) fn read(file: &Path, side: Side) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::parse(&text, side).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    /// The part of YAML that such a file needs: keys, lists of plain words below them, and comments.
    fn parse(text: &str, side: Side) -> std::result::Result<Self, String> {
        let mut expected = Self::default();
        let mut elsewhere = Vec::new();
        let mut list = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.split_once('#').map_or(line, |(line, _)| line).trim_end();
            if line.is_empty() {
                continue;
            }
            if let Some(entry) = line.strip_prefix("  - ") {
                let list: &mut &mut Vec<String> =
                    list.as_mut().ok_or_else(|| format!("line {}: an entry without a key", index + 1))?;
                list.push(entry.to_owned());
                continue;
            }
            let key = line.strip_suffix(" []").unwrap_or(line).strip_suffix(':');
            list = match key.map(|key| key.strip_suffix("-unchecked").map_or((key, false), |key| (key, true)))
            {
                Some((key, false)) if key == side.to_string() => Some(&mut expected.failures),
                Some((key, true)) if key == side.to_string() => Some(&mut expected.unchecked),
                Some(("server" | "client", _)) => Some(&mut elsewhere),
                _ => return Err(format!("line {}: neither a known key nor an entry: {line}", index + 1)),
            };
        }
        Ok(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# why\nserver:\n  - a # because\n  - b:check\nserver-unchecked:\n  - c:Check\nclient: []\n";

    #[test]
    fn each_side_has_its_own_lines() {
        let server = Expected::parse(TEXT, Side::Server).unwrap();
        assert_eq!(server.failures, ["a", "b:check"]);
        assert_eq!(server.unchecked, ["c:Check"]);
        assert_eq!(Expected::parse(TEXT, Side::Client), Ok(Expected::default()));
    }

    #[test]
    fn what_the_suite_would_ignore_is_refused() {
        for bad in ["servers:\n  - a\n", "  - a\n", "server: a\n", "server:\n- a\n", "server-unknown:\n"] {
            assert!(Expected::parse(bad, Side::Server).is_err(), "{bad}");
        }
    }
}
