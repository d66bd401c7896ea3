//! What came of one body so far, where whoever needs its bytes can take them away.

use std::task::{Context, Waker};

use bytes::Bytes;
use towpath_raw::{Level, Mutex};

/// The bytes of one unfinished body. The budget holds one end, and whoever reads the body the other.
#[derive(Debug)]
pub(super) struct Place {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Filling { bytes: Joined, waker: Option<Waker> },
    Emptied,
}

/// The reader's end was emptied by the budget.
#[derive(Debug)]
pub(super) struct Emptied;

impl Place {
    pub(super) fn new() -> Self {
        let state = State::Filling { bytes: Joined::Nothing, waker: None };
        Self { state: Mutex::new(Level::Handler, "Place::state", state) }
    }

    /// Adds a chunk. `declared` is how long the body says that it becomes.
    pub(super) fn push(&self, chunk: Bytes, declared: Option<usize>) -> Result<(), Emptied> {
        match &mut *self.state.lock() {
            State::Filling { bytes, .. } => {
                bytes.push(chunk, declared);
                Ok(())
            }
            State::Emptied => Err(Emptied),
        }
    }

    /// Has the reader woken when the place is emptied.
    pub(super) fn watch(&self, cx: &mut Context<'_>) -> Result<(), Emptied> {
        match &mut *self.state.lock() {
            State::Filling { waker, .. } => {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Ok(())
            }
            State::Emptied => Err(Emptied),
        }
    }

    /// Takes the bytes out; nothing can be added any more.
    pub(super) fn take(&self) -> Result<Bytes, Emptied> {
        match std::mem::replace(&mut *self.state.lock(), State::Emptied) {
            State::Filling { bytes, .. } => Ok(bytes.finish()),
            State::Emptied => Err(Emptied),
        }
    }

    /// Drops the bytes, and gives the waker of the reader, who is to hear of it.
    pub(super) fn empty(&self) -> Option<Waker> {
        let state = std::mem::replace(&mut *self.state.lock(), State::Emptied);
        match state {
            State::Filling { waker, .. } => waker,
            State::Emptied => None,
        }
    }
}

/// Chunks in one piece: a single one as it came, more of them copied together as they come.
#[derive(Debug)]
enum Joined {
    Nothing,
    One(Bytes),
    Many(Vec<u8>),
}

impl Joined {
    fn push(&mut self, chunk: Bytes, declared: Option<usize>) {
        *self = match std::mem::replace(self, Joined::Nothing) {
            Joined::Nothing => Joined::One(chunk),
            Joined::One(first) => {
                Joined::Many(joined(joined(Vec::new(), &first, declared), &chunk, declared))
            }
            Joined::Many(bytes) => Joined::Many(joined(bytes, &chunk, declared)),
        };
    }

    fn finish(self) -> Bytes {
        match self {
            Joined::Nothing => Bytes::new(),
            Joined::One(chunk) => chunk,
            Joined::Many(mut bytes) => {
                // A message can live long after its body; it need not hold room that it does not use.
                if bytes.capacity() - bytes.len() > bytes.len() / 4 {
                    bytes.shrink_to_fit();
                }
                Bytes::from(bytes)
            }
        }
    }
}

fn joined(mut bytes: Vec<u8>, chunk: &[u8], declared: Option<usize>) -> Vec<u8> {
    let needed = bytes.len() + chunk.len();
    if needed > bytes.capacity() {
        // What a peer declares is believed as far as twice what has come, and not once it is wrong.
        let declared = declared.filter(|declared| *declared >= needed);
        let room = declared.map_or(2 * needed, |declared| declared.min(2 * needed));
        bytes.reserve_exact(room - bytes.len());
    }
    bytes.extend_from_slice(chunk);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_chunk_is_not_copied() {
        let place = Place::new();
        let chunk = Bytes::from(vec![7; 100]);
        let at = chunk.as_ptr();
        place.push(chunk, Some(100)).expect("nobody took it away");
        assert_eq!(place.take().expect("nobody took it away").as_ptr(), at);
        assert!(place.take().is_err());
    }

    #[test]
    fn a_declared_length_reserves_at_most_twice_what_has_come() {
        for (declared, chunks, most) in
            [(Some(1 << 40), 2, 400), (Some(250), 2, 250), (None, 2, 400), (Some(100), 3, 600)]
        {
            let mut bytes = Vec::new();
            for _ in 0..chunks {
                bytes = joined(bytes, &[0; 100], declared);
            }
            assert!(bytes.capacity() <= most, "{declared:?}: {} > {most}", bytes.capacity());
            assert_eq!(bytes.len(), chunks * 100);
        }
    }

    #[test]
    fn a_body_longer_than_declared_is_not_copied_at_every_chunk() {
        let mut bytes = Vec::new();
        let mut grown = 0;
        for _ in 0..10_000 {
            let before = bytes.capacity();
            bytes = joined(bytes, &[0], Some(5));
            grown += usize::from(bytes.capacity() != before);
        }
        assert!(grown < 20, "it grew {grown} times");
    }

    #[test]
    fn what_is_finished_holds_no_room_that_it_does_not_use() {
        let mut bytes = Joined::Nothing;
        for _ in 0..9 {
            bytes.push(Bytes::from_static(&[1; 100]), None);
        }
        let Joined::Many(joined) = &bytes else { panic!("nine chunks are one") };
        assert!(joined.capacity() > 1100);
        let finished: Vec<u8> = bytes.finish().into();
        assert_eq!((finished.len(), finished.capacity()), (900, 900));
    }
}
