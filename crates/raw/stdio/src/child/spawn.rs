//! Starting a child.

use std::{
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use rustix::{
    fs::{Access, AtFlags, CWD, OFlags},
    pipe::{PipeFlags, pipe_with},
    process::{Signal, getppid, set_parent_process_death_signal},
};

use super::{ChildCommand, ChildLane, reaper};

/// Why a program could not be started.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no such program.
    #[error(
        "cannot start `{program}`: no such program{}; give its full path, or check that PATH has its directory; a \
         script also needs the interpreter of its first line", if *.has_directory { " at this path" } else { " in PATH" }
    )]
    NotFound {
        /// What was to be started.
        program: String,
        /// Whether it was given with a directory, and so was not looked for in PATH.
        has_directory: bool,
    },
    /// The directory that it was to run in is none.
    #[error("cannot start `{program}` in {}: {source} (setting: current_dir)", directory.display())]
    Directory {
        /// What was to be started.
        program: String,
        /// Where.
        directory: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// It is there and may not be executed.
    #[error(
        "cannot start `{program}`: permission denied; check that it is a program, that it is executable \
         (chmod +x), and that its directory may be entered"
    )]
    PermissionDenied {
        /// What was to be started.
        program: String,
    },
    /// Its name, an argument, a variable or the directory holds a NUL byte, which the system takes for the end.
    #[error(
        "cannot start `{program}`: its name, an argument, a variable of its environment or its directory holds a NUL byte"
    )]
    Nul {
        /// What was to be started.
        program: String,
    },
    /// Its arguments and its environment are larger than the system takes: in all, a quarter of the stack's limit; each
    /// of them, 128 KiB.
    #[error(
        "cannot start `{program}`: its arguments and its environment are too long ({arguments_bytes} and \
         {environment_bytes} bytes); give large values in a file or on stdin, or raise the limit on the stack (ulimit -s)"
    )]
    TooLong {
        /// What was to be started.
        program: String,
        /// The size of its arguments.
        arguments_bytes: usize,
        /// The size of its environment: see [`ChildCommand::environment`].
        environment_bytes: usize,
    },
    /// The operating system refused: too many processes or descriptors, or no memory.
    #[error(
        "cannot start `{program}`: {source}; check the limits on processes and open files (ulimit -u, -n)"
    )]
    Io {
        /// What was to be started.
        program: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
}

/// What the reaper needs to start a child and to own it.
pub(super) struct SpawnRequest {
    pub(super) command: Command,
    pub(super) name: String,
    /// Our ends of the pipes.
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) options: ChildCommand,
}

pub(super) fn spawn(options: ChildCommand) -> Result<ChildLane, SpawnError> {
    // If it fails, what the callback owns is dropped here and not by the thread that owns all children.
    let asked = options.clone();
    prepare(options).and_then(reaper::spawn).map_err(|error| explain(&asked, error))
}

fn prepare(options: ChildCommand) -> io::Result<SpawnRequest> {
    let (child_stdin, stdin) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stdout, child_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, child_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    for ours in [&stdin, &stdout, &stderr] {
        // The ends of a pipe are file descriptions of their own, so the child's stay blocking.
        rustix::fs::fcntl_setfl(ours, rustix::fs::fcntl_getfl(ours)? | OFlags::NONBLOCK)?;
    }
    let mut command = Command::new(&options.program);
    command
        .args(&options.args)
        .stdin(Stdio::from(child_stdin))
        .stdout(Stdio::from(child_stdout))
        .stderr(Stdio::from(child_stderr))
        .process_group(0);
    command.env_clear().envs(options.variables.resolve());
    if let Some(directory) = &options.current_dir {
        command.current_dir(directory);
    }
    if options.dies_with_us {
        die_with_us(&mut command);
    }
    let name = name_of(&options.program);
    Ok(SpawnRequest { command, name, stdin, stdout, stderr, options })
}

/// The system kills the child when the thread that started it dies, and that lives as long as this process.
#[allow(unsafe_code)]
fn die_with_us(command: &mut Command) {
    let us = i32::try_from(std::process::id()).unwrap_or_default();
    let in_the_child = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Had we died before that call, nothing would ever kill it.
        match getppid() {
            Some(parent) if parent.as_raw_nonzero().get() == us => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two plain
    // system calls and allocates nothing: an `io::Error` made from a kind or an error number is on the stack.
    unsafe { command.pre_exec(in_the_child) };
}

fn name_of(program: &OsString) -> String {
    let path = Path::new(program);
    path.file_name().unwrap_or(program).to_string_lossy().into_owned()
}

fn explain(asked: &ChildCommand, error: io::Error) -> SpawnError {
    let program = asked.program.to_string_lossy().into_owned();
    let is_about_a_path = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    );
    if is_about_a_path
        && let Some(directory) = &asked.current_dir
        && let Err(source) = can_enter(directory)
    {
        return SpawnError::Directory { program, directory: directory.clone(), source: Arc::new(source) };
    }
    match error.kind() {
        io::ErrorKind::NotFound => SpawnError::NotFound { has_directory: program.contains('/'), program },
        io::ErrorKind::PermissionDenied => SpawnError::PermissionDenied { program },
        // The standard library looks for it before it starts anything.
        io::ErrorKind::InvalidInput => SpawnError::Nul { program },
        io::ErrorKind::ArgumentListTooLong => {
            let variables = asked.variables.resolve();
            SpawnError::TooLong {
                program,
                arguments_bytes: asked.args.iter().map(|arg| arg.len() + 1).sum(),
                environment_bytes: variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum(),
            }
        }
        _ => SpawnError::Io { program, source: Arc::new(error) },
    }
}

/// Without a descriptor: there may be none.
fn can_enter(directory: &Path) -> io::Result<()> {
    if !directory.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let flags = AtFlags::EACCESS;
    rustix::fs::accessat(CWD, directory, Access::EXEC_OK, flags).map_err(io::Error::from)
}
