//! Finding out which era a server speaks.

use std::fmt;
use std::time::{Duration, Instant};

use towpath_jsonrpc::{ErrorObject, RawJson};

use crate::advertised::{Listed, Versions};
use crate::code;
use crate::fault::list;
use crate::revision::{Era, Revision};

/// How long a probe may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTimeouts {
    /// From sending `server/discover` to its answer; default 5 s. When it has passed, the server counts as
    /// legacy. Worst case: a legacy server that stays silent about requests before `initialize` delays its
    /// connection by this long, once; `Preference::LegacyOnly` spares it that. A modern server slower than this
    /// is taken for a legacy one.
    pub discover: Duration,
}

impl Default for ProbeTimeouts {
    fn default() -> Self {
        ProbeTimeouts { discover: Duration::from_secs(5) }
    }
}

/// Which eras a client is willing to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preference {
    /// Modern where the server can, else legacy.
    #[default]
    Auto,
    /// Modern, or an error that says what to change.
    ModernOnly,
    /// Legacy, without a probe.
    LegacyOnly,
}

/// Finds out which era a server speaks, on a lane or over HTTP.
///
/// ```text
///               ┌─ DiscoverResult, −32022 with versions, −32020, −32021 ──▶ modern (or the legacy one it names)
/// Discovering ──┤
///               └─ any other answer, or none in time ────────────────────▶ legacy: initialize
/// ```
///
/// The fallback hangs on no single code: servers from before `server/discover` answer it as they like. −32022
/// counts as modern only with the list of versions that belongs to it. An answer that comes after the fallback
/// is ignored. What was found holds for the lifetime of the server's process.
#[derive(Debug)]
pub struct Probe {
    state: State,
    preference: Preference,
    supported: Vec<Revision>,
    timeouts: ProbeTimeouts,
}

#[derive(Debug)]
enum State {
    /// `server/discover` is to be sent, or was.
    Discovering {
        revision: Revision,
        deadline: Instant,
        sent: bool,
    },
    /// The handshake is to be begun.
    Fallback(LegacyReason),
    Detected(Detected),
    Done,
}

/// What the driver of a [`Probe`] has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeAction {
    /// Send `server/discover` under this revision.
    SendDiscover {
        /// The revision for its `_meta`.
        revision: Revision,
    },
    /// Begin the legacy handshake ([`Handshake`](crate::Handshake)); `Done` follows at once.
    SendInitialize,
    /// The probe is over.
    Done(Detected),
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq)]
pub enum Detected {
    /// A modern server.
    Modern {
        /// The newest revision that both sides speak.
        revision: Revision,
        /// The result of `server/discover`, when that is what it answered.
        discovered: Option<RawJson>,
    },
    /// A legacy server, or one that is to be spoken to as one.
    Legacy(LegacyReason),
    /// The two sides have nothing in common.
    Incompatible(Incompatible),
}

/// Why a server counts as legacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LegacyReason {
    /// It was not asked.
    NotProbed,
    /// It answered `server/discover` with an error of this code, which no modern server would.
    Error(i64),
    /// It refused `server/discover` with this HTTP status, and no error of JSON-RPC.
    HttpStatus(u16),
    /// It answered `server/discover` with something that is no result of it.
    NoDiscoverResult,
    /// It did not answer in time.
    Silent,
    /// It is modern, but the only revision in common has a handshake.
    Advertised,
}

/// The two sides have nothing in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Incompatible {
    /// What the server said that it speaks, as far as it said anything.
    pub server: Vec<String>,
    /// What this client speaks.
    pub client: Vec<Revision>,
    /// Whether the client was told not to fall back.
    pub modern_only: bool,
}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = list(&self.client);
        if self.server.is_empty() {
            write!(f, "the server speaks no revision from 2026-07-28 on; this client is set to {client}")?;
        } else {
            write!(f, "the server speaks {}; this client is set to {client}", self.server.join(", "))?;
        }
        if self.modern_only {
            write!(f, ". Set `Preference::Auto` to fall back to `initialize`, or update the server")
        } else {
            write!(f, ". Add one of the server's revisions to the supported ones, or update the server")
        }
    }
}

