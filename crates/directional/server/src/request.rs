//! What a handler is given.

use serde::{Deserialize, Serialize};
use towpath_jsonrpc::{ErrorObject, Id, Member, Message, RawJson, code};
use towpath_mcp::Fault;

/// A request of the client, as the bytes that came in.
#[derive(Clone, Debug)]
pub struct Request {
    message: Message,
}

impl Request {
    pub(crate) fn new(message: Message) -> Self {
        Self { message }
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.message.method()
    }

    /// The client's id of the request.
    pub fn id(&self) -> Option<&Id> {
        self.message.id()
    }

    /// `params.name`, as tools and prompts have it.
    pub fn name(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.message.string(Member::Name)
    }

    /// `params.uri`, as resources have it.
    pub fn uri(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.message.string(Member::Uri)
    }

    /// The params, as they came.
    pub fn params(&self) -> Option<RawJson> {
        self.message.params()
    }

    /// The params, read as a type.
    ///
    /// # Errors
    ///
    /// −32602, with what is wrong with them.
    pub fn params_as<T: for<'de> Deserialize<'de>>(&self) -> Result<T, ErrorObject> {
        let params = self.message.params().unwrap_or_else(RawJson::empty_object);
        params
            .deserialize()
            .map_err(|error| ErrorObject::new(code::INVALID_PARAMS, format!("invalid params: {error}")))
    }

    /// The whole message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Turns a value into the result of this request.
    ///
    /// # Errors
    ///
    /// −32603, when the value has no JSON form.
    pub fn reply<T: Serialize + ?Sized>(&self, value: &T) -> Result<RawJson, ErrorObject> {
        RawJson::serialize(value).map_err(|error| {
            tracing::error!(method = self.method(), %error, "the handler's result has no JSON form");
            ErrorObject::new(code::INTERNAL_ERROR, "internal error")
        })
    }

    /// The error for a method that the handler does not know.
    pub fn unknown_method(&self) -> ErrorObject {
        let fault = Fault::method_not_found(self.method());
        ErrorObject::new(code::METHOD_NOT_FOUND, fault.to_string())
    }
}

/// A notification of the client, as the bytes that came in.
#[derive(Clone, Debug)]
pub struct Notification {
    message: Message,
}

impl Notification {
    pub(crate) fn new(message: Message) -> Self {
        Self { message }
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.message.method()
    }

    /// The params, as they came.
    pub fn params(&self) -> Option<RawJson> {
        self.message.params()
    }

    /// The whole message.
    pub fn message(&self) -> &Message {
        &self.message
    }
}
