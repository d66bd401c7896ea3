//! The three ways to measure, each the same for every subject.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::case::Kind;
use crate::cpu::{self, Meter};
use crate::sample::{Figure, Sample};
use crate::{Case, Entry, Failure, Load, Texts};

/// Calls of one subject before it is the other's turn, when two are compared in one process.
const SLICE: usize = 100;

/// How long a finished load may take to return: its callers only have to take the answer they wait for.
const END_GRACE: Duration = Duration::from_secs(10);

/// How a sample is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) case: Case,
    pub(crate) round: u32,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// Takes the samples of one process: one, or two where another subject runs beside the first.
pub(crate) fn samples(
    runtime: &Runtime,
    plan: Plan,
    entry: &Entry,
    beside: Option<&Entry>,
) -> Result<Vec<Sample>, Failure> {
    match (plan.case.kind(), beside) {
        (Kind::Rate, None) => Ok(vec![rate(runtime, plan, entry)?]),
        (Kind::Bulk, None) => Ok(vec![bulk(runtime, plan, entry)?]),
        (Kind::Latency, beside) => latency(runtime, plan, entry, beside),
        (_, Some(_)) => Err("only latency is measured with two subjects in one process".into()),
    }
}

/// Finished requests per second. The clock is read outside the runtime, which has enough to do.
fn rate(runtime: &Runtime, plan: Plan, entry: &Entry) -> Result<Sample, Failure> {
    let load = Load::new(Texts::new(plan.case.text_bytes()), plan.case.in_flight());
    let others = cpu::children();
    let opening = runtime.spawn(entry.actions().open_load(plan.case.medium(), load.clone()));
    let running = runtime.spawn(runtime.block_on(opening)??);
    let meter = Meter::new(plan.case.counted(), &others);

    std::thread::sleep(plan.warm_up);
    let (start, right_before, cpu_before) = (Instant::now(), load.right(), meter.read());
    std::thread::sleep(plan.window);
    let (elapsed, right_after, cpu) = (start.elapsed(), load.right(), meter.since(cpu_before));

    // A load that ended by itself has failed, and says why.
    load.end();
    runtime.block_on(async { tokio::time::timeout(END_GRACE, running).await })???;

    let requests = right_after - right_before;
    Ok(Sample {
        case: plan.case,
        subject: entry.name(),
        beside: None,
        round: plan.round,
        figure: Figure::RequestsPerSecond(requests as f64 / elapsed.as_secs_f64()),
        requests,
        wrong: load.wrong(),
        cpu,
    })
}

/// Megabytes of text per second of calling; a text counts once, though it travels both ways.
fn bulk(runtime: &Runtime, plan: Plan, entry: &Entry) -> Result<Sample, Failure> {
    let texts = Texts::new(plan.case.text_bytes());
    let others = cpu::children();
    let opening = entry.actions().open_caller(plan.case.medium(), texts);
    let measuring = runtime.spawn(async move {
        let mut one = opening.await?;
        let meter = Meter::new(plan.case.counted(), &others);
        let mut times = Vec::new();
        let begin = Instant::now();
        let mut wrong = one.slice(1, &mut times).await?;
        while begin.elapsed() < plan.warm_up {
            wrong += one.slice(1, &mut times).await?;
        }
        times.clear();
        let (start, cpu_before) = (Instant::now(), meter.read());
        while start.elapsed() < plan.window {
            wrong += one.slice(1, &mut times).await?;
        }
        Ok::<_, Failure>((times, wrong, meter.since(cpu_before)))
    });
    let (times, wrong, cpu) = runtime.block_on(measuring)??;

    let bytes = times.len() * plan.case.text_bytes();
    let seconds = Duration::from_nanos(times.iter().sum()).as_secs_f64();
    Ok(Sample {
        case: plan.case,
        subject: entry.name(),
        beside: None,
        round: plan.round,
        figure: Figure::MegabytesPerSecond(bytes as f64 / 1e6 / seconds),
        requests: times.len() as u64,
        wrong,
        cpu,
    })
}

