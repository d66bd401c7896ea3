//! The table of the demonstration, and the line below it.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets::ASCII_MARKDOWN};

use super::rows::Row;
use crate::units::show_size;

const COLUMNS: [&str; 10] =
    ["path", "era", "payload × in flight", "calls", "p50", "p99", "MB/s", "lost", "changed", "left over"];

/// The rows as a table, which is Markdown, too.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(COLUMNS);
    for row in rows {
        let case = &row.case;
        table.add_row([
            Cell::new(case.path.name()),
            Cell::new(format!("{:?}", case.era).to_lowercase()),
            right(format!("{} × {}", show_size(case.payload_bytes), case.in_flight)),
            right(row.calls.to_string()),
            right(show_nanos(row.latencies.value_at_quantile(0.5))),
            right(show_nanos(row.latencies.value_at_quantile(0.99))),
            right(show_rate(row.bytes_per_second)),
            right(row.lost.to_string()),
            right(row.changed.to_string()),
            right(row.left.to_string()),
        ]);
    }
    table.to_string()
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

impl Row {
    /// Whether it kept the promises.
    pub(super) fn is_good(&self) -> bool {
        self.lost == 0 && self.changed == 0 && self.left.is_nothing() && self.why.is_none()
    }
}

/// What the table means.
pub(super) fn meaning(rows: &[Row], took: Duration) -> String {
    let calls: u64 = rows.iter().map(|row| row.calls).sum();
    format!(
        "{calls} calls in {:.1} s: every answer came, each byte for byte what was sent, and each connection left no \
         process and no descriptor behind. (MB/s counts each payload once, though it goes there and back.)",
        took.as_secs_f64()
    )
}

/// What is wrong with the first row that is not good.
pub(super) fn complaint(rows: &[Row]) -> Option<String> {
    let row = rows.iter().find(|row| !row.is_good())?;
    let case = &row.case;
    Some(format!(
        "over {}, {:?}, {} × {}: {} lost, {} changed, left over: {}; first of all: {}",
        case.path.name(),
        case.era,
        show_size(case.payload_bytes),
        case.in_flight,
        row.lost,
        row.changed,
        row.left,
        row.why.as_deref().unwrap_or("something outlived its connection"),
    ))
}

fn show_nanos(nanos: u64) -> String {
    let micros = nanos as f64 / 1e3;
    match micros {
        _ if micros < 10.0 => format!("{micros:.1} µs"),
        _ if micros < 1000.0 => format!("{micros:.0} µs"),
        _ if micros < 10_000.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.0} ms", micros / 1e3),
    }
}

fn show_rate(bytes_per_second: f64) -> String {
    let megabytes = bytes_per_second / 1e6;
    if megabytes < 10.0 { format!("{megabytes:.1}") } else { format!("{megabytes:.0}") }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use towpath::Era;

    use super::*;
    use crate::demo::{leftover::Leftover, paths::Path, rows::Case};

    fn row() -> Row {
        let mut latencies = Histogram::new(3).unwrap();
        latencies.record(42_000).unwrap();
        Row {
            case: Case { path: Path::Stdio, era: Era::Modern, payload_bytes: 64 << 10, in_flight: 64 },
            calls: 1,
            latencies,
            bytes_per_second: 1e6,
            lost: 0,
            changed: 0,
            left: Leftover::default(),
            why: None,
        }
    }

    #[test]
    fn a_row_names_its_case_and_its_figures() {
        let text = table(&[row()]);
        let cells: Vec<&str> =
            text.lines().last().unwrap().trim_matches('|').split('|').map(str::trim).collect();
        let expected = ["stdio", "modern", "64 KiB × 64", "1", "42 µs", "42 µs", "1.0", "0", "0", "0"];
        assert_eq!(cells, expected);
    }

    #[test]
    fn whatever_is_not_zero_is_a_complaint() {
        assert_eq!(complaint(&[row()]), None);
        type Spoil = (fn(&mut Row), &'static str);
        let spoil: [Spoil; 5] = [
            (|row| row.lost = 1, "1 lost"),
            (|row| row.changed = 2, "2 changed"),
            (|row| row.left.processes = 3, "left over: 3 processes"),
            (|row| row.left.descriptors = 4, "4 descriptors"),
            (
                |row| row.why = Some("the connection was not closed".into()),
                "first of all: the connection was not closed",
            ),
        ];
        for (spoil, said) in spoil {
            let mut bad = row();
            spoil(&mut bad);
            let text = complaint(&[row(), bad]).unwrap_or_default();
            assert!(text.starts_with("over stdio, Modern, 64 KiB × 64: ") && text.contains(said), "{text}");
        }
    }

    #[test]
    fn times_and_rates_are_short() {
        let table = [
            (900, "0.9 µs"),
            (42_400, "42 µs"),
            (420_000, "420 µs"),
            (1_260_000, "1.3 ms"),
            (123_000_000, "123 ms"),
        ];
        for (nanos, shown) in table {
            assert_eq!(show_nanos(nanos), shown);
        }
        assert_eq!((show_rate(1_230_000.0).as_str(), show_rate(456_700_000.0).as_str()), ("1.2", "457"));
    }
}
