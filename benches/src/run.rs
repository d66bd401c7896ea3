//! The command line: `list`, `sample` and `serve`.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::measure::{self, Plan};
use crate::{Case, Entry, Failure};

const USAGE: &str = "usage:
  list                                            one line of JSON per subject and case
  sample CASE SUBJECT [--beside SUBJECT] [--round N] [--warm-up-ms N] [--window-ms N]
                                                  one line of JSON per subject measured
  serve SUBJECT                                   answers until stdin ends";

/// Runs the command line of a program that has these subjects.
#[must_use]
pub fn main(entries: &[Entry]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(entries, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(entries: &[Entry], arguments: &[String]) -> Result<(), Failure> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list"] => {
            for entry in entries {
                for case in entry.cases() {
                    println!(r#"{{"subject":"{}","case":"{}"}}"#, entry.name(), case.name());
                }
            }
            Ok(())
        }
        ["serve", subject] => {
            let served = entries.iter().find(|entry| entry.server() == *subject);
            let serving = served.ok_or_else(|| unknown(subject))?.actions().serve();
            let runtime = runtime()?;
            let served = runtime.block_on(async { runtime.spawn(serving).await })?;
            // A blocking read of stdin must not keep the process.
            runtime.shutdown_background();
            served
        }
        ["sample", case, subject, options @ ..] => sample(entries, case, subject, options),
        _ => Err(USAGE.into()),
    }
}

fn sample(entries: &[Entry], case: &str, subject: &str, options: &[&str]) -> Result<(), Failure> {
    let case = Case::from_name(case).ok_or_else(|| format!("there is no case {case:?}"))?;
    let entry = find(entries, subject, case)?;
    let mut plan =
        Plan { case, round: 0, warm_up: Duration::from_millis(150), window: Duration::from_millis(700) };
    let mut beside = None;
    for option in options.chunks(2) {
        match option {
            ["--beside", name] => beside = Some(find(entries, name, case)?),
            ["--round", number] => plan.round = number.parse()?,
            ["--warm-up-ms", number] => plan.warm_up = Duration::from_millis(number.parse()?),
            ["--window-ms", number] => plan.window = Duration::from_millis(number.parse()?),
            _ => return Err(USAGE.into()),
        }
    }

    let runtime = runtime()?;
    let samples = measure::samples(&runtime, plan, entry, beside)?;
    runtime.shutdown_background();
    let mut wrong = 0;
    for sample in samples {
        println!("{sample}");
        wrong += sample.wrong;
    }
    if wrong > 0 { Err(format!("{wrong} answers were wrong").into()) } else { Ok(()) }
}

fn find<'a>(entries: &'a [Entry], name: &str, case: Case) -> Result<&'a Entry, Failure> {
    let mut named = entries.iter().filter(|entry| entry.name() == name).peekable();
    named.peek().ok_or_else(|| unknown(name))?;
    named
        .find(|entry| entry.cases().contains(&case))
        .ok_or_else(|| format!("{name} cannot be measured in {}", case.name()).into())
}

fn unknown(name: &str) -> Failure {
    format!("there is no subject {name:?}").into()
}

/// The runtime that most programs have: a worker for each core.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn a_command_that_names_something_unknown_says_so() {
        let entries = crate::entries();
        let message = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            run(&entries, &arguments).unwrap_err().to_string()
        };
        assert!(message(&["serve", "nobody"]).contains("nobody"));
        assert!(message(&["sample", "nothing", "floor"]).contains("nothing"));
        assert!(message(&["sample", "memory-rate", "nobody"]).contains("nobody"));
        assert!(message(&["sample", "bridge-rate", "api-floor"]).contains("cannot be measured"));
        assert!(message(&["sample", "memory-rate", "floor", "--round"]).starts_with("usage:"));
        assert!(message(&[]).starts_with("usage:"));
    }
}
