//! The tables, and the page around them.

use std::fmt::Write;

use super::plan::{FLOOR, Kind, Measure, RMCP, Reach, Row, TOWPATH, Target};
use super::{Results, stats};

const HEAD: [&str; 5] = ["subject", "median", "of the floor", "of rmcp", "CPU µs/call"];

/// A table for each case, with the targets below it; with intervals if `sure`.
pub(super) fn tables(rows: &[&'static Row], results: &Results, sure: bool) -> String {
    let mut out = String::new();
    for row in rows {
        let _ = writeln!(out, "\n## {}\n", row.title);
        let lines = row.subjects.iter().map(|subject| line(row, subject.name, results, sure));
        let cells: Vec<[String; 5]> = std::iter::once(HEAD.map(str::to_owned)).chain(lines).collect();
        out.push_str(&table(&cells));
        if !row.targets.is_empty() {
            out.push('\n');
        }
        for target in row.targets {
            let _ = writeln!(out, "- {}", verdict(row, target, results, sure));
        }
    }
    out
}

/// The page of the full run.
pub(super) fn page(rows: &[&'static Row], results: &Results, rounds: u32) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let tables = tables(rows, results, true);
    format!(
        "\
# Benchmarks

Written by `cargo xtask bench`, {rounds} interleaved rounds on a machine with {cores} cores. Absolute figures only
show the scale. What counts is the ratio to the floor within a round: its median, with the 95 % interval of that
median (bootstrap over the rounds) in brackets. A target is *reached* when the interval touches it.

![Medians by case](benchmarks.svg)

- **floor**, in memory and over pipes: a plain tokio newline echo over the same medium, line by line, with large
  buffers, and one task that writes 64 requests ahead. Request and answer are of the size of an `echo` tool call;
  nothing is parsed.
- **floor**, HTTP server: a bare hyper server that reads a POST whole and answers with its bytes, cut to the length of
  Towpath's answer and with the same headers. HTTP client: bare reqwest with its pool, shared by all callers, against
  that echo. Bridge: both ways of a bridge, each bare and one after the other: the hyper echo, then the newline echo
  over pipes.
- **api-floor**: the same echo, with 64 callers in tasks of their own that are woken once per call by one driver.
- **rmcp**: the official Rust SDK 3.9.0, its client against its server; over pipes with its default stdio.
  **rmcp-pipes** is the same with its non-blocking stdio. Over HTTP its `StreamableHttpService` runs on the same bare
  hyper server as the floor, with JSON answers where it can. Its default client opens a connection for each request;
  **rmcp-pooled** is the same with a client that keeps them.
- **direct**: Towpath's client over pipes to the server that stands behind the bridge, without the bridge.

Over HTTP the server is a child process on loopback. *Server only* means that all of them are asked by one load generator:
a hyper connection for each call in flight, kept, with the same requests for all, in the stateless form of 2026-07-28 or in
one session that all connections share. Its answers are read whole the first time, and compared to the byte after that.

Every subject has the same texts and callers, on a multi-threaded tokio runtime with its default number of workers,
and every answer is compared with what was sent: one wrong answer fails the run. Over pipes the server is a child process.
Every sample is a process of its own. Throughput comes from interleaved rounds. Latency is compared in one process, in
alternating slices of 100 calls of the subject and of the floor; between rmcp and Towpath it is from interleaved rounds. A
text of 1 MiB counts once per call, though it travels both ways. CPU time is that of client and server together, and of
one of them alone where the row says *server only* or *client only*.
{tables}"
    )
}

fn line(row: &Row, subject: &'static str, results: &Results, sure: bool) -> [String; 5] {
    let values = results.values(row.case, subject);
    let Some(median) = stats::median(&values) else {
        let why = if results.missing.contains(&(row.case, subject)) { "missing" } else { "failed" };
        return [subject, why, "–", "–", "–"].map(str::to_owned);
    };
    let cpu: Vec<f64> = results.of(row.case, subject).iter().filter_map(|point| point.cpu).collect();
    [
        subject.to_owned(),
        format!("{} {}", number(median), row.kind().unit()),
        ratio(row, subject, FLOOR, results, sure),
        ratio(row, subject, RMCP, results, sure),
        stats::median(&cpu).map_or("–".to_owned(), number),
    ]
}

fn ratio(row: &Row, subject: &'static str, other: &'static str, results: &Results, sure: bool) -> String {
    let ratios: Vec<f64> = results
        .pairs(row.case, subject, other, Measure::Value)
        .into_iter()
        .map(|(value, other)| value / other)
        .collect();
    match (subject == other, stats::median(&ratios), stats::interval(&ratios)) {
        (true, Some(_), _) => "1".to_owned(),
        (_, Some(median), Some(interval)) if sure => format!("{} {}", number(median), brackets(interval)),
        (_, Some(median), _) => number(median),
        _ => "–".to_owned(),
    }
}

fn verdict(row: &Row, target: &Target, results: &Results, sure: bool) -> String {
    let compared: Vec<f64> = results
        .pairs(row.case, TOWPATH, target.against, target.measure)
        .into_iter()
        .map(|pair| target.reach.compare(pair))
        .collect();
    let bound = number(target.reach.bound());
    let against = target.against;
    let what = match target.measure {
        Measure::Value => "",
        Measure::Cpu => "CPU per call ",
    };
    let wanted = match target.reach {
        Reach::AtLeast(_) => format!("{what}at least {bound} × {against}"),
        Reach::AtMost(_) => format!("{what}at most {bound} × {against}"),
        Reach::Within(_) => format!("{what}at most {against} + {bound} µs"),
    };
    let (Some(median), Some(interval)) = (stats::median(&compared), stats::interval(&compared)) else {
        return format!("{wanted}: not measured");
    };
    let touching = if sure { interval } else { (median, median) };
    let word = if target.reach.is_touched_by(touching) { "reached" } else { "**not reached**" };
    let sign = if matches!(target.reach, Reach::Within(_)) && median > 0.0 { "+" } else { "" };
    let range = if sure { format!(" {}", brackets(interval)) } else { String::new() };
    format!("{wanted}: {word}, {sign}{}{range}", number(median))
}

fn brackets((low, high): (f64, f64)) -> String {
    format!("({}–{})", number(low), number(high))
}

/// Three digits that count, with thousands set apart.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        let scale = 10_f64.powi(size.log10().floor() as i32 - 2);
        let digits = format!("{:.0}", (value / scale).round() * scale);
        let mut out = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) && !out.ends_with('-') {
                out.push(',');
            }
            out.push(digit);
        }
        out
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 || size == 0.0 {
        format!("{value:.2}")
    } else {
        let places = (2.0 - size.log10().floor()).min(6.0) as usize;
        format!("{value:.places$}")
    }
}

