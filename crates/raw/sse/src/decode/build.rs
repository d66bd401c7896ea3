//! Makes an event of its lines.

use std::{mem, ops::Range, time::Duration};

use bytes::Bytes;
use memchr::memchr;

use super::skip::Skip;
use crate::{SseError, SseEvent, SseLimits, event::MESSAGE};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    Event,
    Id,
    Retry,
    Comment,
    Unknown,
}

/// The event that is being built, and what outlasts it.
#[derive(Debug)]
pub(super) struct Builder {
    limits: SseLimits,
    name: Option<Bytes>,
    id: Option<Bytes>,
    data: Data,
    /// Set while the event is passed over.
    skip: Option<Box<Skip>>,
    last_event_id: Vec<u8>,
    retry: Option<Duration>,
    comments: u64,
}

#[derive(Debug, Default)]
enum Data {
    /// No data line yet, which is not the same as an empty one.
    #[default]
    Absent,
    /// One line, not copied.
    Line(Bytes),
    /// Several lines, or one that was broken over chunks.
    Joined(Vec<u8>),
}

impl Field {
    /// The field of a whole line, and where its value begins.
    #[inline]
    fn of_line(line: &[u8]) -> (Field, usize) {
        if line.starts_with(b"data:") {
            return (Field::Data, after_colon(line, 4));
        }
        match memchr(b':', line) {
            Some(0) => (Field::Comment, 1),
            Some(colon) => (Field::named(line.get(..colon).unwrap_or_default()), after_colon(line, colon)),
            None => (Field::named(line), line.len()),
        }
    }

    /// The same of the beginning of a line, as soon as it can be told.
    pub(super) fn of_beginning(line: &[u8]) -> Option<(Field, usize)> {
        match memchr(b':', line) {
            Some(0) => Some((Field::Comment, line.len())),
            // The byte after the colon may be the space that belongs to neither name nor value.
            Some(colon) if colon + 1 == line.len() && colon <= LONGEST_NAME => None,
            Some(_) => Some(Field::of_line(line)),
            None if line.len() <= LONGEST_NAME => None,
            None => Some((Field::Unknown, line.len())),
        }
    }

    fn named(name: &[u8]) -> Field {
        match name {
            b"data" => Field::Data,
            b"event" => Field::Event,
            b"id" => Field::Id,
            b"retry" => Field::Retry,
            _ => Field::Unknown,
        }
    }
}

impl Builder {
    pub(super) fn new(limits: SseLimits) -> Self {
        Self {
            limits,
            name: None,
            id: None,
            data: Data::Absent,
            skip: None,
            last_event_id: Vec::new(),
            retry: None,
            comments: 0,
        }
    }

    pub(super) fn limits(&self) -> &SseLimits {
        &self.limits
    }

