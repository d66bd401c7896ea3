//! The layers: which crate may depend on which, and what it may not know.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Findings;
use crate::source::{Source, words};
use crate::workspace::{list, members};

const RAW: &str = "towpath-raw";
const BUFFER: &str = "towpath-buffer";
const STDIO: &str = "towpath-stdio";
const SSE: &str = "towpath-sse";
const HTTP: &str = "towpath-http";
const JSONRPC: &str = "towpath-jsonrpc";
const MCP: &str = "towpath-mcp";
const LINK: &str = "towpath-link";
const CLIENT: &str = "towpath-client";
const SERVER: &str = "towpath-server";
const RELAY: &str = "towpath-relay";
const TESTKIT: &str = "towpath-testkit";
const FACADE: &str = "towpath";
const CLI: &str = "towpath-cli";

/// Each crate under `crates/` and the crates of ours that it may depend on. Tests may use the testkit as well.
const LAYERS: &[(&str, &[&str])] = &[
    (RAW, &[]),
    (BUFFER, &[RAW]),
    (STDIO, &[RAW]),
    (SSE, &[RAW]),
    (HTTP, &[RAW]),
    (JSONRPC, &[]),
    (MCP, &[JSONRPC]),
    (LINK, &[RAW, BUFFER, JSONRPC, MCP]),
    (CLIENT, &[LINK, MCP, JSONRPC, SSE, RAW]),
    (SERVER, &[LINK, MCP, JSONRPC, BUFFER, HTTP, SSE, RAW]),
    (RELAY, &[CLIENT, SERVER, LINK, MCP, JSONRPC, RAW]),
    (TESTKIT, &[RAW, JSONRPC, MCP]),
    (FACADE, &[RAW, BUFFER, STDIO, SSE, HTTP, JSONRPC, MCP, LINK, CLIENT, SERVER, RELAY]),
    (CLI, &[FACADE]),
];

/// What tests may use besides: those of the client talk to real servers, some of them in processes.
const FOR_TESTS: &[(&str, &str)] = &[(CLIENT, SERVER), (CLIENT, STDIO)];

/// Foreign crates that a crate may not reach, not even through others.
const UNREACHABLE: &[(&str, &[&str])] = &[
    (RAW, &["serde_json"]),
    (BUFFER, &["serde_json"]),
    (STDIO, &["serde_json"]),
    (SSE, &["serde_json"]),
    (JSONRPC, &["tokio", "tokio-util", "parking_lot", "rustix", "hyper", "reqwest"]),
    (MCP, &["tokio", "tokio-util", "parking_lot", "rustix", "hyper", "reqwest"]),
];

/// Foreign crates that only the named crates may depend on directly.
const RESERVED: &[(&str, &[&str])] = &[("parking_lot", &[RAW])];

/// Locks that nobody uses; ours is `towpath_raw::Mutex`.
const LOCKS: &[&str] =
    &["std::sync::Mutex", "std::sync::RwLock", "tokio::sync::Mutex", "tokio::sync::RwLock", "parking_lot"];

/// Where the one mutex is built from another.
const LOCK_HOME: &str = "crates/raw/core/src/sync";

/// The layers without clock, tasks and I/O, and what they therefore do not write.
const PURE: &[&str] = &["crates/protocol/jsonrpc/src/", "crates/protocol/mcp/src/"];
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "std::thread",
    "std::fs",
    "std::net",
    "std::process",
    "std::io",
    "async",
    ".await",
];

/// Dependencies between our own crates.
pub(super) fn layers(metadata: &Value) -> Findings {
    let mut findings = Findings::default();
    let table: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for package in members(metadata) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = table.get(name) else {
            if is_published(package) {
                findings.fail(name, "is not in the table of layers (xtask/src/tidy/graph.rs)");
            }
            continue;
        };
        seen.insert(name);
        for dependency in list(&package["dependencies"]) {
            let on = dependency["name"].as_str().unwrap_or_default();
            if !on.starts_with(FACADE) {
                continue;
            }
            findings.checked += 1;
            let for_tests = dependency["kind"] == "dev"
                && (on == TESTKIT || on == name || FOR_TESTS.contains(&(name, on)));
            if !allowed.contains(&on) && !for_tests {
                findings.fail(name, format!("must not depend on {on}; it may use {allowed:?}"));
            }
        }
    }
    for (name, _) in LAYERS.iter().filter(|(name, _)| !seen.contains(name)) {
        findings.fail(name, "is in the table of layers and not in the workspace");
    }
    findings
}

