//! One client with one server, watched: a limit for each case, and nothing left at the end.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::listening::Listening;
use super::table::{CASES, Cell, Row};
use crate::process::Run;
use crate::workspace::{Result, root};

/// How long one case may take, all its repetitions together.
const CASE_LIMIT: Duration = Duration::from_secs(30);

/// How long the processes of a client that has ended may take to be gone.
const EXIT_GRACE: Duration = Duration::from_secs(2);

enum Event {
    Line(String),
    Ended(std::io::Result<ExitStatus>),
}

/// A running client.
pub(super) struct Watched {
    run: Run,
    events: Receiver<Event>,
    limit: Duration,
    cells: [Option<Cell>; CASES.len()],
}

impl Watched {
    /// Runs a client to its end and gives its row: alone, or with a server that listens on a port meanwhile, and that
    /// must leave politely or need not. What they say on stderr goes to files in `target/interop/log/`.
    pub(super) fn run(
        mut command: Command,
        name: String,
        server: Option<(Command, u16, bool)>,
    ) -> Result<Row> {
        let folder = root().join("target/interop/log");
        std::fs::create_dir_all(&folder)?;
        let log = |part: &str| {
            let name = name.replace("->", "").replace([' ', '-'], "_").replace("__", "_");
            folder.join(format!("{name}{part}.txt"))
        };
        let run = Run::new();
        let Some((server, port, polite)) = server else {
            return Ok(Self::start(command, run, File::create(log(""))?, CASE_LIMIT)?.row(name, None));
        };
        let server_log = log("_server");
        let file = File::create(&server_log)?;
        let server = match Listening::start(server, port, polite, &run, &file) {
            Ok(server) => server,
            Err(error) => return Ok(Row::all(name, Cell::Fail(error.to_string()))),
        };
        command.env("TOWPATH_INTEROP_SERVER_LOG", server_log);
        Ok(Self::start(command, run, File::create(log(""))?, CASE_LIMIT)?.row(name, Some(server)))
    }

    fn start(mut command: Command, run: Run, log: File, limit: Duration) -> Result<Self> {
        let child = run.spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log))?;
        let (sender, events) = sync_channel(CASES.len());
        std::thread::spawn(move || follow(child, &sender));
        Ok(Self { run, events, limit, cells: [const { None }; CASES.len()] })
    }

    fn row(mut self, name: String, server: Option<Listening>) -> Row {
        let ended = self.watch();
        let left = server.map_or(Ok(()), Listening::stop);
        let after = match (left, self.after(&ended)) {
            (Err(reason), Cell::Ok) => Cell::Fail(reason),
            (_, after) => after,
        };
        let why = match ended {
            Ok(status) => format!("no result, {status}"),
            Err(reason) => reason,
        };
        Row::new(name, self.cells.map(|cell| cell.unwrap_or_else(|| Cell::Fail(why.clone()))), after)
    }

    /// Takes the results, and says how the client ended, or why it was ended.
    fn watch(&mut self) -> std::result::Result<ExitStatus, String> {
        loop {
            let reason = match self.events.recv_timeout(self.limit) {
                Ok(Event::Ended(status)) => return status.map_err(|error| error.to_string()),
                Ok(Event::Line(line)) => match self.take(&line) {
                    Some(()) => continue,
                    None => format!("printed what is not the result of a case: {line}"),
                },
                Err(RecvTimeoutError::Timeout) => format!("no result within {:?}", self.limit),
                Err(RecvTimeoutError::Disconnected) => "its output cannot be read".to_owned(),
            };
            self.run.kill();
            return Err(reason);
        }
    }

    /// Takes one line, unless it is not the first result of a known case.
    fn take(&mut self, line: &str) -> Option<()> {
        let (name, result) = Cell::parse(line)?;
        let cell = &mut self.cells[CASES.iter().position(|case| *case == name)?];
        cell.is_none().then(|| *cell = Some(result))
    }

    /// Whether the exit status fits the results, and whether everything is gone.
    fn after(&self, ended: &std::result::Result<ExitStatus, String>) -> Cell {
        let left = self.run.left_after(EXIT_GRACE);
        if !left.is_empty() {
            return Cell::Fail(format!("left running: {}", left.join(", ")));
        }
        let passed = self.cells.iter().all(|cell| matches!(cell, Some(Cell::Ok | Cell::NotApplicable(_))));
        match ended {
            Err(reason) => Cell::Fail(reason.clone()),
            Ok(status) if status.success() != passed => {
                Cell::Fail(format!("{status}, which does not fit the results"))
            }
            Ok(_) => Cell::Ok,
        }
    }
}

fn follow(mut child: Child, events: &SyncSender<Event>) {
    let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
    for line in lines.into_iter().flatten().map_while(std::io::Result::ok) {
        if events.send(Event::Line(line)).is_err() {
            break;
        }
    }
    // Nobody waits for it any more if this fails.
    let _ = events.send(Event::Ended(child.wait()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(script: &str, limit: Duration) -> Row {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = File::options().write(true).open("/dev/null").unwrap();
        Watched::start(command, Run::new(), log, limit)
            .unwrap()
            .row("client -> server legacy".to_owned(), None)
    }

    fn all_ok() -> String {
        CASES.iter().map(|case| format!("echo case {case} ok;")).collect()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_client_that_passes_fills_its_row() {
        let row = row(&all_ok(), LONG);
        assert_eq!(row.failures().collect::<Vec<_>>(), Vec::<&Cell>::new());
    }

    #[test]
    fn a_client_that_hangs_is_ended_and_keeps_the_results_it_had() {
        let row = row("echo case connect ok; sleep 600", Duration::from_millis(300));
        let failures: Vec<&Cell> = row.failures().collect();
        assert_eq!(failures.len(), CASES.len(), "all cases but the first, and the end: {failures:?}");
        let limit = |cell: &&Cell| matches!(cell, Cell::Fail(reason) if reason.contains("no result within"));
        assert!(failures.iter().all(limit), "{failures:?}");
    }

    #[test]
    fn an_exit_status_that_contradicts_the_results_is_a_failure() {
        let row = row(&format!("{} exit 3", all_ok()), LONG);
        let failures: Vec<&Cell> = row.failures().collect();
        assert!(
            matches!(&failures[..], [Cell::Fail(reason)] if reason.contains("does not fit")),
            "{failures:?}"
        );
    }

    #[test]
    fn a_process_left_behind_is_a_failure() {
        let row = row(&format!("(exec sleep 600 >/dev/null) & {}", all_ok()), LONG);
        let failures: Vec<&Cell> = row.failures().collect();
        assert!(
            matches!(&failures[..], [Cell::Fail(reason)] if reason.contains("left running")),
            "{failures:?}"
        );
    }

    #[test]
    fn a_second_result_for_a_case_is_a_failure() {
        let row = row(&format!("echo case list ok; {}", all_ok()), LONG);
        assert!(row.failures().count() > 0);
    }
}
