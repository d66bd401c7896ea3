//! Real servers that die and are started again.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod supervise_support;
mod support;

use std::{env, future::Future, sync::Arc, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use supervise_support::{is_crash_loop, policy, until_state};
use support::{builder, everything, mirror};
use towpath_client::{
    Death, LinkEnd, Phase, Preference, RestartPolicy, Supervised, SupervisedEvent, SupervisionState, Upstream,
};
use towpath_jsonrpc::{ErrorObject, RawJson};
use towpath_raw::Explanation;
use towpath_server::{Context, Handler, Request};
use towpath_stdio::{ChildCommand, ChildExit, ChildLane, ChildStatus, OwnStdio};
use towpath_testkit::{
    leak::{Baseline, isolated},
    within,
};

const ROLE: &str = "TOWPATH_TEST_ROLE";
const ERAS: [Preference; 2] = [Preference::ModernOnly, Preference::LegacyOnly];

struct Mortal;

impl Handler for Mortal {
    async fn request(&self, request: Request, _: Context) -> Result<RawJson, ErrorObject> {
        match request.method() {
            "pid" => request.reply(&json!({"pid": std::process::id()})),
            "forever" => std::future::pending().await,
            "crash" => std::process::exit(3),
            "stop" => std::process::exit(0),
            // Subscriptions to resources are the server's own.
            _ => Ok(RawJson::empty_object()),
        }
    }
}

/// What this binary does when it is started as a server.
#[test]
fn role() {
    if env::var_os(ROLE).is_none() {
        return;
    }
    // So that the first message has a line of its own.
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let lane = OwnStdio::lane(Default::default(), Default::default()).expect("it is ours");
        mirror().build(Mortal).serve(lane).await;
    });
    std::process::exit(0);
}

/// Starts a program each time.
struct Program(ChildCommand);

impl Upstream for Program {
    type Lane = ChildLane;

    async fn open(&self) -> Result<ChildLane, Explanation> {
        self.0.clone().spawn().map_err(|error| Arc::new(error) as Explanation)
    }

    fn is_success(&self, end: &LinkEnd) -> bool {
        exit(end).is_some_and(ChildExit::is_success)
    }
}

fn exit(end: &LinkEnd) -> Option<&ChildExit> {
    let LinkEnd::PeerClosed(end) = end else { return None };
    end.explanation.as_ref()?.downcast_ref()
}

const ARGUMENTS: [&str; 4] = ["role", "--exact", "--nocapture", "--test-threads=1"];

fn server() -> Program {
    let program = env::current_exe().expect("this program");
    Program(ChildCommand::new(program).args(ARGUMENTS).env(ROLE, "server"))
}

/// The server is a grandchild, and its parent would go on after it.
fn wrapped_server() -> Program {
    let program = env::current_exe().expect("this program");
    let script = r#""$0" "$@"; status=$?; sleep 0; exit $status"#;
    let command = ChildCommand::new("sh").args(["-c", script]).arg(program).args(ARGUMENTS);
    Program(command.env(ROLE, "server"))
}

fn start(upstream: Program, era: Preference, policy: RestartPolicy) -> Supervised {
    builder().preference(era).supervise(upstream, policy)
}

async fn pid(supervised: &Supervised) -> u64 {
    let answer = within(supervised.call("pid", &())).await.expect("it answers");
    answer.deserialize::<serde_json::Value>().expect("JSON")["pid"].as_u64().expect("a number")
}

