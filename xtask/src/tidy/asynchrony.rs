//! Async code: every test ends, and every public function says what happens when its future is dropped.

use super::Findings;
use crate::source::{Function, Source, closing, words};

/// Calls that put a test under a deadline.
const DEADLINES: &[&str] =
    &["within(", "within_for(", "run_within(", "timeout(", "timeout_at(", "contract::run("];

/// Here the contract suite, whose every check has a deadline, is called by its short name.
const CONTRACT: &str = "crates/testkit/src/contract";

/// Every `#[tokio::test]` is under a deadline: its own, or that of an async helper of the same folder that it calls.
pub(super) fn deadlines(sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    let helpers = helpers_with_deadlines(sources);
    for source in sources {
        let functions = source.functions();
        let folder = test_folder(&source.path);
        for attribute in words(&source.code, "#[tokio::test") {
            findings.checked += 1;
            let Some(test) = functions.iter().find(|function| function.at > attribute) else { continue };
            let own = if source.path.starts_with(CONTRACT) { "run(" } else { DEADLINES[0] };
            let helped = helpers
                .iter()
                .any(|(there, call)| *there == folder && words(test.body, call).next().is_some());
            if !helped && !DEADLINES.iter().chain([&own]).any(|call| words(test.body, call).next().is_some())
            {
                let message =
                    format!("{} has no deadline: put its body in `within(…)` or `timeout(…)`", test.name);
                findings.fail(source.place(attribute), message);
            }
        }
    }
    findings
}

/// The async functions beside the tests that put what they wait for under a deadline, by themselves or by another of
/// them: their folder and call.
fn helpers_with_deadlines(sources: &[Source]) -> Vec<(String, String)> {
    let mut helpers: Vec<(String, String)> = Vec::new();
    loop {
        let known = helpers.len();
        for source in sources {
            let folder = test_folder(&source.path);
            for function in source.functions().into_iter().filter(Function::is_async) {
                let entry = (folder.to_owned(), format!("{}(", function.name));
                let calls = |call: &str| words(function.body, call).next().is_some();
                let helped = |(there, call): &(String, String)| there == folder && calls(call);
                if !helpers.contains(&entry)
                    && (DEADLINES.iter().any(|call| calls(call)) || helpers.iter().any(helped))
                {
                    helpers.push(entry);
                }
            }
        }
        if helpers.len() == known {
            return helpers;
        }
    }
}

/// The `tests` folder that a file belongs to, whatever its depth in there; for others, the file itself.
fn test_folder(path: &str) -> &str {
    path.find("/tests/").map_or(path, |at| &path[..at + "/tests/".len()])
}

/// Every public async function of a library has a `# Cancel safety` section.
pub(super) fn cancel_safety(sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    let library = |source: &&Source| {
        source.path.starts_with("crates/")
            && source.path.contains("/src/")
            && !source.path.starts_with("crates/cli/")
    };
    for source in sources.iter().filter(library) {
        let traits = public_traits(&source.code);
        let is_public = |function: &Function<'_>| {
            function.is_public() || traits.iter().any(|body| body.contains(&function.at))
        };
        for function in source.functions() {
            if source.in_test(function.at) || !function.is_async() || !is_public(&function) {
                continue;
            }
            findings.checked += 1;
            if !source.docs_above(function.at).lines().any(|line| line.trim() == "# Cancel safety") {
                let message =
                    format!("{} is public and async: document it under `# Cancel safety`", function.name);
                findings.fail(source.place(function.at), message);
            }
        }
    }
    findings
}

/// The bodies of the traits that are `pub`.
fn public_traits(code: &str) -> Vec<std::ops::Range<usize>> {
    let bodies = words(code, "pub trait").filter_map(|at| {
        let open = at + code[at..].find('{')?;
        Some(open..closing(code, open))
    });
    bodies.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> [Source; 1] {
        [Source::new("crates/x/src/a.rs", text)]
    }

    #[test]
    fn an_async_test_without_a_deadline_is_refused() {
        let bad = source("#[tokio::test(start_paused = true)]\nasync fn a() { x.await; }\n");
        assert_eq!(deadlines(&bad).failures.len(), 1);
        let other = source("#[tokio::test]\nasync fn a() { b().await }\n#[test]\nfn b() { within(x); }");
        assert_eq!(deadlines(&other).failures.len(), 1);
        let named = source("#[tokio::test]\nasync fn a() { set_timeout(5); let t = \"timeout(\"; }");
        assert_eq!(deadlines(&named).failures.len(), 1);
    }

    #[test]
    fn an_async_test_with_a_deadline_passes() {
        let good = source("#[tokio::test]\nasync fn a() { within(async { x.await }).await; }");
        assert_eq!((deadlines(&good).failures.len(), deadlines(&good).checked), (0, 1));
        let good = source("#[tokio::test]\nasync fn a() { tokio::time::timeout(d, x).await; }");
        assert!(deadlines(&good).failures.is_empty());
        let helped = [
            Source::new("crates/x/tests/a.rs", "#[tokio::test]\nasync fn a() { far.hear().await }"),
            Source::new("crates/x/tests/support/mod.rs", "async fn hear() { line().await }"),
            Source::new("crates/x/tests/support/lines.rs", "async fn line() { within(x).await }"),
        ];
        assert!(deadlines(&helped).failures.is_empty());
        let elsewhere = [
            Source::new("crates/x/tests/a.rs", "#[tokio::test]\nasync fn a() { far.hear().await }"),
            Source::new("crates/y/tests/support/mod.rs", "async fn hear() { within(x).await }"),
        ];
        assert_eq!(deadlines(&elsewhere).failures.len(), 1);
    }

    #[test]
    fn a_public_async_function_says_what_a_drop_does() {
        for bad in [
            "/// Sends.\npub async fn a() {}",
            "pub fn a() -> impl Future<Output = ()> + Send { x }",
            "/// A.\npub trait T {\n    /// Sends.\n    fn a(&self) -> impl Future<Output = ()> + Send;\n}",
        ] {
            assert_eq!(cancel_safety(&source(bad)).failures.len(), 1, "{bad}");
        }
        for good in [
            "/// Sends.\n///\n/// # Cancel safety\n///\n/// Safe.\n#[must_use]\npub async fn a() {}",
            "pub(crate) async fn a() {}",
            "async fn a() {}",
            "pub fn a(f: impl Future<Output = ()>) -> u8 { 1 }",
            "#[cfg(test)]\nmod tests { pub async fn a() {} }",
        ] {
            assert!(cancel_safety(&source(good)).failures.is_empty(), "{good}");
        }
    }
}
