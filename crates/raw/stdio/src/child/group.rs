//! Who else is in a process group.

use std::{
    collections::HashMap,
    fs, io,
    str::{self, FromStr},
};

/// A process, which no other that gets its number later can be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pid: i32,
    pub(super) session: i32,
    /// When it was started, in the ticks of the system.
    pub(super) started: u64,
}

/// The processes of each group that still run beside its leader, by the group's id.
///
/// A process whose id is the group's is its leader, and counts as none: neither a leader of ours that is on its
/// way out, nor somebody else's that was given the number.
///
/// The system tells only through `/proc`, so one reading serves all groups in question.
pub(super) fn members(leaders: &[i32]) -> io::Result<HashMap<i32, Vec<Member>>> {
    let mut found: HashMap<i32, Vec<Member>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| i32::from_str(name).ok()) else { continue };
        // A process that has gone meanwhile is no member.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        if let Some((group, session, started)) = running_in(&stat)
            && group != pid
            && leaders.contains(&group)
        {
            found.entry(group).or_default().push(Member { pid, session, started });
        }
    }
    Ok(found)
}

/// The session that this process is in, as [`members`] tells it: 0 where its leader is outside our pid namespace, for
/// which `getsid` has no number either.
pub(super) fn own_session() -> Option<i32> {
    running_in(&fs::read("/proc/self/stat").ok()?).map(|(_, session, _)| session)
}

/// The group, the session and the start of the process that a line of `/proc/<pid>/stat` is about, unless it has ended.
fn running_in(stat: &[u8]) -> Option<(i32, i32, u64)> {
    // The name may hold anything, parentheses and newlines too; the rest may not.
    let name_end = memchr::memrchr(b')', stat)?;
    let mut fields = str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // The 22nd field of all; the session is the sixth.
    let started = fields.nth(15)?.parse().ok()?;
    (!matches!(state, "Z" | "X" | "x")).then_some((group, session, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_session_and_start_are_read_whatever_the_process_is_called() {
        let read = |start: &str| {
            running_in(format!("{start} 0 -1 5 6 7 8 9 10 11 12 13 20 0 1 0 777 4096\n").as_bytes())
        };
        assert_eq!(read("12 (cat) S 1 34 33"), Some((34, 33, 777)));
        assert_eq!(read("12 (a) Z 9 (\n) R 1 35 33"), Some((35, 33, 777)));
        assert_eq!(read("12 (cat) Z 1 34 33"), None);
        // In a container, whose pid namespace the leaders of its first group and session are not in.
        assert_eq!(read("12 (cat) S 1 0 0"), Some((0, 0, 777)));
        assert_eq!(running_in(b"12 (cat"), None);
    }
}