fn last_exit(supervised: &Supervised) -> ChildExit {
    match supervised.last_death() {
        Some(Death::Ended(end)) => exit(&end).expect("the child has explained itself").clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_crashes_in_a_call_is_followed_by_another_which_hears_nothing_of_it() {
    for era in ERAS {
        let supervised = start(server(), era, policy());
        let first = pid(&supervised).await;
        let error = within(supervised.call("crash", &())).await.expect_err("it has crashed");
        assert_eq!(error.phase(), Phase::OutcomeUnknown, "{error}");
        assert!(error.to_string().contains("exited with status 3"), "{error}");
        assert_ne!(pid(&supervised).await, first);
        assert_eq!(last_exit(&supervised).status, ChildStatus::Code(3));
        let SupervisionState::Up { starts, .. } = supervised.state() else { panic!("{supervised:?}") };
        assert_eq!(starts, 2, "it has crashed once");
        within(supervised.close()).await;
    }
}

#[tokio::test]
async fn a_killed_server_is_listened_to_again_in_either_era() {
    for era in ERAS {
        let supervised = start(server(), era, policy());
        let mut changes = within(supervised.listen(&everything(&["a:"]))).await.expect("it listens");
        let client = within(supervised.client()).await.expect("it is up");
        let before = client.peer().calls_in_flight();
        let asking = supervised.clone();
        let asked = tokio::spawn(async move { asking.call("forever", &()).await });
        support::until("it is in flight", || client.peer().calls_in_flight() > before).await;
        // What is answered was asked after it.
        let first = pid(&supervised).await;
        kill_process(Pid::from_raw(first as i32).expect("a process id"), Signal::KILL).expect("it lives");
        within(asked).await.expect("no panic").expect_err("it was killed");
        assert_eq!(within(changes.next()).await.expect("open again"), Some(SupervisedEvent::Reopened));
        assert_ne!(pid(&supervised).await, first);
        assert_eq!(last_exit(&supervised).status, ChildStatus::Signal(9));
        within(supervised.close()).await;
    }
}

#[tokio::test]
async fn a_program_that_dies_at_once_again_and_again_is_left_alone_with_its_last_words() {
    let mut policy = policy();
    policy.back_off = Duration::from_millis(1);
    policy.cool_down = Duration::from_secs(600);
    let command = ChildCommand::new("sh").args(["-c", "echo no configuration >&2; exit 7"]);
    let supervised = start(Program(command), Preference::LegacyOnly, policy.clone());
    until_state(&supervised, is_crash_loop).await;
    let error = within(supervised.call("pid", &())).await.expect_err("it is left alone").to_string();
    for part in ["status 7", "no configuration", "max_quick_deaths"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    let missing = ChildCommand::new("/no/such/program");
    let supervised = start(Program(missing), Preference::LegacyOnly, policy);
    until_state(&supervised, is_crash_loop).await;
    let error = within(supervised.client()).await.expect_err("there is none").to_string();
    assert!(error.contains("/no/such/program"), "{error}");
}

#[tokio::test]
async fn exit_status_0_is_an_end_as_it_should_be_if_that_is_wanted() {
    let mut once = policy();
    once.restart_on_success = false;
    let supervised = start(server(), Preference::LegacyOnly, once.clone());
    within(supervised.call("stop", &())).await.expect_err("it has stopped");
    until_state(&supervised, |state| matches!(state, SupervisionState::Finished { .. })).await;
    let supervised = start(server(), Preference::LegacyOnly, once);
    within(supervised.call("crash", &())).await.expect_err("it has crashed");
    pid(&supervised).await;
}

/// One that is dropped at some stage of its life.
async fn live(round: usize) {
    let era = ERAS[round % 2];
    let supervised = start(wrapped_server(), era, policy());
    match round % 5 {
        // While it is started.
        0 => tokio::task::yield_now().await,
        // While there is a call.
        1 => {
            pid(&supervised).await;
            drop(supervised.client().await.expect("it is up").call("forever", &()).start());
        }
        // While it pauses.
        2 => {
            let _ = within(supervised.call("crash", &())).await;
            until_state(&supervised, supervise_support::is_backing_off).await;
        }
        // After the second start, with a subscription, and a client that is kept for a moment longer.
        3 => {
            let mut changes = within(supervised.listen(&everything(&["a:"]))).await.expect("it listens");
            let _ = within(supervised.call("crash", &())).await;
            assert_eq!(within(changes.next()).await.expect("again"), Some(SupervisedEvent::Reopened));
            let client = within(supervised.client()).await.expect("it is up");
            drop((supervised, changes));
            within(client.peer().closed()).await;
        }
        _ => {
            pid(&supervised).await;
            within(supervised.close()).await;
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test);
}

#[test]
fn nothing_is_left_of_servers_that_were_dropped_at_any_stage() {
    isolated("nothing_is_left_of_servers_that_were_dropped_at_any_stage", || {
        run(async {
            live(4).await;
            towpath_stdio::wait_for_children(Duration::from_secs(20));
            let baseline = Baseline::take().settling_within(Duration::from_secs(20));
            for round in 0..10 {
                live(round).await;
            }
            baseline.check().await;
        });
    });
}