impl Probe {
    /// Begins a probe at `now`. `supported` is what the client speaks; an era that is not in it is not tried,
    /// whatever the preference.
    #[must_use]
    pub fn new(
        now: Instant,
        preference: Preference,
        supported: Vec<Revision>,
        timeouts: ProbeTimeouts,
    ) -> Probe {
        let modern =
            Revision::latest_in(Era::Modern, &supported).filter(|_| preference != Preference::LegacyOnly);
        let mut probe = Probe { state: State::Done, preference, supported, timeouts };
        probe.state = match modern {
            Some(revision) => {
                State::Discovering { revision, deadline: now + probe.timeouts.discover, sent: false }
            }
            None => probe.fall_back(LegacyReason::NotProbed, Vec::new()),
        };
        probe
    }

    /// Takes the answer to `server/discover`. One that comes after the end is ignored.
    pub fn handle_answer(&mut self, answer: Result<RawJson, ErrorObject>) {
        let State::Discovering { revision, .. } = self.state else { return };
        self.state = match answer {
            Ok(result) => match result.deserialize::<Versions>() {
                Ok(Versions { supported_versions: Some(listed), .. }) => self.choose(&listed, Some(result)),
                _ => self.fall_back(LegacyReason::NoDiscoverResult, Vec::new()),
            },
            Err(error) if error.code == code::UNSUPPORTED_VERSION => {
                match error.data.as_ref().map(RawJson::deserialize::<Versions>) {
                    Some(Ok(Versions { supported: Some(listed), .. })) => self.choose(&listed, None),
                    _ => self.fall_back(LegacyReason::Error(error.code), Vec::new()),
                }
            }
            Err(error) if code::is_modern(error.code) => {
                State::Detected(Detected::Modern { revision, discovered: None })
            }
            Err(error) => self.fall_back(LegacyReason::Error(error.code), Vec::new()),
        };
    }

    /// Takes the refusal of `server/discover` by a server over HTTP: the status and, where the body had one, the
    /// JSON-RPC error. One that comes after the end is ignored.
    ///
    /// Returns whether it says anything about the era. A status that is about something else (who asks, how much, a
    /// server or a proxy that is out of order: 401, 403, 429, 5xx and the like) says nothing, unless there is an
    /// error with it that only a modern server sends. The probe then goes on as if nothing had come, and the refusal
    /// is the caller's to report, or to send the request again.
    #[must_use = "where it is false, the refusal has to be reported"]
    pub fn handle_http_refusal(&mut self, status: u16, error: Option<ErrorObject>) -> bool {
        if !error.as_ref().is_some_and(|error| code::is_modern(error.code)) && !tells_the_era(status) {
            return false;
        }
        match error {
            Some(error) => self.handle_answer(Err(error)),
            None if matches!(self.state, State::Discovering { .. }) => {
                self.state = self.fall_back(LegacyReason::HttpStatus(status), Vec::new());
            }
            None => {}
        }
        true
    }

