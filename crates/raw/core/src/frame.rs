//! One message on its way out.

use std::num::NonZeroU64;

use bytes::{Bytes, BytesMut};

/// One message on its way out: up to three segments, written back to back.
///
/// A small message is one segment. A large one is an envelope around a payload that need not be copied: head,
/// body, tail. The delimiter of the framing is not part of it.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    head: Bytes,
    body: Bytes,
    tail: Bytes,
    route: Route,
    last: bool,
}

/// Which of the exchanges on a lane a frame belongs to.
///
/// A lane over a pipe or a socket is one conversation, and everything on it belongs to [`Route::LANE`]. A lane that is
/// made of HTTP exchanges carries many at once: the answer to a request goes back on the exchange that brought the
/// request, and what is said about it before goes the same way. Who drives the lane keeps, for each request, the route
/// that it came on, and gives it to every frame that belongs to that request; the last of them is marked as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Route(Option<NonZeroU64>);

impl Route {
    /// No exchange in particular: the lane itself.
    pub const LANE: Route = Route(None);

    /// The exchange with this number; 0 is none.
    pub const fn new(number: u64) -> Self {
        Route(NonZeroU64::new(number))
    }

    /// The number of the exchange; `None` for the lane itself.
    pub const fn number(self) -> Option<u64> {
        match self.0 {
            Some(number) => Some(number.get()),
            None => None,
        }
    }
}

impl Frame {
    /// A frame of three segments; any of them may be empty.
    pub fn segmented(head: Bytes, body: Bytes, tail: Bytes) -> Self {
        Self { head, body, tail, route: Route::LANE, last: false }
    }

    /// The same frame, as part of an exchange.
    #[must_use]
    pub fn on(self, route: Route) -> Self {
        Self { route, ..self }
    }

    /// The same frame, as the last one of its exchange: the lane ends that exchange with it. Without a byte in it, it
    /// says nothing but that: there will be no answer. On [`Route::LANE`] it means nothing.
    #[must_use]
    pub fn last(self) -> Self {
        Self { last: true, ..self }
    }

    /// The exchange that it is part of.
    pub fn route(&self) -> Route {
        self.route
    }

    /// Whether it is the last one of its exchange. The lane itself has none.
    pub fn is_last(&self) -> bool {
        self.last && self.route != Route::LANE
    }

    /// The length of the whole frame in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len() + self.tail.len()
    }

    /// Whether there is not a single byte in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The segments in order; empty ones are among them.
    pub fn segments(&self) -> [&Bytes; 3] {
        [&self.head, &self.body, &self.tail]
    }

    /// The segments in order, given away.
    pub fn into_segments(self) -> [Bytes; 3] {
        [self.head, self.body, self.tail]
    }

    /// The frame as one run of bytes: free of copying when only one segment has any.
    pub fn into_bytes(self) -> Bytes {
        match (self.head.is_empty(), self.body.is_empty(), self.tail.is_empty()) {
            (_, true, true) => self.head,
            (true, _, true) => self.body,
            (true, true, _) => self.tail,
            _ => {
                let mut whole = BytesMut::with_capacity(self.len());
                for segment in self.segments() {
                    whole.extend_from_slice(segment);
                }
                whole.freeze()
            }
        }
    }
}

impl From<Bytes> for Frame {
    fn from(head: Bytes) -> Self {
        Self { head, body: Bytes::new(), tail: Bytes::new(), route: Route::LANE, last: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_segment_is_not_copied() {
        let bytes = Bytes::from(vec![7; 64]);
        let address = bytes.as_ptr();
        assert_eq!(Frame::from(bytes.clone()).into_bytes().as_ptr(), address);
        let body_only = Frame::segmented(Bytes::new(), bytes, Bytes::new());
        assert_eq!(body_only.into_bytes().as_ptr(), address);
    }

    #[test]
    fn a_frame_belongs_to_the_lane_until_it_is_put_on_an_exchange() {
        let frame = Frame::from(Bytes::from_static(b"x"));
        assert_eq!(frame.route(), Route::LANE);
        assert_eq!(frame.on(Route::new(7)).route().number(), Some(7));
        assert_eq!(Route::new(0), Route::LANE);
    }

    #[test]
    fn the_last_frame_is_the_last_of_an_exchange_and_never_of_the_lane() {
        let frame = Frame::from(Bytes::from_static(b"x"));
        assert!(!frame.clone().on(Route::new(7)).is_last());
        assert!(frame.clone().on(Route::new(7)).last().is_last());
        assert!(frame.clone().last().on(Route::new(7)).is_last(), "in either order");
        assert!(!frame.last().is_last());
        assert!(Frame::default().on(Route::new(7)).last().is_empty());
    }

    #[test]
    fn segments_join_in_order() {
        let frame = Frame::segmented("ab".into(), "cd".into(), "e".into());
        assert_eq!(frame.len(), 5);
        assert_eq!(frame.into_bytes(), "abcde");
    }
}