/// Crates of others, by layer.
pub(super) fn foreign(metadata: &Value) -> Findings {
    let mut findings = Findings::default();
    let edges = edges(metadata);
    for (name, forbidden) in UNREACHABLE {
        for on in *forbidden {
            findings.checked += 1;
            if let Some(path) = reach(&edges, name, on) {
                findings.fail(name, format!("must not reach {on}: {}", path.join(" → ")));
            }
        }
    }
    // What is not published, such as the benchmarks, may compare with anything.
    for package in members(metadata).into_iter().filter(|package| is_published(package)) {
        let name = package["name"].as_str().unwrap_or_default();
        for dependency in list(&package["dependencies"]) {
            let on = dependency["name"].as_str().unwrap_or_default();
            for (reserved, users) in RESERVED {
                findings.checked += 1;
                if on == *reserved && !users.contains(&name) {
                    findings.fail(name, format!("must not depend on {on}: that is for {users:?}"));
                }
            }
        }
    }
    findings
}

/// No mutex but our own, outside tests and outside the module that builds it.
pub(super) fn one_mutex(sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    let ours = |source: &&Source| source.path.starts_with("crates/") && !source.path.starts_with(LOCK_HOME);
    for source in sources.iter().filter(ours) {
        findings.checked += 1;
        let mut places: Vec<(usize, &str)> = Vec::new();
        for lock in LOCKS {
            places.extend(words(&source.code, lock).map(|at| (at, *lock)));
            let imported = |path: &str| path == *lock || path.starts_with(&format!("{lock}::"));
            places.extend(source.imports().iter().filter(|(_, p)| imported(p)).map(|(at, _)| (*at, *lock)));
        }
        // `use std::sync;` and then `sync::Mutex`.
        for short in ["sync::Mutex", "sync::RwLock"] {
            let bare = |at: &usize| !source.code[..*at].ends_with("::");
            places.extend(words(&source.code, short).filter(bare).map(|at| (at, short)));
        }
        places.sort_unstable();
        places.dedup_by_key(|(at, _)| source.line(*at));
        for (at, lock) in places {
            if !source.in_test(at) && !source.is_allowed(at) {
                findings.fail(source.place(at), format!("{lock}: use towpath_raw::Mutex"));
            }
        }
    }
    findings
}

/// The protocol layer takes the time as a parameter and does no I/O.
pub(super) fn pure_layers(sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    let pure = |source: &&Source| PURE.iter().any(|folder| source.path.starts_with(folder));
    for source in sources.iter().filter(pure) {
        findings.checked += 1;
        for word in IMPURE {
            let direct = words(&source.code, word).collect::<Vec<_>>();
            let imported = source.imports().into_iter().filter(|(_, path)| path.starts_with(word));
            let places: BTreeSet<usize> = direct.into_iter().chain(imported.map(|(at, _)| at)).collect();
            for at in places.into_iter().filter(|at| !source.in_test(*at) && !source.is_allowed(*at)) {
                findings.fail(source.place(at), format!("{word}: this layer has no clock, tasks or I/O"));
            }
        }
    }
    findings
}

fn is_published(package: &Value) -> bool {
    package["manifest_path"].as_str().is_some_and(|path| path.contains("/crates/"))
}

/// Name → names of what it is built with, tests left out.
fn edges(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let name = |id: &str| {
        let package = list(&metadata["packages"]).iter().find(|package| package["id"] == id);
        package.and_then(|package| package["name"].as_str()).unwrap_or(id).to_owned()
    };
    let built = |dependency: &&Value| {
        // Dependencies for other configurations (`cfg(towpath_loom)`) are not part of what users build.
        list(&dependency["dep_kinds"])
            .iter()
            .any(|kind| kind["kind"].is_null() && !kind["target"].as_str().unwrap_or("").contains("loom"))
    };
    let mut edges = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let on = list(&node["deps"]).iter().filter(built).filter_map(|dependency| dependency["pkg"].as_str());
        edges.insert(name(node["id"].as_str().unwrap_or_default()), on.map(name).collect());
    }
    edges
}

