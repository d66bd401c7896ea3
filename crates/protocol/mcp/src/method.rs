//! The names of the methods.

/// `initialize` (legacy): opens a session.
pub const INITIALIZE: &str = "initialize";
/// `ping` (legacy).
pub const PING: &str = "ping";
/// `logging/setLevel` (legacy).
pub const LOGGING_SET_LEVEL: &str = "logging/setLevel";
/// `resources/subscribe` (legacy).
pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
/// `resources/unsubscribe` (legacy).
pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
/// `server/discover` (modern).
pub const SERVER_DISCOVER: &str = "server/discover";
/// `subscriptions/listen` (modern).
pub const SUBSCRIPTIONS_LISTEN: &str = "subscriptions/listen";
/// `tools/list`.
pub const TOOLS_LIST: &str = "tools/list";
/// `tools/call`.
pub const TOOLS_CALL: &str = "tools/call";
/// `prompts/list`.
pub const PROMPTS_LIST: &str = "prompts/list";
/// `prompts/get`.
pub const PROMPTS_GET: &str = "prompts/get";
/// `resources/list`.
pub const RESOURCES_LIST: &str = "resources/list";
/// `resources/templates/list`.
pub const RESOURCES_TEMPLATES_LIST: &str = "resources/templates/list";
/// `resources/read`.
pub const RESOURCES_READ: &str = "resources/read";
/// `completion/complete`.
pub const COMPLETION_COMPLETE: &str = "completion/complete";
/// `sampling/createMessage`: a request of the server (legacy), an input request (modern).
pub const SAMPLING_CREATE_MESSAGE: &str = "sampling/createMessage";
/// `elicitation/create`: a request of the server (legacy), an input request (modern).
pub const ELICITATION_CREATE: &str = "elicitation/create";
/// `roots/list`: a request of the server (legacy), an input request (modern).
pub const ROOTS_LIST: &str = "roots/list";

/// `notifications/initialized` (legacy).
pub const INITIALIZED: &str = "notifications/initialized";
/// `notifications/cancelled`.
pub const CANCELLED: &str = "notifications/cancelled";
/// `notifications/progress`.
pub const PROGRESS: &str = "notifications/progress";
/// `notifications/message`: a log message.
pub const MESSAGE: &str = "notifications/message";
/// `notifications/tools/list_changed`.
pub const TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";
/// `notifications/prompts/list_changed`.
pub const PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";
/// `notifications/resources/list_changed`.
pub const RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";
/// `notifications/resources/updated`.
pub const RESOURCES_UPDATED: &str = "notifications/resources/updated";
/// `notifications/roots/list_changed` (legacy, from the client).
pub const ROOTS_LIST_CHANGED: &str = "notifications/roots/list_changed";
/// `notifications/subscriptions/acknowledged` (modern).
pub const SUBSCRIPTIONS_ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

use crate::revision::Rules;

/// Whether a request of this method from a client exists under these rules, as far as the revisions differ:
/// a method that no revision names is the handler's to know, and counts as existing.
#[must_use]
pub fn exists(method: &str, rules: &Rules) -> bool {
    match method {
        INITIALIZE => rules.initialize,
        PING => rules.ping,
        LOGGING_SET_LEVEL => rules.set_level,
        RESOURCES_SUBSCRIBE | RESOURCES_UNSUBSCRIBE => rules.resources_subscribe,
        SERVER_DISCOVER => rules.discover,
        SUBSCRIPTIONS_LISTEN => rules.listen,
        _ => true,
    }
}

/// Whether the result of this method carries `ttlMs` and `cacheScope` in revisions with cacheable results.
#[must_use]
pub fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        SERVER_DISCOVER
            | TOOLS_LIST
            | PROMPTS_LIST
            | RESOURCES_LIST
            | RESOURCES_TEMPLATES_LIST
            | RESOURCES_READ
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Revision;

    #[test]
    fn a_method_exists_in_the_eras_that_define_it() {
        let table = [
            (INITIALIZE, true, false),
            (PING, true, false),
            (LOGGING_SET_LEVEL, true, false),
            (RESOURCES_SUBSCRIBE, true, false),
            (RESOURCES_UNSUBSCRIBE, true, false),
            (SERVER_DISCOVER, false, true),
            (SUBSCRIPTIONS_LISTEN, false, true),
            (TOOLS_CALL, true, true),
            ("com.example/own", true, true),
        ];
        for (method, legacy, modern) in table {
            assert_eq!(exists(method, Revision::LATEST_LEGACY.rules()), legacy, "{method}, legacy");
            assert_eq!(exists(method, Revision::LATEST.rules()), modern, "{method}, modern");
        }
        assert!(is_cacheable(RESOURCES_READ) && !is_cacheable(TOOLS_CALL));
    }
}
