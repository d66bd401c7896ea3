//! The plot: a panel of bars for each case.

use std::fmt::Write;

use super::plan::{FLOOR, Row, TOWPATH};
use super::report::{better, number};
use super::{Results, stats};

const WIDTH: f64 = 860.0;
const LABELS: f64 = 110.0;
const BARS: f64 = 560.0;
const LINE: f64 = 24.0;
const TITLE: f64 = 34.0;
const GAP: f64 = 16.0;

/// The medians of every case as horizontal bars; each panel has a scale of its own, from nothing to its largest.
pub(super) fn svg(rows: &[&'static Row], results: &Results) -> String {
    let height: f64 = rows.iter().map(|row| panel_height(row)).sum::<f64>() + GAP;
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
"##
    );
    let mut y = GAP;
    for row in rows {
        panel(&mut out, row, results, y);
        y += panel_height(row);
    }
    out.push_str("</svg>\n");
    out
}

fn panel_height(row: &Row) -> f64 {
    TITLE + row.subjects.len() as f64 * LINE + GAP
}

fn panel(out: &mut String, row: &Row, results: &Results, top: f64) {
    let medians: Vec<(&str, Option<f64>)> = row
        .subjects
        .iter()
        .map(|subject| (subject.name, stats::median(&results.values(row.case, subject.name))))
        .collect();
    let largest = medians.iter().filter_map(|(_, median)| *median).fold(f64::MIN_POSITIVE, f64::max);
    let unit = row.kind().unit();
    let _ = writeln!(
        out,
        r##"<text x="8" y="{}" font-weight="bold" fill="#222222">{} ({unit}, {})</text>"##,
        top + 16.0,
        row.title,
        better(row.kind())
    );
    for (at, (name, median)) in medians.into_iter().enumerate() {
        let y = top + TITLE + at as f64 * LINE;
        let middle = y + LINE * 0.6;
        let end = LABELS - 8.0;
        let _ =
            writeln!(out, r##"<text x="{end}" y="{middle}" text-anchor="end" fill="#222222">{name}</text>"##);
        let length = median.map_or(0.0, |median| median / largest * BARS);
        let shown = median.map_or("missing".to_owned(), number);
        let _ = writeln!(
            out,
            r##"<rect x="{LABELS}" y="{:.1}" width="{length:.1}" height="{:.1}" fill="{}"/>
<text x="{:.1}" y="{middle}" fill="#222222">{shown}</text>"##,
            y,
            LINE - 6.0,
            colour(name),
            LABELS + length + 6.0,
        );
    }
}

fn colour(subject: &str) -> &'static str {
    match subject {
        TOWPATH => "#1b6ca8",
        name if name.ends_with(FLOOR) => "#b8bec6",
        _ => "#d98c3f",
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::PLAN;
    use super::super::{Point, Results};
    use super::svg;

    #[test]
    fn bars_are_as_long_as_their_medians_and_the_missing_are_named() {
        let mut results = Results::default();
        for (subject, value) in [("floor", 100.0), ("rmcp", 25.0)] {
            let point = Point { round: 0, value, floor: None, cpu: None };
            results.points.insert((PLAN[0].case, subject), vec![point]);
        }
        let plot = svg(&[&PLAN[0]], &results);
        assert!(plot.contains(r#"width="560.0""#), "{plot}");
        assert!(plot.contains(r#"width="140.0""#), "{plot}");
        assert_eq!(plot.matches("missing").count(), 2, "{plot}");
    }
}
