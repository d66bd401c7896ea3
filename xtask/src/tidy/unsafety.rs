//! Unsafe code is forbidden, crate by crate; where it is not, each use says why it is sound.

use serde_json::Value;

use super::Findings;
use crate::source::{Source, closing, words};
use crate::workspace::{list, members, root};

/// The packages that may have unsafe code.
const ALLOWED: &[&str] = &["towpath-stdio", "towpath-testkit"];

/// Each library and binary forbids unsafe code, or accounts for it.
pub(super) fn check(metadata: &Value, sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    let prefix = format!("{}/", root().display());
    for package in members(metadata) {
        let name = package["name"].as_str().unwrap_or_default();
        for target in list(&package["targets"]) {
            let path = target["src_path"].as_str().unwrap_or_default().trim_start_matches(&prefix);
            let shipped = list(&target["kind"]).iter().any(|kind| kind == "lib" || kind == "bin");
            let Some(source) = sources.iter().find(|source| shipped && source.path == path) else { continue };
            findings.checked += 1;
            if !forbids(source) && !ALLOWED.contains(&name) {
                findings.fail(path, "has no `#![forbid(unsafe_code)]`");
            }
        }
    }
    for source in sources {
        let impls = unsafe_impls(&source.code);
        for at in words(&source.code, "unsafe") {
            // A method of an `unsafe impl` is as unsafe as its trait says; what it does has blocks of its own.
            let is_method = source.code[at + 6..].trim_start().starts_with("fn ");
            if is_method && impls.iter().any(|body| body.contains(&at)) {
                continue;
            }
            findings.checked += 1;
            if !is_explained(source, at) {
                findings.fail(source.place(at), "unsafe without a `// SAFETY:` comment directly above");
            }
        }
    }
    findings
}

fn forbids(source: &Source) -> bool {
    source.code.split_whitespace().collect::<String>().contains("#![forbid(unsafe_code)]")
}

/// The bodies of `unsafe impl` blocks.
fn unsafe_impls(code: &str) -> Vec<std::ops::Range<usize>> {
    let bodies = words(code, "unsafe impl").filter_map(|at| {
        let open = at + code[at..].find('{')?;
        Some(open..closing(code, open))
    });
    bodies.collect()
}

fn is_explained(source: &Source, at: usize) -> bool {
    let safety = |line: &&str| line.contains("SAFETY:") || line.contains("# Safety");
    source.comments_above(at).iter().any(safety)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn findings(name: &str, text: &str) -> Findings {
        let path = format!("{}/crates/x/src/lib.rs", root().display());
        let metadata = json!({
            "workspace_members": ["x"],
            "packages": [{"id": "x", "name": name, "targets": [{"kind": ["lib"], "src_path": path}]}],
        });
        check(&metadata, &[Source::new("crates/x/src/lib.rs", text)])
    }

    #[test]
    fn a_crate_that_does_not_forbid_unsafe_code_is_refused() {
        assert_eq!(findings("towpath-link", "fn a() {}").failures.len(), 1);
        assert_eq!(findings("towpath-link", "// #![forbid(unsafe_code)]").failures.len(), 1);
        assert!(findings("towpath-link", "#![forbid(unsafe_code)]").failures.is_empty());
        assert!(findings("towpath-stdio", "fn a() {}").failures.is_empty());
    }

    #[test]
    fn unsafe_code_without_a_reason_is_refused() {
        let bad = "fn a() {\n    // SAFETY: elsewhere\n\n    unsafe { b() }\n}";
        assert_eq!(findings("towpath-stdio", bad).failures.len(), 1);
        let bad = "unsafe fn a() {}\n// SAFETY: as its methods.\nunsafe impl A for B {\n    unsafe fn a() { unsafe { c() } }\n}";
        assert_eq!(findings("towpath-stdio", bad).failures.len(), 2);
        let good = "fn a() {\n    // SAFETY: the descriptor is ours.\n    unsafe { b() }\n}";
        assert!(findings("towpath-stdio", good).failures.is_empty());
    }
}
