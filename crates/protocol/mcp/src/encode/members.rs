//! Members appended to an object, and objects extended without being re-encoded.

use bytes::BytesMut;
use towpath_jsonrpc::encode::write_string;

use crate::encode::EncodeError;
use crate::revision::Revision;
use crate::scan::{self, Object};

/// Writes `"key":` with the commas between members.
pub(crate) struct Members<'a> {
    out: &'a mut BytesMut,
    first: bool,
}

impl<'a> Members<'a> {
    pub(crate) fn new(out: &'a mut BytesMut) -> Members<'a> {
        Members { out, first: true }
    }

    /// The key, which must need no escapes; the value is the caller's to write.
    pub(crate) fn key(&mut self, key: &'static str) -> &mut BytesMut {
        self.out.extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(crate) fn raw(&mut self, key: &'static str, value: &[u8]) {
        self.key(key).extend_from_slice(value);
    }

    pub(crate) fn string(&mut self, key: &'static str, value: &str) {
        write_string(self.key(key), value);
    }

    /// `"_meta":{…}`, unless nothing is written into it.
    fn meta(&mut self, inner: impl FnOnce(&mut Members<'_>)) {
        let (length, first) = (self.out.len(), self.first);
        self.key("_meta").extend_from_slice(b"{");
        let mut members = Members::new(self.out);
        inner(&mut members);
        if members.first {
            self.out.truncate(length);
            self.first = first;
        } else {
            self.out.extend_from_slice(b"}");
        }
    }
}

/// An object of the caller, with its `_meta` if it has one.
pub(crate) struct Target {
    top: Object,
    meta: Option<Object>,
}

impl Target {
    /// Scans the object's top level and that of its `_meta`.
    pub(crate) fn scan(
        what: &'static str,
        text: &[u8],
        mut top_member: impl FnMut(&[u8]),
        mut meta_member: impl FnMut(&[u8], &[u8]),
    ) -> Result<Target, EncodeError> {
        let mut metas = Vec::new();
        let top = scan::object(text, |key, span| {
            if scan::key_is(key, "_meta") {
                metas.push(span);
            } else {
                top_member(key);
            }
        })
        .map_err(|_| EncodeError::NotAnObject { what })?;
        let meta = match metas.as_slice() {
            [] => None,
            [span] => {
                let inner = text.get(span.clone()).unwrap_or_default();
                let object = scan::object(inner, |key, value| {
                    meta_member(key, inner.get(value).unwrap_or_default());
                })
                .map_err(|_| EncodeError::MetaNotAnObject)?;
                Some(Object { open: object.open + span.start, ..object })
            }
            _ => return Err(EncodeError::DuplicateMember { key: "_meta" }),
        };
        Ok(Target { top, meta })
    }

    /// Writes the object with `front` before its own members and `inner` before those of its `_meta`.
    /// Returns where in `text` the rest begins, which is not written yet.
    pub(crate) fn extend(
        &self,
        out: &mut BytesMut,
        text: &[u8],
        front: impl FnOnce(&mut Members<'_>),
        inner: impl FnOnce(&mut Members<'_>),
    ) -> usize {
        out.extend_from_slice(b"{");
        let mut members = Members::new(out);
        front(&mut members);
        match &self.meta {
            None => {
                members.meta(inner);
                if !members.first && !self.top.empty {
                    out.extend_from_slice(b",");
                }
                self.top.open
            }
            Some(meta) => {
                if !members.first {
                    out.extend_from_slice(b",");
                }
                out.extend_from_slice(text.get(self.top.open..meta.open).unwrap_or_default());
                let mut members = Members::new(out);
                inner(&mut members);
                if !members.first && !meta.empty {
                    out.extend_from_slice(b",");
                }
                meta.open
            }
        }
    }
}

/// A fresh object whose only member is `_meta`, or `{}`.
pub(crate) fn only_meta(out: &mut BytesMut, inner: impl FnOnce(&mut Members<'_>)) {
    out.extend_from_slice(b"{");
    Members::new(out).meta(inner);
    out.extend_from_slice(b"}");
}

/// The names of revisions, as a JSON array.
pub(crate) fn write_revisions(out: &mut BytesMut, revisions: &[Revision]) {
    out.extend_from_slice(b"[");
    for (index, revision) in revisions.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        out.extend_from_slice(revision.as_str().as_bytes());
        out.extend_from_slice(b"\"");
    }
    out.extend_from_slice(b"]");
}
