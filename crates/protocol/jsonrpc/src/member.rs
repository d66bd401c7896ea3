//! The members that the one pass over a message indexes.

use std::ops::Range;

/// A member of a message that is found while parsing, so that nobody looks for it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Member {
    /// `jsonrpc`
    Jsonrpc,
    /// `id`
    Id,
    /// `method`
    Method,
    /// `result`
    Result,
    /// `error`
    Error,
    /// `params`
    Params,
    /// `params.name`
    Name,
    /// `params.uri`
    Uri,
    /// `params.requestId`
    RequestId,
    /// `params.progressToken`, as in `notifications/progress`
    ProgressToken,
    /// `params.protocolVersion`, as in `initialize`
    ProtocolVersion,
    /// `params._meta`
    Meta,
    /// `params._meta.progressToken`
    MetaProgressToken,
    /// `params._meta["io.modelcontextprotocol/protocolVersion"]`
    MetaProtocolVersion,
    /// `params._meta["io.modelcontextprotocol/clientInfo"]`
    MetaClientInfo,
    /// `params._meta["io.modelcontextprotocol/clientCapabilities"]`
    MetaClientCapabilities,
    /// `params._meta["io.modelcontextprotocol/logLevel"]`
    MetaLogLevel,
    /// `params._meta["io.modelcontextprotocol/subscriptionId"]`
    MetaSubscriptionId,
    /// `params._meta.traceparent`
    MetaTraceparent,
    /// `params._meta.tracestate`
    MetaTracestate,
    /// `params._meta.baggage`
    MetaBaggage,
    /// `result.resultType`
    ResultType,
    /// `result._meta`
    ResultMeta,
    /// `result._meta["io.modelcontextprotocol/subscriptionId"]`
    ResultMetaSubscriptionId,
    /// `result._meta["io.modelcontextprotocol/serverInfo"]`
    ResultMetaServerInfo,
}

/// How many there are.
const MEMBERS: usize = Member::ResultMetaServerInfo as usize + 1;

/// The longest key that [`Role::member`] knows.
pub(crate) const LONGEST_KEY_BYTES: usize = PREFIX.len() + "clientCapabilities".len();

const PREFIX: &str = "io.modelcontextprotocol/";

/// What a container is to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Around the top value.
    Top,
    /// The array of a batch.
    Batch,
    Envelope,
    Params,
    Meta,
    Result,
    ResultMeta,
    /// Nothing in it is indexed.
    Other,
}

impl Role {
    /// The member that `key` names in an object of this role.
    #[inline]
    pub(crate) fn member(self, key: &[u8]) -> Option<Member> {
        Some(match self {
            Self::Envelope => match key {
                b"jsonrpc" => Member::Jsonrpc,
                b"id" => Member::Id,
                b"method" => Member::Method,
                b"params" => Member::Params,
                b"result" => Member::Result,
                b"error" => Member::Error,
                _ => return None,
            },
            Self::Params => match key {
                b"name" => Member::Name,
                b"uri" => Member::Uri,
                b"requestId" => Member::RequestId,
                b"progressToken" => Member::ProgressToken,
                b"protocolVersion" => Member::ProtocolVersion,
                b"_meta" => Member::Meta,
                _ => return None,
            },
            Self::Meta => match key.strip_prefix(PREFIX.as_bytes()) {
                Some(b"protocolVersion") => Member::MetaProtocolVersion,
                Some(b"clientInfo") => Member::MetaClientInfo,
                Some(b"clientCapabilities") => Member::MetaClientCapabilities,
                Some(b"logLevel") => Member::MetaLogLevel,
                Some(b"subscriptionId") => Member::MetaSubscriptionId,
                Some(_) => return None,
                None => match key {
                    b"progressToken" => Member::MetaProgressToken,
                    b"traceparent" => Member::MetaTraceparent,
                    b"tracestate" => Member::MetaTracestate,
                    b"baggage" => Member::MetaBaggage,
                    _ => return None,
                },
            },
            Self::Result => match key {
                b"resultType" => Member::ResultType,
                b"_meta" => Member::ResultMeta,
                _ => return None,
            },
            Self::ResultMeta => match key.strip_prefix(PREFIX.as_bytes()) {
                Some(b"subscriptionId") => Member::ResultMetaSubscriptionId,
                Some(b"serverInfo") => Member::ResultMetaServerInfo,
                _ => return None,
            },
            Self::Top | Self::Batch | Self::Other => return None,
        })
    }

    /// The role of an object that is the value of `member` in an object of this role.
    #[inline]
    pub(crate) fn inner(self, member: Option<Member>) -> Self {
        match (self, member) {
            (Self::Top, _) => Self::Envelope,
            (Self::Envelope, Some(Member::Params)) => Self::Params,
            (Self::Envelope, Some(Member::Result)) => Self::Result,
            (Self::Params, Some(Member::Meta)) => Self::Meta,
            (Self::Result, Some(Member::ResultMeta)) => Self::ResultMeta,
            _ => Self::Other,
        }
    }
}

/// A range of bytes of a message, which is shorter than 4 GiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    /// 0 is absent: no value ends before it begins.
    end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub(crate) fn range(self) -> Option<Range<usize>> {
        (self.end != 0).then_some(self.start as usize..self.end as usize)
    }
}

/// Where the values of the members are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index([Span; MEMBERS]);

impl Index {
    #[inline]
    pub(crate) fn set(&mut self, member: Member, span: Span) {
        if let Some(slot) = self.0.get_mut(member as usize) {
            *slot = span;
        }
    }

    #[inline]
    pub(crate) fn span(&self, member: Member) -> Option<Range<usize>> {
        self.0.get(member as usize).and_then(|span| span.range())
    }

    #[inline]
    pub(crate) fn raw<'a>(&self, bytes: &'a [u8], member: Member) -> Option<&'a [u8]> {
        bytes.get(self.span(member)?)
    }

    /// Forgets everything in `params`.
    pub(crate) fn clear_params(&mut self) {
        self.clear(Member::Params, Member::MetaBaggage);
    }

    /// Forgets everything in `result._meta`.
    pub(crate) fn clear_result_meta(&mut self) {
        self.clear(Member::ResultMeta, Member::ResultMetaServerInfo);
    }

    fn clear(&mut self, first: Member, last: Member) {
        if let Some(spans) = self.0.get_mut(first as usize..=last as usize) {
            spans.fill(Span::default());
        }
    }
}
