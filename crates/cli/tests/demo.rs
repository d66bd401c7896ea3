//! `towpath demo`.

mod common;

use common::{run, within};

#[tokio::test]
async fn a_quick_demonstration_loses_changes_and_leaves_nothing() {
    within(async {
        let done = run(&["demo", "--quick"]).await;
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        let rows: Vec<Vec<&str>> = done
            .stdout
            .lines()
            .filter(|line| ["| stdio", "| HTTP", "| bridge"].iter().any(|path| line.starts_with(path)))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        // Three paths, two eras, three payloads, one call at a time and many.
        assert_eq!(rows.len(), 36, "{}", done.stdout);
        for row in &rows {
            let [_, _, _, calls, p50, p99, rate, lost, changed, left] = row.as_slice() else {
                panic!("{row:?}")
            };
            assert!(calls.parse::<u64>().unwrap() >= 1, "{row:?}");
            // Of the small payloads a busy machine may pass so few that it rounds to nothing.
            let least = if row[2].starts_with("100 B") { 0.0 } else { 0.1 };
            assert!(
                rate.parse::<f64>().unwrap() >= least && p50.ends_with('s') && p99.ends_with('s'),
                "{row:?}"
            );
            assert_eq!([*lost, *changed, *left], ["0"; 3], "{row:?}");
        }
        for era in ["modern", "legacy"] {
            assert_eq!(rows.iter().filter(|row| row[1] == era).count(), 18);
        }
        let last = done.stdout.lines().last().unwrap_or_default();
        assert!(last.contains("every answer came, each byte for byte"), "{last}");
    })
    .await;
}
