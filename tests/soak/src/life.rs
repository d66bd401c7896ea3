//! The life of one child: how it is started, what is asked of it, and how it ends.

use std::time::Duration;

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use towpath::{Preference, client::ConnectError};

use crate::{
    client::{Caller, Wrong, all_closed, connect, spawn, tells_of_death},
    count::Counts,
};

/// How a child is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Plain,
    Background,
    Foreground,
    Stubborn,
    Flooding,
    Mute,
}

/// How its life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    DroppedIdle,
    DroppedInCall,
    DroppedInHandshake,
    HandshakeTimeout,
    KilledInCall,
    KilledInHandshake,
    DiedInCall,
    RuntimeGone,
}

/// One of the lives.
pub(crate) type Life = (Start, End);

/// Each of them once.
pub(crate) fn all() -> Vec<Life> {
    let starts = [Start::Plain, Start::Background, Start::Foreground, Start::Stubborn, Start::Flooding];
    let ends = [
        End::Closed,
        End::DroppedIdle,
        End::DroppedInCall,
        End::DroppedInHandshake,
        End::KilledInCall,
        End::DiedInCall,
        End::RuntimeGone,
    ];
    let mute = [End::DroppedInHandshake, End::HandshakeTimeout, End::KilledInHandshake];
    let answering = starts.into_iter().flat_map(|start| ends.map(|end| (start, end)));
    answering.chain(mute.map(|end| (Start::Mute, end))).collect()
}

/// Lives one, on this runtime or on one of its own.
pub(crate) fn live(life: Life, runtime: &Runtime, rng: &mut Rng, counts: &Counts) -> Result<(), Wrong> {
    if life.1 == End::RuntimeGone {
        return outlive(life.0, rng, counts);
    }
    let lived = runtime.block_on(async { timeout(HANGING, lived(life, rng, counts)).await });
    lived.unwrap_or_else(|_| Err(format!("it hangs: not done after {HANGING:?}")))
}

async fn lived((start, end): Life, rng: &mut Rng, counts: &Counts) -> Result<(), Wrong> {
    let preference = era(rng);
    let lane = spawn(start, &program()?, counts)?;
    let pid = lane.handle().pid();
    match end {
        End::DroppedInHandshake => {
            let patience = Duration::from_micros(rng.u64(..4000));
            match timeout(patience, connect(lane, preference, HANGING)).await {
                // It was faster.
                Ok(connected) => drop(connected.map_err(|error| error.to_string())?),
                Err(_) => counts.dropped_in_the_handshake.add(1),
            }
            return Ok(());
        }
        End::HandshakeTimeout => {
            return match connect(lane, preference, Duration::from_millis(50)).await {
                Err(ConnectError::Timeout { .. }) => {
                    counts.handshake_timeouts.add(1);
                    Ok(())
                }
                other => Err(format!("no handshake is done with a mute server: {other:?}")),
            };
        }
        End::KilledInHandshake => {
            let killed = async {
                tokio::task::yield_now().await;
                kill(pid)
            };
            let (connected, killed) = tokio::join!(connect(lane, preference, HANGING), killed);
            killed?;
            counts.killed_in_the_handshake.add(1);
            return match connected {
                Err(ConnectError::Lost(_)) => {
                    counts.handshakes_lost.add(1);
                    Ok(())
                }
                other => Err(format!("no handshake is done with a dead server: {other:?}")),
            };
        }
        _ => {}
    }
    let client = connect(lane, preference, HANGING).await.map_err(|error| error.to_string())?;
    let caller = Caller::new(client, preference, counts);
    let mut sizes: Vec<usize> = (0..rng.usize(1..6)).map(|_| rng.usize(..200)).collect();
    if rng.u8(..4) == 0 {
        sizes.push(100_000);
    }
    caller.echoes(&sizes).await?;
    match end {
        End::Closed => {
            let calls = caller.slow(rng.usize(1..4)).await?;
            counts.dropped_calls.add(calls.len());
            drop(calls);
            caller.refused().await?;
            caller.too_long().await?;
            caller.echoes(&sizes).await?;
            caller.client.close().await;
            counts.closed.add(1);
        }
        End::DroppedIdle => counts.dropped_idle.add(1),
        End::DroppedInCall => {
            let mut calls = caller.slow(rng.usize(2..6)).await?;
            let dropped = calls.split_off(calls.len() / 2);
            counts.dropped_calls.add(dropped.len());
            // In either order.
            let dropped = if rng.bool() { None } else { Some(dropped) };
            drop(caller);
            drop(dropped);
            all_closed(calls, counts).await?;
            counts.dropped_in_a_call.add(1);
        }
        End::KilledInCall => {
            let calls = caller.slow(rng.usize(1..4)).await?;
            kill(pid)?;
            all_closed(calls, counts).await?;
            counts.killed_in_a_call.add(1);
        }
        End::DiedInCall => {
            let mut calls = caller.slow(rng.usize(0..3)).await?;
            calls.push(caller.call("die", json!({})));
            let end = all_closed(calls, counts).await?;
            // A shell in between has a status of its own.
            if !matches!(start, Start::Background | Start::Foreground) {
                tells_of_death(end)?;
            }
            counts.died_in_a_call.add(1);
        }
        End::DroppedInHandshake | End::HandshakeTimeout | End::KilledInHandshake | End::RuntimeGone => {}
    }
    Ok(())
}

/// The runtime is dropped before the client and its calls.
fn outlive(start: Start, rng: &mut Rng, counts: &Counts) -> Result<(), Wrong> {
    let own = runtime()?;
    let preference = era(rng);
    let begun = async {
        let lane = spawn(start, &program()?, counts)?;
        let client = connect(lane, preference, HANGING).await.map_err(|error| error.to_string())?;
        let caller = Caller::new(client, preference, counts);
        let calls = caller.slow(rng.usize(1..4)).await?;
        Ok::<_, Wrong>((caller, calls))
    };
    let begun = own.block_on(async { timeout(HANGING, begun).await });
    let (caller, calls) = begun.map_err(|_| format!("it hangs: not begun after {HANGING:?}"))??;
    drop(own);
    drop(caller);
    let ended = runtime()?.block_on(async { timeout(HANGING, all_closed(calls, counts)).await });
    ended.map_err(|_| format!("it hangs: calls not ended after {HANGING:?}"))??;
    counts.outlived_their_runtime.add(1);
    Ok(())
}

pub(crate) fn runtime() -> Result<Runtime, Wrong> {
    Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))
}

fn era(rng: &mut Rng) -> Preference {
    if rng.bool() { Preference::LegacyOnly } else { Preference::ModernOnly }
}

pub(crate) fn program() -> Result<String, Wrong> {
    let path = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    path.into_os_string().into_string().map_err(|path| format!("not UTF-8: {}", path.display()))
}

fn kill(pid: u32) -> Result<(), Wrong> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("no process id")?;
    kill_process(pid, Signal::KILL).map_err(|error| format!("a child cannot be killed: {error}"))
}

/// Nothing takes so long that it would be done after that, on a busy machine either.
const HANGING: Duration = Duration::from_secs(60);
