//! The validating scanner: one pass, no recursion, and it can stop anywhere.

mod tokens;

use crate::EnvelopeLimits;
use crate::keys::{Keys, MAX_KEY_BYTES};
use crate::member::{Index, LONGEST_KEY_BYTES, Member, Role, Span};
use crate::nesting::Nesting;
use crate::text;
use crate::violation::{Place, Violation};

/// Members are indexed down to this depth (`params._meta.*`).
const INDEXED_DEPTH: usize = 3;

/// Where the text is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

/// What the grammar allows next. Between tokens, except for the last two.
#[derive(Debug, Clone, Copy)]
enum State {
    Value,
    /// After `[`.
    FirstValue,
    Key,
    /// After `{`.
    FirstKey,
    Colon,
    /// After a value in a container.
    Next,
    /// After the top value.
    Done,
    InString(Str),
    InNumber {
        start: usize,
        part: Part,
    },
}

/// An unfinished string.
#[derive(Debug, Clone, Copy)]
struct Str {
    /// Of its opening quote.
    start: usize,
    key: bool,
    escaped: bool,
}

/// Which digits of a number the scanner is in; at least one was there.
#[derive(Debug, Clone, Copy)]
enum Part {
    Integer,
    Fraction,
    Exponent,
}

/// A container that the index knows.
#[derive(Debug, Clone, Copy)]
struct Level {
    role: Role,
    /// The member whose value is next or being read.
    member: Option<Member>,
    /// Where that value began, if it is a container.
    start: u32,
}

/// The whole state of a scan.
#[derive(Debug)]
pub(crate) struct Lexer {
    pos: usize,
    state: State,
    /// That of the innermost container.
    role: Role,
    nesting: Nesting,
    levels: [Level; INDEXED_DEPTH + 1],
    /// A bit for each member whose key was read, duplicates or not.
    seen: u32,
    envelope: Group,
    meta: Group,
    max_elements: usize,
    pub(crate) index: Index,
    /// The first rule broken. The scan goes on: the text may not be JSON, and the id may be yet to come.
    pub(crate) violation: Option<Violation>,
    pub(crate) id_twice: bool,
    pub(crate) top: Span,
    /// Of a batch.
    pub(crate) elements: Vec<Span>,
}

/// An object in which every key must be unique.
#[derive(Debug)]
struct Group {
    place: Place,
    members: usize,
    max: usize,
    unknown: Keys,
}

impl Group {
    #[inline]
    fn new(place: Place, max: usize) -> Self {
        Self { place, members: 0, max, unknown: Keys::default() }
    }
}

impl Lexer {
    /// `top` tells what the top value is: [`Role::Top`] a message, [`Role::Batch`] an array of them, and
    /// [`Role::Other`] any value.
    #[inline]
    pub(crate) fn new(top: Role, limits: &EnvelopeLimits) -> Self {
        Self {
            pos: 0,
            state: State::Value,
            role: top,
            nesting: Nesting::default(),
            levels: [Level { role: top, member: None, start: 0 }; INDEXED_DEPTH + 1],
            seen: 0,
            envelope: Group::new(Place::Envelope, limits.max_envelope_members),
            meta: Group::new(Place::Meta, limits.max_meta_members),
            max_elements: limits.max_batch,
            index: Index::default(),
            violation: None,
            id_twice: false,
            top: Span::default(),
            elements: Vec::new(),
        }
    }

    /// Whether the key of `member` was read.
    pub(crate) fn has_seen(&self, member: Member) -> bool {
        self.seen & (1 << member as u32) != 0
    }