    pub(super) fn last_event_id(&self) -> &[u8] {
        &self.last_event_id
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    pub(super) fn comments(&self) -> u64 {
        self.comments
    }

    pub(super) fn pending_bytes(&self) -> usize {
        let fields = [&self.name, &self.id].into_iter().flatten().map(Bytes::len).sum::<usize>();
        fields + self.skip.as_ref().map_or(self.data.len(), |skip| skip.seen())
    }

    pub(super) fn is_empty(&self) -> bool {
        let fields = self.name.is_some() || self.id.is_some() || self.skip.is_some();
        !fields && matches!(self.data, Data::Absent)
    }

    /// The longest value of a field that has to be kept until its line ends.
    pub(super) fn limit_of(&self, field: Field) -> Option<usize> {
        match field {
            Field::Id => Some(self.limits.max_id_bytes),
            Field::Event => Some(self.limits.max_name_bytes),
            Field::Retry => Some(MAX_RETRY_DIGITS),
            Field::Data | Field::Comment | Field::Unknown => None,
        }
    }

    /// One whole line, which is not blank.
    #[inline]
    pub(super) fn line(&mut self, source: &Bytes, line: Range<usize>) -> Result<(), SseError> {
        let (field, value) = Field::of_line(source.get(line.clone()).unwrap_or_default());
        let value = line.start + value..line.end;
        match field {
            Field::Data => {
                if matches!(self.data, Data::Absent) && self.skip.is_none() && self.fits(value.len()) {
                    self.data = Data::Line(source.slice(value));
                    return Ok(());
                }
                let begun = self.begin(Field::Data);
                begun.and(self.more_data(source.get(value).unwrap_or_default()))
            }
            Field::Comment => self.begin(Field::Comment),
            field => self.short_field(field, source, value),
        }
    }

    /// A field that is not data, with its whole value.
    pub(super) fn short_field(
        &mut self,
        field: Field,
        source: &Bytes,
        value: Range<usize>,
    ) -> Result<(), SseError> {
        if self.limit_of(field).is_some_and(|limit| value.len() > limit) {
            return self.too_large(field);
        }
        let bytes = source.get(value.clone()).unwrap_or_default();
        match field {
            Field::Event => {
                self.name = (!bytes.is_empty() && *bytes != MESSAGE).then(|| source.slice(value));
            }
            Field::Id if memchr(0, bytes).is_none() => self.id = Some(source.slice(value)),
            Field::Retry if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) => {
                let millis = std::str::from_utf8(bytes).ok().and_then(|digits| digits.parse().ok());
                self.retry = millis.map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
        Ok(())
    }

    /// A line of which only the beginning is there.
    pub(super) fn begin(&mut self, field: Field) -> Result<(), SseError> {
        match field {
            Field::Comment => self.comments += 1,
            Field::Data => {
                let first = self.skip.is_none() && matches!(self.data, Data::Absent);
                if self.skip.is_none() {
                    self.data.join(self.limits.max_event_bytes);
                }
                if !first {
                    return self.more_data(b"\n");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// More of the data line that was begun.
    pub(super) fn more_data(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        let limit = self.limits.max_event_bytes;
        if let Some(skip) = &mut self.skip {
            skip.absorb(bytes);
        } else if self.fits(bytes.len()) {
            self.data.append(bytes, limit);
            return Ok(());
        } else {
            let mut skip = Box::new(Skip::default());
            skip.absorb(self.data.as_slice());
            skip.absorb(bytes);
            self.data = Data::Absent;
            self.skip = Some(skip);
        }
        match &mut self.skip {
            Some(skip) if skip.seen() / 2 >= limit => skip.report(limit, false),
            _ => Ok(()),
        }
    }

    /// A field that is not data is over its limit.
    pub(super) fn too_large(&mut self, field: Field) -> Result<(), SseError> {
        let (name, limit, setting) = match field {
            Field::Id => ("id", self.limits.max_id_bytes, "max_id_bytes"),
            Field::Event => ("event", self.limits.max_name_bytes, "max_name_bytes"),
            // A number of so many digits is as good as none.
            _ => return Ok(()),
        };
        if self.skip.is_some() {
            // It is passed over already, and is reported once.
            return Ok(());
        }
        self.data = Data::Absent;
        self.skip.insert(Box::default()).set_reported();
        Err(SseError::FieldTooLarge { field: name, limit, setting })
    }

    /// The blank line.
    #[inline]
    pub(super) fn dispatch(&mut self) -> Result<Option<SseEvent>, SseError> {
        let name = self.name.take();
        let id = self.id.take();
        if let Some(id) = &id {
            self.last_event_id.clear();
            self.last_event_id.extend_from_slice(id);
        }
        if let Some(mut skip) = self.skip.take() {
            return skip.report(self.limits.max_event_bytes, true).map(|()| None);
        }
        let data = match mem::take(&mut self.data) {
            Data::Absent => return Ok(None),
            Data::Line(line) => line,
            Data::Joined(lines) => lines.into(),
        };
        Ok(Some(SseEvent { name: name.unwrap_or(MESSAGE), data, id }))
    }

    /// The end of the stream, in the middle of an event. It sets no id to resume from: what is missing of it would be lost.
    pub(super) fn cut_off(&mut self) -> Result<Option<SseEvent>, SseError> {
        let in_force = self.last_event_id.clone();
        let event = self.dispatch();
        self.last_event_id = in_force;
        event
    }

    /// The end of the stream, where the standard has it that what is unfinished is dropped.
    pub(super) fn give_up(&mut self) -> Result<Option<SseEvent>, SseError> {
        (self.name, self.id, self.data) = (None, None, Data::Absent);
        self.dispatch()
    }

    fn fits(&self, more: usize) -> bool {
        self.data.len().saturating_add(more) <= self.limits.max_event_bytes
    }
}

impl Data {
    fn as_slice(&self) -> &[u8] {
        match self {
            Data::Absent => &[],
            Data::Line(line) => line,
            Data::Joined(lines) => lines,
        }
    }

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Makes a buffer of it, to append to.
    fn join(&mut self, limit: usize) {
        if !matches!(self, Data::Joined(_)) {
            let first = mem::replace(self, Data::Joined(Vec::new()));
            self.append(first.as_slice(), limit);
        }
    }

    /// Appends to what was begun, with a buffer that doubles up to the limit and no further.
    fn append(&mut self, bytes: &[u8], limit: usize) {
        let Data::Joined(joined) = self else { return };
        let needed = joined.len() + bytes.len();
        if needed > joined.capacity() {
            let wanted = needed.max(joined.capacity().saturating_mul(2).min(limit));
            joined.reserve_exact(wanted - joined.len());
        }
        joined.extend_from_slice(bytes);
    }
}

fn after_colon(line: &[u8], colon: usize) -> usize {
    colon + 1 + usize::from(line.get(colon + 1) == Some(&b' '))
}

const LONGEST_NAME: usize = "retry".len();

/// As many as the largest number of milliseconds has.
const MAX_RETRY_DIGITS: usize = 20;
