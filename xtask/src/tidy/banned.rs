//! Calls that have no place in code that is not a test.

use super::Findings;
use crate::source::{Source, closing, words};

/// What to look for, and what to say. A reason in `// allowed: …` on the line or above lets one through.
const CALLS: &[(&str, &str)] = &[
    (".unwrap()", "return an error"),
    (".expect(", "return an error"),
    ("todo!", "finish it"),
    ("unimplemented!", "finish it"),
    ("thread::sleep(", "wait for what you wait for"),
    ("time::sleep(", "wait for what you wait for, with a deadline"),
];

/// Not even in tests.
const EVERYWHERE: &[(&str, &str)] =
    &[("#[ignore", "a test that does not run is not a test"), ("todo!", "finish it")];

fn is_ours(source: &&Source) -> bool {
    source.path.starts_with("crates/") || source.path.starts_with("tests/")
}

/// Calls that would panic, block or wait for no reason.
pub(super) fn calls(sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    for source in sources.iter().filter(is_ours) {
        findings.checked += 1;
        for (call, instead) in CALLS {
            for at in words(&source.code, call).filter(|at| !is_exempt(source, *at, call)) {
                findings.fail(source.place(at), format!("{call}: {instead}, or say why: `// allowed: …`"));
            }
        }
        for (call, why) in EVERYWHERE {
            for at in words(&source.code, call).filter(|at| source.in_test(*at) && !source.is_allowed(*at)) {
                findings.fail(source.place(at), format!("{call}: {why}"));
            }
        }
        let is_sleep = |path: &str| path.ends_with("time::sleep") || path.ends_with("thread::sleep");
        if source.imports().iter().any(|(_, path)| is_sleep(path)) {
            let calls = words(&source.code, "sleep(").filter(|at| !source.code[..*at].ends_with([':', '.']));
            for at in calls.filter(|at| !is_exempt(source, *at, "sleep(")) {
                findings.fail(source.place(at), "sleep(: wait for an event, or say why: `// allowed: …`");
            }
        }
    }
    findings
}

fn is_exempt(source: &Source, at: usize, call: &str) -> bool {
    let before = source.code[..at].trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    // The attribute of a file whose panics are reports, with the reason in it.
    let panics = [".expect(", ".unwrap()"].contains(&call)
        && source.code.contains("#![allow(clippy::expect_used, reason =");
    // A parser may have an `expect` of its own.
    let own = call == ".expect(" && source.code[..at].ends_with("self");
    // A timer that is kept and polled beside other things waits for nothing by itself.
    let timer = call.ends_with("sleep(") && (before.ends_with("pin(") || before.ends_with("pin!("));
    source.in_test(at) || source.is_allowed(at) || panics || own || timer
}

/// Channels that a peer could fill without end.
pub(super) fn channels(sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    for source in sources.iter().filter(is_ours) {
        findings.checked += 1;
        let mut fail = |at: usize, what: &str| {
            if !source.in_test(at) {
                findings.fail(source.place(at), format!("{what} has no bound"));
            }
        };
        for name in ["unbounded_channel", "unbounded"] {
            words(&source.code, name).for_each(|at| fail(at, name));
        }
        for at in words(&source.code, "channel") {
            let before = &source.code[..at];
            if !before.ends_with("oneshot::")
                && !before.ends_with("fn ")
                && is_empty_call(&source.code[at + 7..])
            {
                fail(at, "channel()");
            }
        }
    }
    findings
}

/// `()`, `::<T>()`.
fn is_empty_call(rest: &str) -> bool {
    let rest = match rest.strip_prefix("::<") {
        Some(generic) => generic.find('(').map_or("", |open| &generic[open..]),
        None => rest,
    };
    rest.starts_with('(') && rest[1..closing(rest, 0) - 1].trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> [Source; 1] {
        [Source::new("crates/x/src/a.rs", text)]
    }

    #[test]
    fn calls_that_panic_or_wait_are_refused() {
        for bad in [
            "fn a() { b().unwrap(); }",
            "fn a() { b().expect(\"c\"); }",
            "fn a() { todo!() }",
            "fn a() { std::thread::sleep(d); }",
            "async fn a() { tokio::time::sleep(d).await }",
            "use tokio::time::sleep;\nasync fn a() { sleep(d).await }",
            "#[test]\n#[ignore]\nfn a() {}",
        ] {
            assert_eq!(calls(&source(bad)).failures.len(), 1, "{bad}");
        }
    }

    #[test]
    fn tests_reasons_and_look_alikes_pass() {
        for good in [
            "#[test]\nfn a() { b().unwrap(); }",
            "fn a() {\n    // allowed: the literal is a number\n    b().unwrap();\n}",
            "fn a() { b().unwrap_or(c); }",
            "#![allow(clippy::expect_used, reason = \"a check reports by panic\")]\nfn a() { b().expect(\"c\"); }",
            "fn a() { self.expect(b'{'); }",
            "use tokio::time::sleep;\nfn a() { Box::pin(sleep(d)); std::pin::pin!(tokio::time::sleep(d)); }",
            "/// b().unwrap()\nfn a() {}",
            "fn a() { let s = \"todo!\"; }",
        ] {
            assert!(calls(&source(good)).failures.is_empty(), "{good}");
        }
    }

    #[test]
    fn channels_without_a_bound_are_refused() {
        for bad in [
            "fn a() { mpsc::unbounded_channel::<u8>(); }",
            "fn a() { futures::channel::mpsc::unbounded(); }",
            "fn a() { std::sync::mpsc::channel(); }",
            "fn a() { mpsc::channel::<Vec<u8>>(); }",
        ] {
            assert_eq!(channels(&source(bad)).failures.len(), 1, "{bad}");
        }
        for good in
            ["fn a() { mpsc::channel(8); oneshot::channel(); mpsc::channel::<u8>(8); }", "// unbounded"]
        {
            assert!(channels(&source(good)).failures.is_empty(), "{good}");
        }
    }
}
