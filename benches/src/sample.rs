//! One sample, and its line of JSON.

use std::fmt;
use std::time::Duration;

use crate::Case;

/// What one run of one subject in one case gave.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) case: Case,
    pub(crate) subject: &'static str,
    /// The subject that ran in the same process in alternating slices, if one did.
    pub(crate) beside: Option<&'static str>,
    pub(crate) round: u32,
    pub(crate) figure: Figure,
    pub(crate) requests: u64,
    pub(crate) wrong: u64,
    /// CPU time of the whole window, client and server together.
    pub(crate) cpu: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    RequestsPerSecond(f64),
    MedianMicros(f64),
    MegabytesPerSecond(f64),
}

// Every name is a plain word of this crate: nothing here needs an escape.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"case":"{}","subject":"{}""#, self.case.name(), self.subject)?;
        if let Some(beside) = self.beside {
            write!(f, r#","beside":"{beside}""#)?;
        }
        write!(f, r#","round":{}"#, self.round)?;
        match self.figure {
            Figure::RequestsPerSecond(value) => write!(f, r#","req_per_s":{value:.1}"#)?,
            Figure::MedianMicros(value) => write!(f, r#","p50_us":{value:.3}"#)?,
            Figure::MegabytesPerSecond(value) => write!(f, r#","mb_per_s":{value:.2}"#)?,
        }
        if let Some(cpu) = self.cpu.filter(|_| self.requests > 0) {
            write!(f, r#","cpu_us_per_req":{:.3}"#, cpu.as_secs_f64() * 1e6 / self.requests as f64)?;
        }
        write!(f, r#","requests":{},"wrong":{}}}"#, self.requests, self.wrong)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Figure, Sample};
    use crate::Case;

    #[test]
    fn a_sample_is_one_line_of_json_with_cpu_per_request() {
        let sample = Sample {
            case: Case::PipesLatency,
            subject: "towpath",
            beside: Some("floor"),
            round: 3,
            figure: Figure::MedianMicros(80.25),
            requests: 4,
            wrong: 1,
            cpu: Some(Duration::from_micros(10)),
        };
        assert_eq!(
            sample.to_string(),
            r#"{"case":"pipes-latency","subject":"towpath","beside":"floor","round":3,"p50_us":80.250,"cpu_us_per_req":2.500,"requests":4,"wrong":1}"#
        );
    }
}