/// A Markdown table that is also aligned for a terminal.
fn table(cells: &[[String; 5]]) -> String {
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut out = String::new();
    for (at, line) in cells.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let _ =
                if column == 0 { write!(out, "| {cell:<width$} ") } else { write!(out, "| {cell:>width$} ") };
        }
        out.push_str("|\n");
        if at == 0 {
            for (column, width) in widths.into_iter().enumerate() {
                let rule = "-".repeat(width + usize::from(column == 0));
                let _ =
                    write!(out, "|{}", if column == 0 { format!("{rule}-") } else { format!("{rule}-:") });
            }
            out.push_str("|\n");
        }
    }
    out
}

/// What a longer bar means.
pub(super) fn better(kind: Kind) -> &'static str {
    match kind {
        Kind::Rate | Kind::Bulk => "more is better",
        Kind::Latency => "less is better",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::super::plan::PLAN;
    use super::*;

    fn results(case: &'static str, values: &[(&'static str, &[f64])]) -> Results {
        let mut results = Results::default();
        for (subject, values) in values {
            let points = values
                .iter()
                .enumerate()
                .map(|(round, value)| Point {
                    round: round as u32,
                    value: *value,
                    floor: None,
                    cpu: Some(1.5),
                })
                .collect();
            results.points.insert((case, *subject), points);
        }
        results
    }

    #[test]
    fn a_subject_that_is_not_there_is_reported_as_missing() {
        let row = &PLAN[0];
        let mut results = results(row.case, &[(FLOOR, &[3_000_000.0])]);
        results.missing.insert((row.case, TOWPATH));
        let text = tables(&[row], &results, false);
        let line = text.lines().find(|line| line.starts_with("| towpath")).unwrap();
        assert!(line.contains("missing"), "{text}");
        assert!(text.contains("at least 0.333 × floor: not measured"), "{text}");
        let line = text.lines().find(|line| line.starts_with("| rmcp")).unwrap();
        assert!(line.contains("failed"), "{text}");
    }

    #[test]
    fn a_target_is_judged_by_the_ratio_within_each_round() {
        let row = &PLAN[0];
        // Every round is another machine, as it were; the ratio is 0.4 in all of them.
        let results =
            results(row.case, &[(FLOOR, &[1000.0, 50_000.0, 3000.0]), (TOWPATH, &[400.0, 20_000.0, 1200.0])]);
        let text = tables(&[row], &results, true);
        assert!(text.contains("at least 0.333 × floor: reached, 0.400 (0.400–0.400)"), "{text}");
        assert!(text.contains("3,000 req/s"), "{text}");
    }

    #[test]
    fn a_target_of_cpu_time_is_judged_by_cpu_time() {
        let row = PLAN.iter().find(|row| row.case == "http-json-rate").unwrap();
        // Half the throughput, with the same CPU time per call.
        let results = results(row.case, &[(FLOOR, &[100_000.0; 3]), (TOWPATH, &[50_000.0; 3])]);
        let text = tables(&[row], &results, false);
        assert!(text.contains("- at least 0.950 × floor: **not reached**, 0.500"), "{text}");
        assert!(text.contains("- CPU per call at most 1.05 × floor: reached, 1.00"), "{text}");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [0.0, 0.0163, 0.333_333, 2.5, 39.52, 175.2, 1407.0, 2_963_412.0].map(number);
        assert_eq!(shown, ["0.00", "0.0163", "0.333", "2.50", "39.5", "175", "1,410", "2,960,000"]);
    }
}
