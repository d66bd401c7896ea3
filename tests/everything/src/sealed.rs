//! `requestState` that a client cannot change (2026-07-28, basic/patterns/mrtr).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use towpath::ErrorObject;

use crate::answer::invalid;

/// The key of this process. Several processes behind one address would have to share it.
pub(crate) struct Seal {
    key: [u8; 32],
}

/// What is sealed. There is no principal in it: on a lane there is only one client.
#[derive(Serialize, Deserialize)]
struct State {
    /// The request that it belongs to: another one does not accept it.
    of: String,
    stage: u32,
    /// Seconds since 1970.
    expires: u64,
}

impl Seal {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { key })
    }

    /// The state of a request that has come to a stage.
    pub(crate) fn close(&self, of: &str, stage: u32) -> Result<String, ErrorObject> {
        let expires = seconds(SystemTime::now() + LIFETIME);
        let state = serde_json::to_string(&State { of: of.to_owned(), stage, expires })
            .map_err(|_| ErrorObject::new(towpath::jsonrpc::code::INTERNAL_ERROR, "internal error"))?;
        let tag: String =
            self.mac(&state)?.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
        Ok(format!("{tag}.{state}"))
    }

    /// The stage, if the state is ours, for this request, and still fresh.
    pub(crate) fn open(&self, of: &str, sealed: &str) -> Result<u32, ErrorObject> {
        let (tag, state) = sealed.split_once('.').ok_or_else(broken)?;
        let tag = unhex(tag).ok_or_else(broken)?;
        self.mac(state)?.verify_slice(&tag).map_err(|_| broken())?;
        let state: State = serde_json::from_str(state).map_err(|_| broken())?;
        if state.of != of {
            return Err(invalid("the requestState belongs to another request"));
        }
        if state.expires < seconds(SystemTime::now()) {
            return Err(invalid("the requestState has expired"));
        }
        Ok(state.stage)
    }

    fn mac(&self, state: &str) -> Result<Hmac<Sha256>, ErrorObject> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(|_| broken())?;
        Ok(mac.chain_update(state))
    }
}

/// Without the key.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

fn broken() -> ErrorObject {
    invalid("the requestState is not what this server sent")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<_>>>()?;
    digits.chunks(2).map(|pair| u8::try_from(pair.first()? << 4 | pair.get(1)?).ok()).collect()
}

/// How long a client may take to gather what was asked for.
const LIFETIME: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unchanged_state_of_the_same_request_and_key_opens() {
        let seal = Seal::new().unwrap();
        let state = seal.close("tools/call a", 2).unwrap();
        assert_eq!(seal.open("tools/call a", &state), Ok(2));
        assert!(seal.open("tools/call b", &state).is_err());
        assert!(Seal::new().unwrap().open("tools/call a", &state).is_err());
        for at in 0..state.len() {
            let mut changed = state.clone().into_bytes();
            changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(seal.open("tools/call a", &changed).is_err(), "{changed}");
        }
        assert!(seal.open("tools/call a", &format!("{state} ")).is_err());
        assert!(seal.open("tools/call a", "").is_err());
    }

    #[test]
    fn an_expired_state_does_not_open() {
        let seal = Seal::new().unwrap();
        let state = r#"{"of":"a","stage":1,"expires":1}"#;
        let tag = seal.mac(state).unwrap().finalize().into_bytes();
        let tag: String = tag.iter().map(|b| format!("{b:02x}")).collect();
        let error = seal.open("a", &format!("{tag}.{state}")).unwrap_err();
        assert!(error.message.contains("expired"), "{error}");
    }
}
