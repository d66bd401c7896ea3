//! The table of results: no cell is empty, and every failure and omission has its reason below.

use std::fmt::Write as _;

/// The cases in the order in which every client runs them.
pub(super) const CASES: &[&str] =
    &["connect", "list", "echo-100B", "echo-1MiB", "progress", "burst", "cancel", "exit"];

/// The column of what must hold when the client has ended.
pub(super) const AFTER: &str = "after";

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Ok,
    Fail(String),
    NotApplicable(String),
}

impl Cell {
    /// The result in a line such as `case echo-1MiB FAIL the text came back changed`, with the name of its case.
    pub(super) fn parse(line: &str) -> Option<(&str, Self)> {
        let (case, result) = line.strip_prefix("case ")?.split_once(' ')?;
        let cell = if result == "ok" {
            Self::Ok
        } else if let Some(reason) = result.strip_prefix("FAIL") {
            Self::Fail(reason.trim().to_owned())
        } else {
            Self::NotApplicable(result.strip_prefix("n.a.")?.trim().to_owned())
        };
        Some((case, cell))
    }

    fn reason(&self) -> Option<(&str, &str)> {
        match self {
            Self::Ok => None,
            Self::Fail(reason) => Some(("FAIL", reason)),
            Self::NotApplicable(reason) => Some(("n.a.", reason)),
        }
    }
}

/// The results of one client with one server in one era.
pub(super) struct Row {
    name: String,
    cells: Vec<Cell>,
}

impl Row {
    /// A row from the cells of [`CASES`] and [`AFTER`], in that order.
    pub(super) fn new(name: String, cases: [Cell; CASES.len()], after: Cell) -> Self {
        Self { name, cells: cases.into_iter().chain([after]).collect() }
    }

    /// A row that has the same result everywhere.
    pub(super) fn all(name: String, cell: Cell) -> Self {
        Self::new(name, std::array::from_fn(|_| cell.clone()), cell)
    }

    /// The cells that failed.
    pub(super) fn failures(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| matches!(cell, Cell::Fail(_)))
    }
}

/// The table, and below it why a cell is not `ok`, each reason once.
pub(super) fn shown(rows: &[Row]) -> String {
    let columns: Vec<&str> = CASES.iter().copied().chain([AFTER]).collect();
    let mut reasons: Vec<String> = Vec::new();
    let mut lines =
        vec![[""].into_iter().chain(columns.iter().copied()).map(str::to_owned).collect::<Vec<_>>()];
    for row in rows {
        let mut line = vec![row.name.clone()];
        for cell in &row.cells {
            let Some((word, reason)) = cell.reason() else {
                line.push("ok".to_owned());
                continue;
            };
            let reason = match cell {
                Cell::Fail(_) => format!("{}: {reason}", row.name),
                _ => format!("because {reason}"),
            };
            let number = reasons.iter().position(|known| *known == reason).unwrap_or_else(|| {
                reasons.push(reason);
                reasons.len() - 1
            });
            line.push(format!("{word} [{}]", number + 1));
        }
        lines.push(line);
    }
    let widths: Vec<usize> = (0..=columns.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(word, width)| format!("{word:width$}", width = *width)).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    }
    for (index, reason) in reasons.iter().enumerate() {
        let _ = writeln!(text, "[{}] {reason}", index + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_result_only_in_its_three_forms() {
        assert_eq!(Cell::parse("case list ok"), Some(("list", Cell::Ok)));
        assert_eq!(Cell::parse("case list FAIL why not"), Some(("list", Cell::Fail("why not".to_owned()))));
        let absent = Cell::NotApplicable("it has no such tool".to_owned());
        assert_eq!(Cell::parse("case list n.a. it has no such tool"), Some(("list", absent)));
        for other in ["case list", "case list okay", "list ok", "", "case  ok"] {
            assert!(Cell::parse(other).is_none_or(|(case, _)| !CASES.contains(&case)), "{other}");
        }
    }

    #[test]
    fn every_cell_has_a_word_and_every_reason_stands_once() {
        let mut cells = std::array::from_fn(|_| Cell::Ok);
        cells[2] = Cell::Fail("changed".to_owned());
        let absent = Cell::NotApplicable("it is legacy".to_owned());
        let rows = [
            Row::new("a -> b legacy".to_owned(), cells, Cell::Ok),
            Row::all("a -> b modern".to_owned(), absent),
        ];
        let text = shown(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(lines[1].matches("ok").count(), CASES.len());
        assert_eq!(lines[1].matches("FAIL [1]").count(), 1);
        assert_eq!(lines[2].matches("n.a. [2]").count(), CASES.len() + 1);
        assert_eq!(lines[3], "[1] a -> b legacy: changed");
        assert_eq!(lines[4], "[2] because it is legacy");
    }
}
