//! Who else is in a process group.

use std::{
    collections::HashMap,
    fs, io,
    str::{self, FromStr},
};

/// One process of each group that still runs beside its leader, by the group's id.
///
/// The system tells only through `/proc`, so one reading serves all groups in question.
pub(super) fn survivors(leaders: &[i32]) -> io::Result<HashMap<i32, i32>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| i32::from_str(name).ok()) else { continue };
        // A process that has gone meanwhile is no survivor.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        if let Some(group) = running_in(&stat)
            && group != pid
            && leaders.contains(&group)
        {
            found.entry(group).or_insert(pid);
        }
    }
    Ok(found)
}

/// The group of the process that a line of `/proc/<pid>/stat` is about, unless it has ended.
fn running_in(stat: &[u8]) -> Option<i32> {
    // The name may hold anything, parentheses and newlines too; the rest may not.
    let name_end = memchr::memrchr(b')', stat)?;
    let mut fields = str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X" | "x")).then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_read_whatever_the_process_is_called() {
        assert_eq!(running_in(b"12 (cat) S 1 34 34 0 -1\n"), Some(34));
        assert_eq!(running_in(b"12 (a) Z 9 (\n) R 1 35 34 0 -1\n"), Some(35));
        assert_eq!(running_in(b"12 (cat) Z 1 34 34 0 -1\n"), None);
        assert_eq!(running_in(b"12 (cat"), None);
    }
}
