//! What a child is started with: its environment, its directory and its arguments; and what cannot be started.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

mod common;

use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt,
            fs::{PermissionsExt, symlink},
        },
    },
    path::{Path, PathBuf},
    process::exit,
};

use rustix::process::{Resource, WaitOptions, getrlimit, setrlimit, wait};
use towpath_stdio::{ChildCommand, ChildStatus, Environment, SpawnError, wait_for_children};

use common::{assert_succeeds, own_role, role as start, within};

/// What a command writes to stderr.
async fn says(command: ChildCommand) -> String {
    let lane = command.spawn().expect("it starts");
    within(lane.handle().exit()).await.stderr_tail
}

fn sh(script: &str) -> ChildCommand {
    ChildCommand::new("sh").args(["-c", script])
}

fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("start-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&path));
    fs::create_dir_all(path.join("bin")).expect("a directory");
    path
}

/// A program that says its text and where it runs.
fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\necho {text} in \"$(pwd -P)\" >&2\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn a_child_inherits_what_is_listed_and_what_is_named() {
    let mut command = start("environment");
    command.env("SECRET_TOKEN", "of ours").env("NAMED", "() named").env("TZ", "UTC").env("TERM", "() { :; }");
    assert_succeeds(command);
}

fn environment() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let seen = |command: ChildCommand| {
        let command = command.args(["-c", r#"echo "$SECRET_TOKEN,$NAMED,$TZ,$TERM,$ADDED" >&2"#]);
        runtime.block_on(says(command))
    };
    let sh = || ChildCommand::new("/bin/sh");
    let shells_own = seen(sh().environment(Environment::Empty)).matches("dumb").count();
    assert_eq!(shells_own, 0, "this shell sets TERM");
    assert_eq!(seen(sh()), ",,UTC,,");
    assert_eq!(seen(sh().environment(Environment::Empty)), ",,,,");
    assert_eq!(seen(sh().environment(Environment::All)), "of ours,() named,UTC,() { :; },");
    let named = sh().inherit_env("NAMED").env("ADDED", "1").env_remove("TZ").inherit_env("NO_SUCH");
    assert_eq!(seen(named), ",() named,,,1");
}

#[tokio::test]
async fn a_relative_program_and_a_relative_path_are_taken_from_the_directory_of_the_child() {
    let directory = directory("relative");
    let real = directory.canonicalize().expect("it is there");
    program(&directory.join("bin/towpath-test-relative"), "found");
    let in_directory = |program: &str| ChildCommand::new(program).current_dir(&directory);
    let expected = format!("found in {}", real.display());
    let said = |command| within(says(command));
    assert_eq!(said(in_directory("bin/towpath-test-relative")).await, expected);
    assert_eq!(said(in_directory("./bin/towpath-test-relative")).await, expected);
    let path = std::env::var("PATH").expect("a path");
    let by_path = in_directory("towpath-test-relative").env("PATH", format!("bin:{path}"));
    assert_eq!(said(by_path).await, expected);
    // A PATH that does not name its directory does not have it. One of ours may have directories that are closed to us.
    let missing =
        in_directory("towpath-test-relative").env("PATH", "/usr/bin:/bin").spawn().expect_err("it started");
    assert!(matches!(missing, SpawnError::NotFound { has_directory: false, .. }), "{missing:?}");
    fs::remove_dir_all(directory).expect("it is ours");
}

#[tokio::test]
async fn a_program_is_looked_for_in_the_path_of_the_child() {
    let directory = directory("path");
    program(&directory.join("bin/cat"), "another cat");
    let path = format!("{}:{}", directory.join("bin").display(), std::env::var("PATH").expect("a path"));
    // With the parent-death signal and without, the standard library starts a program in different ways.
    for dies in [true, false] {
        let cat = || ChildCommand::new("cat").dies_with_us(dies);
        let said = within(says(cat().env("PATH", &path))).await;
        assert!(said.starts_with("another cat"), "{said}");
        let nowhere = cat().env("PATH", "/no/such/directory").spawn().expect_err("it started");
        assert!(matches!(nowhere, SpawnError::NotFound { .. }), "{nowhere:?}");
        // Without any, the system knows where its own programs are.
        drop(cat().environment(Environment::Empty).spawn().expect("cat starts"));
    }
    fs::remove_dir_all(directory).expect("it is ours");
}

#[tokio::test]
async fn arguments_and_variables_pass_as_the_bytes_that_they_are() {
    let odd: Vec<u8> = (1..=255).filter(|byte| *byte != b'\n').collect();
    let odd = OsStr::from_bytes(&odd);
    let directory = directory("bytes");
    let script = r#"printf %s "$1$2$3$ODD" > got"#;
    let command = sh(script).args(["sh", "", "two\nlines", "-n"]).env("ODD", odd).current_dir(&directory);
    let exit = within(command.spawn().expect("sh starts").handle().exit()).await;
    assert!(exit.is_success(), "{exit}");
    let got = fs::read(directory.join("got")).expect("it wrote");
    assert_eq!(got, [b"two\nlines-n".as_slice(), odd.as_bytes()].concat());
    fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn a_directory_that_cannot_be_entered_is_told_apart_from_a_program_that_is_missing() {
    let directory = directory("entered");
    fs::write(directory.join("file"), "").expect("written");
    symlink("nowhere", directory.join("broken")).expect("a link");
    for name in ["missing", "file", "broken", "file/below"] {
        let place = directory.join(name);
        let lost = ChildCommand::new("cat").current_dir(&place).spawn().expect_err("it started");
        assert!(matches!(&lost, SpawnError::Directory { directory, .. } if *directory == place), "{lost:?}");
        assert!(lost.to_string().contains("current_dir"), "{lost}");
    }
    let missing = ChildCommand::new("./missing").current_dir(&directory).spawn().expect_err("it started");
    assert!(matches!(missing, SpawnError::NotFound { has_directory: true, .. }), "{missing:?}");
    let denied = ChildCommand::new("./file").current_dir(&directory).spawn().expect_err("it started");
    assert!(matches!(denied, SpawnError::PermissionDenied { .. }), "{denied:?}");
    fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn what_the_system_refuses_is_told_with_its_reason_and_leaks_nothing() {
    assert_succeeds(start("refused"));
}

fn refused() {
    let descriptors = || fs::read_dir("/proc/self/fd").expect("/proc").count();
    // The first child starts the thread that owns them all, which stays.
    drop(ChildCommand::new("true").spawn().expect("true starts"));
    assert_eq!(wait_for_children(common::DEADLINE), []);
    let before = descriptors();

    let long = ChildCommand::new("true").arg("x".repeat(3 << 20)).spawn().expect_err("it started");
    let SpawnError::TooLong { arguments_bytes, .. } = &long else { panic!("{long:?}") };
    assert_eq!(*arguments_bytes, (3 << 20) + 1);
    assert!(long.to_string().contains("3145729"), "{long}");
    let long = ChildCommand::new("true").env("LONG", "x".repeat(3 << 20)).spawn().expect_err("it started");
    assert!(
        matches!(&long, SpawnError::TooLong { environment_bytes, .. } if *environment_bytes > 3 << 20),
        "{long:?}"
    );
    for command in [
        ChildCommand::new("tr\0ue"),
        ChildCommand::new("true").arg("a\0b"),
        ChildCommand::new("true").env("A", "a\0b"),
        ChildCommand::new("true").current_dir("/\0"),
    ] {
        let odd = command.spawn().expect_err("it started");
        assert!(matches!(odd, SpawnError::Nul { .. }), "{odd:?}");
    }
    assert_eq!(descriptors(), before, "after what is too long or has a NUL");

    // So many descriptors as are left are not enough, whatever they are needed for.
    let limit = getrlimit(Resource::Nofile);
    let mut held: Vec<OwnedFd> = Vec::new();
    let low = rustix::process::Rlimit { current: Some(64), ..limit };
    setrlimit(Resource::Nofile, low).expect("lower is allowed");
    let null = fs::File::open("/dev/null").expect("there is one");
    while let Ok(fd) = null.try_clone() {
        held.push(fd.into());
    }
    let mut failures = 0;
    loop {
        // A directory that is there is not to blame.
        match ChildCommand::new("true").current_dir("/").spawn() {
            Ok(lane) => {
                drop(lane);
                break;
            }
            Err(SpawnError::Io { source, .. }) => {
                assert_eq!(source.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
            }
            Err(other) => panic!("{other:?}"),
        }
        failures += 1;
        drop(held.pop().expect("it should have started"));
    }
    assert!(failures >= 8, "{failures}: it needs more descriptors than that");
    setrlimit(Resource::Nofile, limit).expect("as it was");
    drop((held, null));
    assert_eq!(wait_for_children(common::DEADLINE), []);
    assert_eq!(descriptors(), before, "after there were too few");
    let none = wait(WaitOptions::NOHANG);
    assert!(matches!(none, Err(rustix::io::Errno::CHILD)), "children are left: {none:?}");

    // And all is well again.
    let lane = ChildCommand::new("true").spawn().expect("true starts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    assert_eq!(runtime.block_on(within(lane.handle().exit())).status, ChildStatus::Code(0));
}

/// What this program does when a test has started it.
#[test]
fn role() {
    match own_role().as_deref() {
        None => return,
        Some("environment") => environment(),
        Some("refused") => refused(),
        Some(other) => panic!("no such role: {other}"),
    }
    exit(0);
}