    /// Notes that time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::Discovering { deadline, .. } = self.state
            && now >= deadline
        {
            self.state = self.fall_back(LegacyReason::Silent, Vec::new());
        }
    }

    /// When to call [`Probe::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Discovering { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// The next thing to do. Call until `None`.
    pub fn poll_action(&mut self) -> Option<ProbeAction> {
        if let State::Discovering { revision, sent, .. } = &mut self.state {
            return (!std::mem::replace(sent, true))
                .then_some(ProbeAction::SendDiscover { revision: *revision });
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Fallback(reason) => {
                self.state = State::Detected(Detected::Legacy(reason));
                Some(ProbeAction::SendInitialize)
            }
            State::Detected(detected) => Some(ProbeAction::Done(detected)),
            State::Discovering { .. } | State::Done => None,
        }
    }

    /// A modern server said what it speaks.
    fn choose(&self, listed: &Listed, discovered: Option<RawJson>) -> State {
        let mutual: Vec<Revision> =
            self.supported.iter().copied().filter(|revision| listed.known.contains(revision)).collect();
        if let Some(revision) = Revision::latest_in(Era::Modern, &mutual) {
            return State::Detected(Detected::Modern { revision, discovered });
        }
        if Revision::latest_in(Era::Legacy, &mutual).is_some() {
            return self.fall_back(LegacyReason::Advertised, listed.shown.clone());
        }
        State::Detected(Detected::Incompatible(self.incompatible(listed.shown.clone())))
    }

    /// Legacy, unless the client does not speak it.
    fn fall_back(&self, reason: LegacyReason, server: Vec<String>) -> State {
        let speaks_legacy = Revision::latest_in(Era::Legacy, &self.supported).is_some();
        if speaks_legacy && self.preference != Preference::ModernOnly {
            State::Fallback(reason)
        } else {
            State::Detected(Detected::Incompatible(self.incompatible(server)))
        }
    }

    fn incompatible(&self, server: Vec<String>) -> Incompatible {
        let modern_only = self.preference == Preference::ModernOnly;
        let client = self.supported.iter().copied();
        Incompatible {
            server,
            client: client.filter(|revision| !modern_only || revision.era() == Era::Modern).collect(),
            modern_only,
        }
    }
}

