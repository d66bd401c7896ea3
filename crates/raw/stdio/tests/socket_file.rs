//! The file of a Unix socket: who may use it, what it replaces, and when it goes.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, symlink},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use rustix::fs::{FlockOperation, flock};
use towpath_raw::{Lane, Listen};
use towpath_stdio::{SocketAddress, SocketError, SocketLane, SocketListener, SocketOptions};
use towpath_testkit::within;

/// A directory of the test's own.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("towpath-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let mut path = std::env::temp_dir();
        if path.as_os_str().len() > 60 {
            // A socket's path has to be short.
            path = "/tmp".into();
        }
        let path = path.join(name);
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

async fn listen(path: &Path) -> Result<SocketListener, SocketError> {
    within(SocketListener::bind(&SocketAddress::Unix(path.to_owned()), SocketOptions::default())).await
}

/// What a listener leaves that was killed.
fn leave_behind(path: &Path) {
    drop(UnixListener::bind(path).expect("it listens"));
    assert!(fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()));
}

async fn assert_listens(listener: &mut SocketListener) {
    let address = listener.address().clone();
    let client = within(SocketLane::connect(&address, SocketOptions::default())).await.expect("it connects");
    let served = within(listener.accept()).await.expect("it comes in");
    assert!(served.peer().ends_with(&format!("(pid {})", std::process::id())), "{}", served.peer());
    assert_eq!(client.peer(), served.peer());
}

#[tokio::test]
async fn the_file_is_for_its_user_alone_and_goes_with_its_listener() {
    let directory = Directory::new();
    let path = directory.path("mcp.sock");
    let mut listener = listen(&path).await.expect("it listens");
    let found = fs::symlink_metadata(&path).expect("there is a file");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(&*listener.local(), format!("unix {}", path.display()));
    assert_listens(&mut listener).await;
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_a_dead_listener_left_is_replaced() {
    let directory = Directory::new();
    let path = directory.path("mcp.sock");
    leave_behind(&path);
    let mut listener = listen(&path).await.expect("it listens");
    assert_listens(&mut listener).await;
}

#[tokio::test]
async fn where_somebody_listens_nobody_else_does() {
    let directory = Directory::new();
    let path = directory.path("mcp.sock");
    let mut first = listen(&path).await.expect("it listens");
    let error = listen(&path).await.expect_err("the path is taken");
    assert!(matches!(error, SocketError::InUse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("mcp.sock") && text.contains("another process"), "{text}");
    // It was asked whether it lives, by a connection that has ended.
    drop(within(first.accept()).await.expect("the question"));
    assert_listens(&mut first).await;
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = Directory::new();
    let path = directory.path("notes.txt");
    fs::write(&path, "precious").expect("written");
    let error = listen(&path).await.expect_err("there is a file");
    assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");

    // Nor is a link to one that was left behind.
    let (target, link) = (directory.path("old.sock"), directory.path("link.sock"));
    leave_behind(&target);
    symlink(&target, &link).expect("linked");
    assert!(matches!(listen(&link).await, Err(SocketError::NotASocket { .. })));
    assert!(fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink()) && target.exists());
}

#[tokio::test]
async fn a_file_that_another_has_put_in_its_place_stays() {
    let directory = Directory::new();
    let path = directory.path("mcp.sock");
    let listener = listen(&path).await.expect("it listens");
    fs::remove_file(&path).expect("removed");
    let other = UnixListener::bind(&path).expect("another listens");
    drop(listener);
    drop(UnixStream::connect(&path).expect("the other one is still there"));
    drop(other);
}

#[test]
fn the_file_goes_though_there_is_no_runtime_any_more() {
    let directory = Directory::new();
    let path = directory.path("mcp.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(listen(&path)).expect("it listens");
    drop(runtime);
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_path_that_is_too_long_is_told_with_the_limit() {
    let directory = Directory::new();
    let fits = SocketError::MAX_PATH_BYTES - directory.path("").as_os_str().len();
    let path = directory.path(&"x".repeat(fits));
    let mut listener = listen(&path).await.expect("it just fits");
    assert_listens(&mut listener).await;

    let path = directory.path(&"x".repeat(fits + 1));
    let bound = listen(&path).await.expect_err("one byte more");
    let address = SocketAddress::Unix(path);
    let connected = within(SocketLane::connect(&address, SocketOptions::default())).await;
    for error in [bound, connected.expect_err("nor can it be reached")] {
        assert!(matches!(error, SocketError::PathTooLong { length: 108, .. }), "{error}");
        assert!(error.to_string().contains("107"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_may_be_about_to_replace_is_not_replaced() {
    let directory = Directory::new();
    let path = directory.path("mcp.sock");
    leave_behind(&path);
    let lock = fs::File::open(&directory.0).expect("a directory can be opened");
    flock(&lock, FlockOperation::LockExclusive).expect("nobody has it");
    let error = listen(&path).await.expect_err("another one may be about to replace it");
    assert!(matches!(error, SocketError::NotReplaced { .. }), "{error}");
    assert!(error.to_string().contains("remove the file") && path.exists(), "{error}");
    // Whatever else is there is told for what it is.
    let notes = directory.path("notes.txt");
    fs::write(&notes, "precious").expect("written");
    assert!(matches!(listen(&notes).await, Err(SocketError::NotASocket { .. })));
    let mut elsewhere = listen(&directory.path("new.sock")).await.expect("nothing to replace");
    assert!(matches!(listen(&directory.path("new.sock")).await, Err(SocketError::InUse { .. })));
    drop(within(elsewhere.accept()).await.expect("the question"));
    assert_listens(&mut elsewhere).await;
    drop(lock);
    let mut listener = listen(&path).await.expect("it listens");
    assert_listens(&mut listener).await;
}

#[test]
fn of_many_that_find_a_file_left_behind_one_listens() {
    let directory = Directory::new();
    for round in 0..20 {
        let path = directory.path(&format!("{round}.sock"));
        leave_behind(&path);
        let start = std::sync::Barrier::new(4);
        let listening: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                start.wait();
                runtime.block_on(listen(&path)).map(|listener| (listener, runtime))
            };
            let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let won = listening.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "in round {round}");
        drop(UnixStream::connect(&path).expect("the one that won can be reached"));
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told_with_what_to_do() {
    let directory = Directory::new();
    let path = directory.path("none/mcp.sock");
    let text = listen(&path).await.expect_err("no directory").to_string();
    assert!(text.contains("none/mcp.sock") && text.contains("make its directory"), "{text}");
}
