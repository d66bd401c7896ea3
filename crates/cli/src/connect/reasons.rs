//! Why exchanges with a server fail, for whoever operates the bridge: once for each reason.

use std::collections::VecDeque;

use towpath::raw::{ExchangeError, Frame, Inbound, Level, Mutex, Route};

use crate::{
    exit::{Failure, Status},
    explain::exchange_hint,
    watch::Watch,
};

/// Looks at a lane of HTTP exchanges, and says on stderr why one has failed.
pub(super) struct Reasons(Mutex<State>);

#[derive(Default)]
struct State {
    /// What was said last, oldest first.
    said: VecDeque<String>,
    /// The exchange that asks what the server speaks: a legacy one may refuse it, and that is no news.
    question: Option<Route>,
}

impl Reasons {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Level::Handler, "Reasons::0", State::default()))
    }

    /// What is to be said about a failure, if it is news.
    fn news(&self, route: Route, error: &ExchangeError) -> Option<Failure> {
        let mut state = self.0.lock();
        if state.question == Some(route) && is_ignorance(error) {
            return None;
        }
        let cause = error.to_string();
        if state.said.contains(&cause) {
            return None;
        }
        if state.said.len() == REMEMBERED {
            state.said.pop_front();
        }
        state.said.push_back(cause.clone());
        Some(Failure::new(Status::Lost, cause).with_hint(exchange_hint(error)))
    }
}

impl Watch for Reasons {
    fn came(&self, inbound: &Inbound) {
        if let Inbound::Failed { route, error } = inbound
            && let Some(failure) = self.news(*route, error)
        {
            failure.warn();
        }
    }

    fn goes(&self, frame: &Frame) {
        if asks(frame) {
            self.0.lock().question = Some(frame.route());
        }
    }
}

/// Whether it may just be that the server does not know the question.
fn is_ignorance(error: &ExchangeError) -> bool {
    matches!(error, ExchangeError::Refused { status: 400 | 404..=406 | 415 | 422, .. })
}

/// Whether a request asks what the server speaks: its method stands at its beginning.
fn asks(frame: &Frame) -> bool {
    const QUESTION: &[u8] = br#""method":"server/discover""#;
    let [head, body, _] = frame.segments();
    [head, body].into_iter().any(|segment| {
        let beginning = segment.get(..segment.len().min(BEGINNING_BYTES)).unwrap_or_default();
        beginning.windows(QUESTION.len()).any(|window| window == QUESTION)
    })
}

const REMEMBERED: usize = 16;
const BEGINNING_BYTES: usize = 160;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn refused(status: u16) -> ExchangeError {
        ExchangeError::Refused { peer: "http://a/".into(), status, body: "".into(), retry_after: None }
    }

    #[test]
    fn a_reason_is_said_once_and_a_question_that_is_not_known_never() {
        let reasons = Reasons::new();
        assert!(reasons.news(Route::new(1), &refused(401)).is_some());
        assert!(reasons.news(Route::new(2), &refused(401)).is_none());
        let frame =
            Frame::from(Bytes::from_static(br#"{"jsonrpc":"2.0","id":2,"method":"server/discover"}"#));
        reasons.goes(&frame.on(Route::new(3)));
        assert!(reasons.news(Route::new(3), &refused(400)).is_none());
        assert!(reasons.news(Route::new(4), &refused(400)).is_some());
        assert!(reasons.news(Route::new(3), &refused(500)).is_some());
    }

    #[test]
    fn what_was_said_is_remembered_within_bounds() {
        let reasons = Reasons::new();
        for status in 500..600 {
            assert!(reasons.news(Route::LANE, &refused(status)).is_some());
        }
        assert_eq!(reasons.0.lock().said.len(), REMEMBERED);
    }
}
