use super::*;
use crate::memory_pair_uneven;

#[tokio::test]
async fn a_pair_in_memory_keeps_the_contract() {
    run(async |setup: Setup| memory_pair_uneven(setup.left, setup.right, setup.timeouts)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_in_memory_keeps_the_contract_on_many_threads() {
    run(async |setup: Setup| memory_pair_uneven(setup.left, setup.right, setup.timeouts)).await;
}

/// Each check fails on a lane that breaks its promise: a suite that passes everything proves nothing.
mod controls {
    use std::{
        io::ErrorKind,
        panic::{AssertUnwindSafe, catch_unwind},
    };

    use super::*;
    use crate::{Cut, FaultLane, FaultPlan, Faults, MemoryLane};

    fn caught(name: &str, check: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let passed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(check)));
        let panic = passed.expect_err(name);
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(!text.starts_with("hung"), "{name} was only found by its deadline: {text}");
    }

    /// A pair whose right end receives with these faults.
    fn receiving(faults: Faults) -> impl AsyncFn(Setup) -> (MemoryLane, FaultLane<MemoryLane>) {
        async move |setup: Setup| {
            let (left, right) = memory_pair_uneven(setup.left, setup.right, setup.timeouts);
            (left, FaultPlan::new(1).inbound(faults.clone()).wrap(right))
        }
    }

    /// A pair whose left end has these faults, and its sink limits of its own.
    fn left(plan: FaultPlan) -> impl AsyncFn(Setup) -> (FaultLane<MemoryLane>, MemoryLane) {
        async move |setup: Setup| {
            let (left, right) = memory_pair_uneven(LaneLimits::default(), setup.right, setup.timeouts);
            (plan.wrap(left), right)
        }
    }

    #[test]
    fn frames_that_do_not_pass_are_found() {
        let short = |frame| receiving(Faults::none().truncate(frame));
        caught("sizes", every_size_passes_whole(&short(3), 1 << 10));
        caught("an empty frame", an_empty_frame_harms_no_neighbour(&short(2)));
        caught("segments", segments_arrive_joined(&short(4)));
        caught("order", order_is_kept(&short(4_999)));
        caught("a dropped receive", a_dropped_receive_loses_nothing(&short(9)));
        caught("a dropped send", a_dropped_send_tears_no_frame(&short(0)));
        let silent = receiving(Faults::none().cut(9, Cut::End));
        caught("a receive that waits", a_receive_that_waits_blocks_no_send(&silent));
    }

    #[test]
    fn limits_that_are_ignored_are_found() {
        caught("oversize out", an_oversize_message_out_is_refused_alone(&left(FaultPlan::new(1))));
        let deaf = async |setup: Setup| memory_pair_uneven(setup.left.clone(), setup.left, setup.timeouts);
        caught("oversize in", an_oversize_message_in_is_rejected_alone(&deaf));
        let bottomless = async |setup: Setup| {
            let limits = setup.left.with_write_queue_bytes(usize::MAX).with_write_queue_frames(usize::MAX);
            memory_pair_uneven(limits, setup.right, setup.timeouts)
        };
        caught("never reads", a_peer_that_never_reads_ends_typed(&bottomless));
    }

    #[test]
    fn ends_that_are_not_told_apart_are_found() {
        let reset = Cut::Error(ErrorKind::ConnectionReset);
        let failing = receiving(Faults::none().cut(100, reset));
        caught("an end as an error", an_end_is_no_error_and_comes_after_what_was_sent(&failing));
        let torn = receiving(Faults::none().cut(99, Cut::MidFrame));
        caught("an end too early", an_end_is_no_error_and_comes_after_what_was_sent(&torn));
        let both = left(FaultPlan::new(1).inbound(Faults::none().cut(1, Cut::End)));
        caught("half-close ends both", half_closed_the_other_half_lives(&both));
        let io = left(FaultPlan::new(1).outbound(Faults::none().cut(0, reset)));
        caught("gone as an I/O error", a_peer_that_is_gone_is_closed_not_an_io_error(&io));
    }
}
