//! Which variables a child gets.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

/// Which of our variables a child gets, before those that are named for it.
///
/// A server is somebody else's program, and our environment is full of what is not meant for it: tokens, keys, proxies
/// with a password in them. So it gets what a program needs to find its way, and the rest is given to it by name.
///
/// # Example
///
/// ```
/// use towpath_stdio::{ChildCommand, Environment};
///
/// // What is listed, one more of ours, and one that is meant for this server.
/// let command = ChildCommand::new("server").inherit_env("HTTPS_PROXY").env("API_TOKEN", "…");
/// // A program that we trust with everything.
/// let trusted = ChildCommand::new("our-own-tool").environment(Environment::All);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Environment {
    /// Those of [`INHERITED_VARIABLES`] that we have.
    #[default]
    Listed,
    /// All that we have.
    All,
    /// None. Without `PATH` a program is looked for where the system looks then.
    Empty,
}

/// The variables that a child inherits by default: what the official SDKs pass on (`HOME`, `LOGNAME`, `PATH`, `SHELL`,
/// `TERM`, `USER`), and those that say in which language, which time zone and which directory for temporary files.
///
/// A value that begins with `()` is a function that a shell has exported, and is left out.
pub const INHERITED_VARIABLES: &[&str] = &[
    "HOME",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TZ",
    "TMPDIR",
];

/// What to do with one variable.
#[derive(Clone)]
pub(super) enum Change {
    Set(OsString),
    Remove,
    Inherit,
}

/// The environment that a child is to get.
#[derive(Clone, Default)]
pub(super) struct Variables {
    pub(super) ground: Environment,
    /// In the order in which they were asked for.
    pub(super) changes: Vec<(OsString, Change)>,
}

impl Variables {
    /// All of them, out of ours as they are now.
    pub(super) fn resolve(&self) -> BTreeMap<OsString, OsString> {
        self.resolve_from(env::vars_os, |name| env::var_os(name))
    }

    fn resolve_from<A: Iterator<Item = (OsString, OsString)>>(
        &self,
        all: impl FnOnce() -> A,
        ours: impl Fn(&OsStr) -> Option<OsString>,
    ) -> BTreeMap<OsString, OsString> {
        let mut variables: BTreeMap<OsString, OsString> = match self.ground {
            Environment::Listed => {
                let listed = |name: &&str| Some((OsString::from(name), ours(name.as_ref())?));
                let is_function = |value: &OsString| value.as_bytes().starts_with(b"()");
                INHERITED_VARIABLES
                    .iter()
                    .filter_map(listed)
                    .filter(|(_, value)| !is_function(value))
                    .collect()
            }
            Environment::All => all().collect(),
            Environment::Empty => BTreeMap::new(),
        };
        for (name, change) in &self.changes {
            let value = match change {
                Change::Set(value) => Some(value.clone()),
                Change::Inherit => ours(name),
                Change::Remove => {
                    variables.remove(name);
                    None
                }
            };
            if let Some(value) = value {
                variables.insert(name.clone(), value);
            }
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[(&str, &str)] = &[
        ("HOME", "/home/us"),
        ("SHELL", "() { :; }"),
        ("TZ", "UTC"),
        ("TOKEN", "secret"),
        ("F", "() { :; }"),
    ];

    fn resolved(ground: Environment, changes: &[(&str, Change)]) -> String {
        let changes = changes.iter().map(|(name, change)| (OsString::from(name), change.clone())).collect();
        let variables = Variables { ground, changes };
        let ours = |name: &OsStr| OURS.iter().find(|(ours, _)| *ours == name).map(|(_, value)| value.into());
        let all = || OURS.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let resolved = variables.resolve_from(all, ours);
        let line = |(name, value): (&OsString, &OsString)| format!("{}={}", name.display(), value.display());
        resolved.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_child_gets_what_is_listed_unless_it_is_told_otherwise() {
        assert_eq!(resolved(Environment::default(), &[]), "HOME=/home/us TZ=UTC");
        assert_eq!(resolved(Environment::Empty, &[]), "");
        let all = "F=() { :; } HOME=/home/us SHELL=() { :; } TOKEN=secret TZ=UTC";
        assert_eq!(resolved(Environment::All, &[]), all);
    }

    #[test]
    fn what_is_asked_for_by_name_is_given_in_order() {
        let set = |value: &str| Change::Set(value.into());
        let changes = [("TOKEN", Change::Inherit), ("F", Change::Inherit), ("NONE", Change::Inherit)];
        assert_eq!(resolved(Environment::Empty, &changes), "F=() { :; } TOKEN=secret");
        let changes = [("HOME", Change::Remove), ("TZ", set("CET")), ("A", set("1")), ("A", set("2"))];
        assert_eq!(resolved(Environment::Listed, &changes), "A=2 TZ=CET");
        let changes = [("TOKEN", set("none")), ("TOKEN", Change::Remove), ("TOKEN", Change::Inherit)];
        assert_eq!(resolved(Environment::Listed, &changes), "HOME=/home/us TOKEN=secret TZ=UTC");
    }
}