    /// Scans up to `end` or a little beyond: `bytes` is all of the text, and short tokens are read whole.
    pub(crate) fn run(&mut self, bytes: &[u8], end: usize) -> Result<(), Fault> {
        let mut pos = self.pos;
        match self.state {
            State::InString(string) => pos = self.string(bytes, pos, end, string)?,
            State::InNumber { start, part } => pos = self.number_part(bytes, pos, end, start, part)?,
            _ => {}
        }
        while pos < end {
            let Some(&byte) = bytes.get(pos) else { break };
            if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                pos += 1;
                continue;
            }
            pos = match (self.state, byte) {
                (State::Next, b',') => {
                    self.state = if self.nesting.in_object() { State::Key } else { State::Value };
                    pos + 1
                }
                (State::Key | State::FirstKey, b'"') => {
                    self.string(bytes, pos + 1, end, Str { start: pos, key: true, escaped: false })?
                }
                (State::Colon, b':') => {
                    self.state = State::Value;
                    pos + 1
                }
                (State::Next, b'}') if self.nesting.in_object() => self.close(pos),
                (State::Next, b']') if !self.nesting.in_object() => self.close(pos),
                (State::FirstKey, b'}') | (State::FirstValue, b']') => self.close(pos),
                (State::Value | State::FirstValue, _) => self.value(bytes, pos, end, byte)?,
                (state, _) => {
                    return Err(Fault { at: pos, expected: expected(state, self.nesting.in_object()) });
                }
            };
        }
        self.pos = pos;
        Ok(())
    }

    /// Whether the text may end here.
    pub(crate) fn end(&self, len: usize) -> Result<(), Fault> {
        match self.state {
            State::Done => Ok(()),
            state => Err(Fault { at: len, expected: expected(state, self.nesting.in_object()) }),
        }
    }

    /// Reads or begins a value at `pos`.
    #[inline]
    fn value(&mut self, bytes: &[u8], pos: usize, end: usize, byte: u8) -> Result<usize, Fault> {
        match byte {
            b'"' => self.string(bytes, pos + 1, end, Str { start: pos, key: false, escaped: false }),
            b'{' => {
                self.open(pos, true);
                Ok(pos + 1)
            }
            b'[' => {
                self.open(pos, false);
                Ok(pos + 1)
            }
            b'-' | b'0'..=b'9' => self.number(bytes, pos, end),
            b't' => self.literal(bytes, pos, b"true"),
            b'f' => self.literal(bytes, pos, b"false"),
            b'n' => self.literal(bytes, pos, b"null"),
            _ => Err(Fault { at: pos, expected: expected(self.state, false) }),
        }
    }

    #[inline]
    fn open(&mut self, pos: usize, object: bool) {
        self.state = if object { State::FirstKey } else { State::FirstValue };
        let depth = self.nesting.depth();
        self.nesting.push(object);
        // Below the indexed levels nothing is noted, and the role stays what it is.
        let Some(outer) = self.levels.get_mut(depth) else { return };
        outer.start = pos as u32;
        let role = match (self.role, object) {
            (Role::Batch, false) if depth == 0 => Role::Batch,
            (Role::Batch | Role::Other, _) | (_, false) => Role::Other,
            (role, true) => role.inner(outer.member),
        };
        self.role = role;
        if let Some(inner) = self.levels.get_mut(depth + 1) {
            *inner = Level { role, member: None, start: 0 };
        }
    }

    #[inline]
    fn close(&mut self, pos: usize) -> usize {
        self.nesting.pop();
        let depth = self.nesting.depth();
        let start = match self.levels.get(depth) {
            Some(level) => {
                self.role = level.role;
                level.start as usize
            }
            None => 0,
        };
        self.value_end(start, pos + 1);
        pos + 1
    }

    #[inline]
    fn value_end(&mut self, start: usize, end: usize) {
        self.state = State::Next;
        let depth = self.nesting.depth();
        if depth == 0 {
            self.state = State::Done;
            self.top = Span::new(start, end);
        } else if self.role == Role::Other {
            // Nobody asks.
        } else if self.role == Role::Batch {
            self.element(Span::new(start, end));
        } else if let Some(member) = self.levels.get(depth).and_then(|level| level.member) {
            self.index.set(member, Span::new(start, end));
        }
    }

    fn element(&mut self, span: Span) {
        if self.elements.len() < self.max_elements {
            self.elements.push(span);
        } else {
            self.violate(Violation::BatchTooLong { max: self.max_elements });
        }
    }

    /// Takes note of a key in an indexed object.
    #[inline]
    fn key(&mut self, bytes: &[u8], start: usize, end: usize, escaped: bool) {
        let raw = bytes.get(start..end).unwrap_or_default();
        let member = if !escaped {
            self.role.member(raw)
        } else if raw.len() <= 6 * LONGEST_KEY_BYTES {
            self.role.member(text::decoded(raw).as_bytes())
        } else {
            None
        };
        if let Some(level) = self.levels.get_mut(self.nesting.depth()) {
            level.member = member;
        }
        let twice = member.is_some_and(|member| {
            let bit = 1 << member as u32;
            let twice = self.seen & bit != 0;
            self.seen |= bit;
            twice
        });
        let group = match self.role {
            Role::Envelope => &mut self.envelope,
            Role::Meta => &mut self.meta,
            Role::Params if twice => return self.violate(Violation::DuplicateKey { place: Place::Params }),
            Role::Result if twice && member == Some(Member::ResultMeta) => {
                // Allowed here, and the last one counts: with all that is in it.
                return self.index.clear_result_meta();
            }
            _ => return,
        };
        let place = group.place;
        group.members += 1;
        if twice && member == Some(Member::Id) {
            self.id_twice = true;
        }
        if twice {
            self.violate(Violation::DuplicateKey { place });
        } else if group.members > group.max {
            let max = group.max;
            self.violate(Violation::TooManyMembers { place, max });
        } else if member.is_none() {
            if raw.len() > MAX_KEY_BYTES {
                self.violate(Violation::KeyTooLong { place, len: raw.len() });
            } else if group.unknown.insert(bytes, Span::new(start, end)) {
                self.violate(Violation::DuplicateKey { place });
            }
        }
    }

    #[cold]
    fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}

/// What the grammar asks for, in words.
#[cold]
fn expected(state: State, in_object: bool) -> &'static str {
    match state {
        State::Value => "a value",
        State::FirstValue => "a value or `]`",
        State::Key => "a key",
        State::FirstKey => "a key or `}`",
        State::Colon => "`:`",
        State::Next if in_object => "`,` or `}`",
        State::Next => "`,` or `]`",
        State::Done => "the end",
        State::InString(_) => "the end of a string",
        State::InNumber { .. } => "a digit",
    }
}
