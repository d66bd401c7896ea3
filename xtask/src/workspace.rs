//! Where the workspace is, what `cargo metadata` says of it, and which files it has.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::works;

/// What every command returns; the messages are for a person at a terminal.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The root of the workspace that this tool was built from.
pub(crate) fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map(Path::to_path_buf).unwrap_or(own)
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // Cargo set these for this tool; a build script of another package must not see them.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&key);
        }
    }
    command
}

/// The output of a command that has to succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let out = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if !out.status.success() {
        return Err(format!("{shown}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// `cargo metadata` with all features, dependencies resolved.
pub(crate) fn metadata() -> Result<Value> {
    let text = output(cargo().args(["metadata", "--format-version", "1", "--all-features"]))?;
    Ok(serde_json::from_str(&text)?)
}

/// A field that cargo always writes.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().ok_or_else(|| format!("cargo metadata: no {key}").into())
}

/// The packages of the workspace itself.
pub(crate) fn members(metadata: &Value) -> Vec<&Value> {
    let ids: Vec<&str> = list(&metadata["workspace_members"]).iter().filter_map(Value::as_str).collect();
    list(&metadata["packages"])
        .iter()
        .filter(|package| package["id"].as_str().is_some_and(|id| ids.contains(&id)))
        .collect()
}

/// A JSON array, or nothing.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The directory that builds go to.
pub(crate) fn target_directory(metadata: &Value) -> Result<PathBuf> {
    Ok(PathBuf::from(text(metadata, "target_directory")?))
}

/// Whether git can tell which files there are: it is installed, and this is a checkout and no unpacked archive.
pub(crate) fn has_git() -> bool {
    // One that is merely unpacked inside somebody else's checkout is not ours.
    root().join(".git").exists() && works(Command::new("git").arg("--version"))
}

/// Tracked files, and new ones that are not ignored, relative to the root, sorted.
pub(crate) fn files() -> Result<Vec<String>> {
    if !has_git() {
        return Err("git, and a checkout, are needed to list the files".into());
    }
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listing = output(&mut git)?;
    let mut files: Vec<String> = listing
        .split('\0')
        .filter(|name| !name.is_empty() && root().join(name).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