/// Whether a server refuses with this status what it does not know.
fn tells_the_era(status: u16) -> bool {
    const ABOUT_SOMETHING_ELSE: [u16; 9] = [401, 402, 403, 407, 408, 421, 425, 429, 451];
    (200..300).contains(&status) || ((400..500).contains(&status) && !ABOUT_SOMETHING_ELSE.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advertised::MAX_SHOWN;
    use crate::testing::raw;
    use Revision::{V2025_06_18, V2025_11_25, V2026_07_28};

    fn probe(preference: Preference, supported: &[Revision]) -> Probe {
        Probe::new(Instant::now(), preference, supported.to_vec(), ProbeTimeouts::default())
    }

    fn rest(probe: &mut Probe) -> Vec<ProbeAction> {
        std::iter::from_fn(|| probe.poll_action()).collect()
    }

    fn modern(discovered: Option<RawJson>) -> Vec<ProbeAction> {
        vec![ProbeAction::Done(Detected::Modern { revision: V2026_07_28, discovered })]
    }

    fn legacy(reason: LegacyReason) -> Vec<ProbeAction> {
        vec![ProbeAction::SendInitialize, ProbeAction::Done(Detected::Legacy(reason))]
    }

    fn error(code: i64, data: Option<&str>) -> Result<RawJson, ErrorObject> {
        let error = ErrorObject::new(code, "x");
        Err(match data {
            Some(data) => error.with_data(raw(data)),
            None => error,
        })
    }

    #[test]
    fn every_answer_to_the_probe_says_which_era_the_server_speaks() {
        let both = r#"{"supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{}}"#;
        let future = r#"{"supportedVersions":["2099-01-01","2026-07-28"]}"#;
        let table = [
            (Ok(raw(both)), modern(Some(raw(both)))),
            (Ok(raw(future)), modern(Some(raw(future)))),
            (Ok(raw(r#"{"supportedVersions":["2025-11-25"]}"#)), legacy(LegacyReason::Advertised)),
            (Ok(raw("{}")), legacy(LegacyReason::NoDiscoverResult)),
            (Ok(raw("[]")), legacy(LegacyReason::NoDiscoverResult)),
            (Ok(raw(r#"{"supportedVersions":"2026-07-28"}"#)), legacy(LegacyReason::NoDiscoverResult)),
            (error(-32022, Some(r#"{"supported":["2026-07-28"],"requested":"x"}"#)), modern(None)),
            (error(-32022, Some(r#"{"supported":["2025-06-18"]}"#)), legacy(LegacyReason::Advertised)),
            (error(-32022, None), legacy(LegacyReason::Error(-32022))),
            (error(-32022, Some(r#"{"supported":7}"#)), legacy(LegacyReason::Error(-32022))),
            (error(-32020, None), modern(None)),
            (error(-32021, Some("{}")), modern(None)),
            (error(-32601, None), legacy(LegacyReason::Error(-32601))),
            (error(-32602, Some(r#"{"supported":["2024-11-05"]}"#)), legacy(LegacyReason::Error(-32602))),
            (error(-32600, None), legacy(LegacyReason::Error(-32600))),
            (error(-32000, None), legacy(LegacyReason::Error(-32000))),
            (error(0, None), legacy(LegacyReason::Error(0))),
        ];
        for (answer, expected) in table {
            let mut probe = probe(Preference::Auto, &Revision::ALL);
            assert_eq!(rest(&mut probe), [ProbeAction::SendDiscover { revision: V2026_07_28 }]);
            probe.handle_answer(answer.clone());
            assert_eq!(rest(&mut probe), expected, "{answer:?}");
            assert_eq!(probe.poll_timeout(), None);
        }
    }

    #[test]
    fn a_refusal_over_http_says_which_era_or_nothing() {
        let own = |code| Some(ErrorObject::new(code, "x"));
        let listed = ErrorObject::new(-32022, "x").with_data(raw(r#"{"supported":["2026-07-28"]}"#));
        let status = |status| Some(legacy(LegacyReason::HttpStatus(status)));
        let code = |code| Some(legacy(LegacyReason::Error(code)));
        // The status, the error in the body, what follows; nothing follows where the status is about something else.
        let table = [
            (400, None, status(400)),
            (404, None, status(404)),
            (405, None, status(405)),
            (406, None, status(406)),
            (409, None, status(409)),
            (410, None, status(410)),
            (415, None, status(415)),
            (422, None, status(422)),
            (200, None, status(200)),
            (202, None, status(202)),
            (400, own(-32600), code(-32600)),
            (404, own(-32601), code(-32601)),
            (400, own(-32000), code(-32000)),
            (400, own(-32022), code(-32022)),
            (400, own(-32020), Some(modern(None))),
            (400, own(-32021), Some(modern(None))),
            (400, Some(listed.clone()), Some(modern(None))),
            (500, Some(listed), Some(modern(None))),
            (302, None, None),
            (401, None, None),
            (401, own(-32001), None),
            (402, None, None),
            (403, own(-32600), None),
            (407, None, None),
            (408, None, None),
            (421, None, None),
            (425, None, None),
            (429, own(-32600), None),
            (451, None, None),
            (500, None, None),
            (501, own(-32601), None),
            (503, own(-32603), None),
            (599, None, None),
            (600, None, None),
        ];
        for (status, error, expected) in table {
            let mut probe = probe(Preference::Auto, &Revision::ALL);
            probe.poll_action();
            let told = probe.handle_http_refusal(status, error.clone());
            assert_eq!(told, expected.is_some(), "{status} {error:?}");
            assert_eq!(probe.poll_timeout().is_none(), told, "{status} {error:?}");
            assert_eq!(rest(&mut probe), expected.unwrap_or_default(), "{status} {error:?}");
            // One that comes late changes nothing.
            assert!(probe.handle_http_refusal(404, None));
            if told {
                assert_eq!(rest(&mut probe), [], "{status} {error:?}");
            }
        }
    }

    #[test]
    fn a_client_of_one_era_gets_an_error_that_says_what_to_change() {
        let only_modern = [V2026_07_28];
        let modern_legacy = [V2026_07_28, V2025_11_25];
        let old = |name: &str| Ok(raw(&format!("{{\"supportedVersions\":[\"{name}\"]}}")));
        let table = [
            (Preference::ModernOnly, &modern_legacy[..], error(-32601, None), vec![], "`Preference::Auto`"),
            (
                Preference::ModernOnly,
                &modern_legacy,
                old("2025-11-25"),
                vec!["2025-11-25"],
                "`Preference::Auto`",
            ),
            (Preference::Auto, &only_modern, error(-32601, None), vec![], "the supported ones"),
            (Preference::Auto, &only_modern, old("2025-11-25"), vec!["2025-11-25"], "the supported ones"),
            (Preference::Auto, &modern_legacy, old("2099-01-01"), vec!["2099-01-01"], "the supported ones"),
            (
                Preference::Auto,
                &modern_legacy,
                error(-32022, Some(r#"{"supported":["2025-06-18"]}"#)),
                vec!["2025-06-18"],
                "the supported ones",
            ),
        ];
        for (preference, supported, answer, server, advice) in table {
            let mut probe = probe(preference, supported);
            probe.poll_action();
            probe.handle_answer(answer);
            let actions = rest(&mut probe);
            let [ProbeAction::Done(Detected::Incompatible(incompatible))] = actions.as_slice() else {
                panic!("{preference:?} {supported:?}: {actions:?}");
            };
            assert_eq!(incompatible.server, server);
            let text = incompatible.to_string();
            assert!(text.contains(advice) && text.contains("2026-07-28"), "{text}");
        }
    }

    #[test]
    fn without_a_modern_revision_to_try_there_is_no_probe() {
        for (preference, supported) in
            [(Preference::LegacyOnly, &Revision::ALL[..]), (Preference::Auto, &[V2025_06_18])]
        {
            let mut probe = probe(preference, supported);
            assert_eq!(probe.poll_timeout(), None);
            assert_eq!(rest(&mut probe), legacy(LegacyReason::NotProbed));
        }
        for (preference, supported) in
            [(Preference::LegacyOnly, &[V2026_07_28][..]), (Preference::ModernOnly, &[V2025_06_18])]
        {
            let actions = rest(&mut probe(preference, supported));
            assert!(
                matches!(actions.as_slice(), [ProbeAction::Done(Detected::Incompatible(_))]),
                "{actions:?}"
            );
        }
    }

    #[test]
    fn a_server_that_is_silent_until_the_discover_timeout_is_legacy_and_stays_so() {
        let now = Instant::now();
        let discover = Duration::from_secs(2);
        let timeouts = ProbeTimeouts { discover };
        let mut probe = Probe::new(now, Preference::Auto, Revision::ALL.to_vec(), timeouts);
        probe.poll_action();
        assert_eq!(probe.poll_timeout(), Some(now + discover));
        probe.handle_timeout(now + discover - Duration::from_nanos(1));
        assert_eq!(probe.poll_action(), None);
        probe.handle_timeout(now + discover);
        probe.handle_answer(Ok(raw(r#"{"supportedVersions":["2026-07-28"]}"#)));
        assert_eq!(rest(&mut probe), legacy(LegacyReason::Silent));
        probe.handle_answer(Ok(raw(r#"{"supportedVersions":["2026-07-28"]}"#)));
        probe.handle_timeout(now + discover * 2);
        assert_eq!(rest(&mut probe), []);
    }

    #[test]
    fn a_server_cannot_grow_the_error_with_its_list() {
        let names = vec![format!("\"{}\"", "v".repeat(5000)); 500].join(",");
        let mut probe = probe(Preference::Auto, &Revision::ALL);
        probe.poll_action();
        probe.handle_answer(Ok(raw(&format!("{{\"supportedVersions\":[{names}]}}"))));
        let actions = rest(&mut probe);
        let [ProbeAction::Done(Detected::Incompatible(incompatible))] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        assert_eq!(incompatible.server.len(), MAX_SHOWN);
        assert!(incompatible.to_string().len() < 8192);
    }
}
