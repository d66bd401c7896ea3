//! `towpath demo`: calls to an example server over every path, and a check of every byte.

mod leftover;
mod paths;
mod payload;
mod rows;
mod server;
mod table;

use std::{io::Write, time::Duration, time::Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::runtime;

pub(crate) use server::serve;

use self::rows::{Effort, NoRow, Row};
use crate::{
    args::DemoArgs,
    exit::{Failure, Status},
    signals::Signals,
    units::show_size,
};

/// Runs every row and prints the table.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Failure::not_started)?;
    let start = Instant::now();
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    let outcome = runtime.block_on(async {
        tokio::select! {
            // Both may be dropped: the rows take their connections with them.
            biased;
            signal = signals.received() => Err(Failure::interrupted(signal)),
            rows = all_rows(effort) => rows.map_err(|NoRow(why)| Failure::new(Status::NotConnected, why)),
        }
    });
    runtime.shutdown_background();
    towpath::wait_for_children(Duration::from_secs(2));
    let rows = outcome?;
    let mut text = table::table(&rows);
    let complaint = table::complaint(&rows);
    text.push('\n');
    if complaint.is_none() {
        text.push_str(&table::meaning(&rows, start.elapsed()));
        text.push('\n');
    }
    // Whoever closes stdout has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    match complaint {
        None => Ok(()),
        Some(complaint) => Err(Failure::new(Status::Refused, complaint)
            .with_hint("the machine may be overloaded: try again; if it stays, report it with the table")),
    }
}

async fn all_rows(effort: Effort) -> Result<Vec<Row>, NoRow> {
    let cases = rows::cases();
    let bar = ProgressBar::with_draw_target(Some(cases.len() as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let baseline = rows::warm_up().await?;
    let mut rows = Vec::with_capacity(cases.len());
    for case in cases {
        let size = show_size(case.payload_bytes);
        bar.set_message(format!("{} {:?} {size} × {}", case.path.name(), case.era, case.in_flight));
        rows.push(rows::run(case, effort, baseline).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rows)
}
