//! The soak, for a few seconds.

use std::{process::Command, time::Duration};

use towpath_testkit::run_within;

#[test]
fn hundreds_of_children_leave_nothing() {
    let output = run_within(Duration::from_secs(100), || {
        Command::new(env!("CARGO_BIN_EXE_towpath-soak")).args(["--seconds", "8", "--seed", "1"]).output()
    });
    let output = output.expect("it can be started");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    println!("{}", said[0]);
    assert!(output.status.success(), "{}\n{}{}", output.status, said[0], said[1]);
}
