//! What the checks with other implementations need: packages, once each, in the pinned versions; and our own programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Run, shown, works};
use crate::workspace::{Result, cargo, root};

/// How long the installation by one package manager may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Installs what the lock file in a folder of ours names into a folder under `target/`, with npm.
pub(crate) fn npm(manifests: &Path, into: &Path) -> Result<()> {
    for program in ["node", "npm"] {
        if !works(Command::new(program).arg("--version")) {
            return Err(format!("{program} is not installed").into());
        }
    }
    let manifests = [manifests.join("package.json"), manifests.join("package-lock.json")];
    once(into, &manifests, |folder| {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder);
        vec![npm]
    })
}

/// Installs into a folder what its manifests name, unless the stamp says that this was done.
pub(crate) fn once(
    folder: &Path,
    manifests: &[PathBuf],
    commands: impl Fn(&Path) -> Vec<Command>,
) -> Result<()> {
    let stamp = folder.join("installed");
    let mut wanted = Vec::new();
    for manifest in manifests {
        wanted.extend(std::fs::read(manifest)?);
    }
    if std::fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("installing into {}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for manifest in manifests {
        std::fs::copy(manifest, folder.join(manifest.file_name().unwrap_or_default()))?;
    }
    let run = Run::new();
    for mut command in commands(folder) {
        run.show(&mut command, LIMIT)?.success().map_err(|error| format!("{}: {error}", shown(&command)))?;
    }
    std::fs::write(stamp, wanted)?;
    Ok(())
}

/// Builds programs of this workspace and gives the paths of those that are named.
pub(crate) fn build<const N: usize>(arguments: &[&str], names: [&str; N]) -> Result<[PathBuf; N]> {
    let build = cargo()
        .arg("build")
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()?;
    if !build.status.success() {
        return Err(format!("cargo build: {}", build.status).into());
    }
    let lines = build.stdout.split(|byte| *byte == b'\n');
    let artifacts: Vec<Value> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let path = |name: &str| {
        let artifact =
            artifacts.iter().find(|one| one["target"]["name"] == name && one["executable"].is_string());
        artifact.and_then(|artifact| artifact["executable"].as_str()).map(PathBuf::from)
    };
    let found = names.map(path);
    match names.iter().zip(&found).find(|(_, found)| found.is_none()) {
        Some((name, _)) => Err(format!("there is no binary named {name}").into()),
        None => Ok(found.map(Option::unwrap_or_default)),
    }
}