/// The way from one crate to another, if there is one.
fn reach(edges: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> Option<Vec<String>> {
    let mut queue = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(path) = queue.pop() {
        let last = path.last()?;
        if last == to {
            return Some(path);
        }
        if seen.insert(last.clone()) {
            for next in edges.get(last).into_iter().flatten() {
                queue.push(path.iter().cloned().chain([next.clone()]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workspace(name: &str, on: &str, kind: Value) -> Value {
        json!({
            "workspace_members": ["x"],
            "packages": [
                {"id": "x", "name": name, "manifest_path": "/w/crates/x/Cargo.toml",
                 "dependencies": [{"name": on, "kind": kind}]},
                {"id": "y", "name": on}, {"id": "z", "name": "tokio"},
            ],
            "resolve": {"nodes": [
                {"id": "x", "deps": [{"pkg": "y", "dep_kinds": [{"kind": null, "target": null}]}]},
                {"id": "y", "deps": [{"pkg": "z", "dep_kinds": [{"kind": null, "target": null}]}]},
            ]},
        })
    }

    fn of(findings: &Findings, name: &str) -> usize {
        // Rows of the table that this small workspace has not are failures of their own.
        let start = format!("{name}: ");
        findings
            .failures
            .iter()
            .filter(|line| line.starts_with(&start) && !line.contains("not in the work"))
            .count()
    }

    #[test]
    fn a_lower_crate_may_not_know_a_higher_one() {
        assert_eq!(of(&layers(&workspace(JSONRPC, MCP, Value::Null)), JSONRPC), 1);
        assert_eq!(of(&layers(&workspace(MCP, JSONRPC, Value::Null)), MCP), 0);
        assert_eq!(of(&layers(&workspace(LINK, TESTKIT, json!("dev"))), LINK), 0);
        assert_eq!(of(&layers(&workspace(LINK, TESTKIT, Value::Null)), LINK), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        assert_eq!(of(&layers(&workspace("towpath-new", "bytes", Value::Null)), "towpath-new"), 1);
        assert!(layers(&workspace(RAW, "bytes", Value::Null)).failures.len() == LAYERS.len() - 1);
    }

    #[test]
    fn a_forbidden_crate_is_found_through_others() {
        let findings = foreign(&workspace(JSONRPC, "between", Value::Null));
        assert_eq!(
            findings.failures,
            ["towpath-jsonrpc: must not reach tokio: towpath-jsonrpc → between → tokio"]
        );
        assert_eq!(of(&foreign(&workspace(LINK, "between", Value::Null)), LINK), 0);
    }

    #[test]
    fn a_reserved_crate_is_refused_to_others() {
        assert_eq!(of(&foreign(&workspace(LINK, "parking_lot", Value::Null)), LINK), 1);
        assert_eq!(of(&foreign(&workspace(RAW, "parking_lot", Value::Null)), RAW), 0);
    }

    #[test]
    fn another_mutex_is_refused_however_it_is_named() {
        for bad in [
            "use std::sync::{Arc, Mutex};",
            "fn a(m: &std::sync::RwLock<u8>) {}",
            "use tokio::sync::Mutex as Lock;",
            "use std::sync;\nfn a(m: sync::Mutex<u8>) {}",
            "use parking_lot::Mutex;",
        ] {
            let findings = one_mutex(&[Source::new("crates/x/src/a.rs", bad)]);
            assert_eq!(findings.failures.len(), 1, "{bad}: {:?}", findings.failures);
        }
        for good in [
            "use std::sync::{Arc, atomic};",
            "use towpath_raw::sync::Mutex;",
            "// std::sync::Mutex",
            "#[cfg(test)]\nmod tests { use std::sync::Mutex; }",
        ] {
            assert!(one_mutex(&[Source::new("crates/x/src/a.rs", good)]).failures.is_empty(), "{good}");
        }
        let home = [Source::new("crates/raw/core/src/sync/mutex.rs", "use parking_lot::Mutex;")];
        assert!(one_mutex(&home).failures.is_empty());
    }

    #[test]
    fn a_clock_in_the_protocol_layer_is_refused() {
        let check =
            |text| pure_layers(&[Source::new("crates/protocol/jsonrpc/src/a.rs", text)]).failures.len();
        assert_eq!(check("fn a() { std::time::Instant::now(); }"), 1);
        assert_eq!(check("async fn a() {}"), 1);
        assert_eq!(check("use std::{fmt, fs};"), 1);
        assert_eq!(check("#[test]\nfn a() { Instant::now(); }"), 0);
        assert_eq!(check("fn a(now: Instant) {}"), 0);
    }
}
