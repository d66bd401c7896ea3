//! What Linux says about a process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The open descriptors and what they are of, without the one that this takes to look.
pub(super) fn descriptors() -> Option<BTreeMap<i32, String>> {
    let own = format!("/proc/{}/fd", std::process::id());
    let links = numbered("/proc/self/fd")?.into_iter().filter_map(|fd| {
        let target = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
        Some((fd, target.display().to_string()))
    });
    Some(links.filter(|(_, target)| *target != own).collect())
}

/// The threads of this process and their names.
pub(super) fn threads() -> Option<BTreeMap<i32, String>> {
    let threads = numbered("/proc/self/task")?.into_iter().filter_map(|thread| {
        let name = fs::read_to_string(format!("/proc/self/task/{thread}/comm")).ok()?;
        Some((thread, name.trim_end().to_owned()))
    });
    Some(threads.collect())
}

/// The processes below this one, and those that were below it once: they still have `marker` in their
/// environment, or live in the session that this process leads (those that have ended are their new parent's to wait
/// for). With their command lines.
pub(super) fn processes(marker: Option<&str>) -> Option<BTreeMap<i32, String>> {
    let own = i32::try_from(std::process::id()).ok()?;
    let all: BTreeMap<i32, Stat> =
        numbered("/proc")?.into_iter().filter_map(|pid| Some((pid, Stat::of(pid)?))).collect();
    let ours = all.iter().filter(|(pid, _)| **pid != own).filter(|(pid, stat)| {
        let marked = || marker.is_some_and(|marker| has_in_environment(**pid, marker));
        is_below(own, **pid, &all) || (stat.session == own && stat.state != 'Z') || marked()
    });
    Some(ours.map(|(pid, stat)| (*pid, stat.command_line(*pid))).collect())
}

/// The processes with `marker` in their environment, and those of a session, this one apart.
pub(super) fn marked(marker: &str, session: i32) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).ok();
    let in_session = |pid| Stat::of(pid).is_some_and(|stat| stat.session == session && stat.state != 'Z');
    let mut all = numbered("/proc").unwrap_or_default();
    all.retain(|pid| Some(*pid) != own && (in_session(*pid) || has_in_environment(*pid, marker)));
    all
}

struct Stat {
    name: String,
    state: char,
    parent: i32,
    session: i32,
}

impl Stat {
    /// `pid (name) state parent group session …`, where the name may have parentheses and spaces in it.
    fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = text.rsplit_once(')')?;
        let mut fields = after.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let (_, name) = before.split_once('(')?;
        Some(Self { name: name.to_owned(), state, parent, session })
    }

    fn command_line(&self, pid: i32) -> String {
        if self.state == 'Z' {
            return format!("{} (a zombie: it has ended, and was not waited for)", self.name);
        }
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = words.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let line = words.join(" ");
        if line.trim().is_empty() { self.name.clone() } else { line.trim_end().to_owned() }
    }
}

fn is_below(ancestor: i32, pid: i32, all: &BTreeMap<i32, Stat>) -> bool {
    let mut seen = BTreeSet::new();
    let mut at = pid;
    // Read while it changed, the table could have a circle in it.
    while seen.insert(at) {
        match all.get(&at).map(|stat| stat.parent) {
            Some(parent) if parent == ancestor => return true,
            Some(parent) => at = parent,
            None => return false,
        }
    }
    false
}

fn has_in_environment(pid: i32, marker: &str) -> bool {
    // That of another user cannot be read, and is not ours.
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
}

fn numbered(folder: impl AsRef<Path>) -> Option<Vec<i32>> {
    let entries = fs::read_dir(folder).ok()?;
    Some(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}
