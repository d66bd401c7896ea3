//! What is promised is broken on purpose: every setting, and each of the seven promises, has its cases in
//! `xtask/negative.toml`.

use std::collections::BTreeMap;

use super::Findings;
use super::limits::Settings;

/// Where the cases are.
const TABLE: &str = "xtask/negative.toml";

/// How many promises the README makes, and how many cases each has at least.
const PROMISES: usize = 7;
const CASES: usize = 2;

/// Every setting is named by the `promise` of a case, every promise is broken twice, and what a case names exists. `stale`
/// tells which cases do not fit the sources any more.
pub(super) fn check(structs: &[Settings], promises: &[String], stale: &[String]) -> Findings {
    let mut findings = Findings::default();
    for case in stale {
        findings.fail(TABLE, case);
    }
    let named: Vec<&str> =
        promises.iter().filter_map(|promise| promise.split_once(": ")).map(|(_, what)| what).collect();
    let settings: Vec<(&Settings, &str)> =
        structs.iter().flat_map(|one| one.leaves(structs).map(move |field| (one, field))).collect();
    let mut structs_with: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, field) in &settings {
        *structs_with.entry(field).or_default() += 1;
    }
    for (owner, field) in &settings {
        findings.checked += 1;
        let qualified = format!("{}::{field}", owner.name());
        let is_alone = structs_with.get(field) == Some(&1);
        if !named.iter().any(|name| *name == qualified || is_alone && name == field) {
            findings.fail(owner.place(), format!("no case of {TABLE} has `promise = \"…: {qualified}\"`"));
        }
    }
    for number in 1..=PROMISES {
        findings.checked += 1;
        let start = format!("{number}: ");
        let count = promises.iter().filter(|promise| promise.starts_with(&start)).count();
        if count < CASES {
            findings.fail(TABLE, format!("promise {number} has {count} cases, and needs {CASES}"));
        }
    }
    for promise in promises {
        let number = promise.split_once(": ").and_then(|(number, _)| number.parse().ok());
        if !number.is_some_and(|number| (1..=PROMISES).contains(&number)) {
            findings.fail(TABLE, format!("{promise:?} names none of the {PROMISES} promises"));
        }
    }
    for name in named.iter().filter(|name| name.contains("::")) {
        let exists = |(owner, field): &(&Settings, &str)| **name == format!("{}::{field}", owner.name());
        if !settings.iter().any(exists) {
            findings.fail(TABLE, format!("there is no setting {name}"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::limits::collect;
    use super::*;
    use crate::source::Source;

    const CODE: &str = "
        pub struct LaneLimits { pub max_bytes: usize, pub queue: usize }
        pub struct LinkLimits { pub max_bytes: usize, pub lane: LaneLimits, pub calls: Option<super::CallDeadlines> }
        pub struct CallDeadlines { pub total: Option<Duration> }
    ";

    fn failures(promises: &[&str]) -> Vec<String> {
        let structs = collect(&[Source::new("crates/x/src/limits.rs", CODE)]);
        // Two of each promise, of which none is about a setting.
        let enough = (1..=PROMISES).flat_map(|number| [format!("{number}: a"), format!("{number}: b")]);
        let promises: Vec<String> = promises.iter().map(|name| (*name).to_owned()).chain(enough).collect();
        check(&structs, &promises, &[]).failures
    }

    const ALL: [&str; 4] = ["1: LaneLimits::max_bytes", "1: LinkLimits::max_bytes", "1: queue", "2: total"];

    #[test]
    fn every_setting_with_a_case_passes_and_one_that_holds_settings_needs_none() {
        assert_eq!(failures(&ALL), Vec::<String>::new());
    }

    #[test]
    fn a_setting_without_a_case_is_refused() {
        for (missing, setting) in
            ["LaneLimits::max_bytes", "LinkLimits::max_bytes", "LaneLimits::queue", "CallDeadlines::total"]
                .into_iter()
                .enumerate()
        {
            let mut promises = ALL.to_vec();
            promises.remove(missing);
            let found = failures(&promises);
            assert!(matches!(&found[..], [one] if one.contains(setting)), "{setting}: {found:?}");
        }
    }

    #[test]
    fn a_name_that_two_structs_share_names_neither() {
        assert_eq!(failures(&["1: max_bytes", "1: queue", "2: total"]).len(), 2);
    }

    #[test]
    fn a_promise_that_is_broken_once_is_refused() {
        let once: Vec<String> = (2..=PROMISES).flat_map(|n| [format!("{n}: a"), format!("{n}: b")]).collect();
        let found = check(&[], &[once, vec!["1: a".to_owned()]].concat(), &[]).failures;
        assert_eq!(found, ["xtask/negative.toml: promise 1 has 1 cases, and needs 2"]);
    }

    #[test]
    fn a_stale_case_is_refused() {
        let enough: Vec<String> =
            (1..=PROMISES).flat_map(|n| [format!("{n}: a"), format!("{n}: b")]).collect();
        assert_eq!(check(&[], &enough, &["a: stale".to_owned()]).failures, ["xtask/negative.toml: a: stale"]);
    }

    #[test]
    fn what_is_named_and_does_not_exist_is_refused() {
        for wrong in ["1: LaneLimits::gone", "8: queue", "queue"] {
            assert_eq!(failures(&[&ALL[..], &[wrong]].concat()).len(), 1, "{wrong}");
        }
    }
}