/// The median latency; of two subjects in alternating slices, so that both see the same noise.
fn latency(
    runtime: &Runtime,
    plan: Plan,
    entry: &Entry,
    beside: Option<&Entry>,
) -> Result<Vec<Sample>, Failure> {
    let texts = Texts::new(plan.case.text_bytes());
    let entries: Vec<&Entry> = [Some(entry), beside].into_iter().flatten().collect();
    let opening: Vec<_> =
        entries.iter().map(|entry| entry.actions().open_caller(plan.case.medium(), texts.clone())).collect();
    let measuring = runtime.spawn(async move {
        let mut subjects = Vec::new();
        for opening in opening {
            subjects.push((opening.await?, Vec::new(), 0));
        }
        for (length, keep) in [(plan.warm_up, false), (plan.window, true)] {
            let length = length * u32::try_from(subjects.len())?;
            let start = Instant::now();
            while start.elapsed() < length {
                for (one, times, wrong) in &mut subjects {
                    *wrong += one.slice(SLICE, times).await?;
                }
            }
            if !keep {
                subjects.iter_mut().for_each(|(_, times, _)| times.clear());
            }
        }
        Ok::<_, Failure>(subjects.into_iter().map(|(_, times, wrong)| (times, wrong)).collect::<Vec<_>>())
    });
    let measured = runtime.block_on(measuring)??;

    let samples = measured.into_iter().enumerate().map(|(number, (mut times, wrong))| {
        let other = 1 - number;
        Ok(Sample {
            case: plan.case,
            subject: entries[number].name(),
            beside: entries.get(other).map(|entry| entry.name()),
            round: plan.round,
            figure: Figure::MedianMicros(median(&mut times).ok_or("no call ended")? as f64 / 1e3),
            requests: times.len() as u64,
            wrong,
            cpu: None,
        })
    });
    samples.collect()
}

fn median(times: &mut [u64]) -> Option<u64> {
    let middle = times.len().checked_sub(1)? / 2;
    Some(*times.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Plan, median, samples};
    use crate::subject::{Answer, Caller, Connection, Subject};
    use crate::{Case, Entry, Failure, Medium, floor_entries};

    /// Answers every hundredth call with another text.
    struct Liar;

    struct LyingCaller(u64);

    impl Subject for Liar {
        const NAME: &'static str = "liar";
        type Caller = LyingCaller;

        async fn connect(_: Medium, callers: usize) -> Result<Connection<LyingCaller>, Failure> {
            let callers = (0..callers as u64).map(LyingCaller).collect();
            Ok(Connection { callers, owner: Box::new(()) })
        }

        async fn serve() -> Result<(), Failure> {
            Ok(())
        }
    }

    impl Caller for LyingCaller {
        async fn call(&mut self, text: &str) -> Result<Answer, Failure> {
            tokio::task::yield_now().await;
            self.0 += 1;
            let came_back = if self.0.is_multiple_of(100) { "something else" } else { text };
            Ok(Answer::check(came_back.as_bytes(), text))
        }
    }

    fn plan(case: Case) -> Plan {
        Plan { case, round: 0, warm_up: Duration::ZERO, window: Duration::from_millis(30) }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    }

    #[test]
    fn wrong_answers_are_counted_in_every_way_of_measuring() {
        let runtime = runtime();
        for case in [Case::MemoryRate, Case::MemoryLatency, Case::PipesBulk] {
            let taken = samples(&runtime, plan(case), &Entry::new::<Liar>(), None).unwrap();
            assert!(taken[0].requests > 0, "{taken:?}");
            assert!(taken[0].wrong > 0, "{taken:?}");
        }
    }

    #[test]
    fn two_subjects_in_one_process_each_give_a_sample() {
        let runtime = runtime();
        let taken =
            samples(&runtime, plan(Case::MemoryLatency), &Entry::new::<Liar>(), Some(&floor_entries()[0]))
                .unwrap();
        let names: Vec<_> = taken.iter().map(|sample| (sample.subject, sample.beside)).collect();
        assert_eq!(names, [("liar", Some("floor")), ("floor", Some("liar"))]);
        assert_eq!(taken[1].wrong, 0);
        assert_eq!(taken[0].requests, taken[1].requests);
    }

    #[test]
    fn every_subject_answers_in_memory_without_a_wrong_answer() {
        let runtime = runtime();
        for entry in crate::entries().iter().filter(|entry| entry.cases().contains(&Case::MemoryRate)) {
            let taken = samples(&runtime, plan(Case::MemoryRate), entry, None).unwrap();
            assert!(taken[0].requests > 0, "{taken:?}");
            assert_eq!(taken[0].wrong, 0, "{taken:?}");
        }
    }

    #[test]
    fn the_median_is_the_middle_of_the_sorted_times() {
        assert_eq!(median(&mut [9, 1, 5]), Some(5));
        assert_eq!(median(&mut [4, 1, 3, 2]), Some(2));
        assert_eq!(median(&mut []), None);
    }
}
