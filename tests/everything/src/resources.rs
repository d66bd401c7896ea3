//! The resources: two that never change, one that does, and a template.

use std::sync::atomic::Ordering::Relaxed;

use serde::Deserialize;
use serde_json::json;
use towpath::{Context, RawJson, Request, mcp::Fault};

use crate::{
    Everything,
    answer::{Answer, PNG, cacheable, fault, invalid, reply},
};

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
/// The one that changes.
pub(crate) const WATCHED: &str = "test://watched-resource";
pub(crate) const TEMPLATE: &str = "test://template/{id}/data";

pub(crate) fn list(request: &Request, context: &Context) -> Answer {
    only_page(request)?;
    let resources = json!([
        {"uri": TEXT, "name": "static-text", "description": "A text that never changes", "mimeType": "text/plain"},
        {"uri": BINARY, "name": "static-binary", "description": "An image that never changes", "mimeType": "image/png"},
        {"uri": WATCHED, "name": "watched-resource", "description": "A text that says how often it has changed",
         "mimeType": "text/plain"},
    ]);
    cacheable(context, json!({"resources": resources}))
}

pub(crate) fn templates(request: &Request, context: &Context) -> Answer {
    only_page(request)?;
    let templates = json!([
        {"uriTemplate": TEMPLATE, "name": "template", "description": "Data for any id", "mimeType": "application/json"},
    ]);
    cacheable(context, json!({"resourceTemplates": templates}))
}

pub(crate) fn read(server: &Everything, request: &Request, context: &Context) -> Answer {
    let uri = uri(request)?;
    let mut contents = match uri.as_str() {
        TEXT => json!({"mimeType": "text/plain", "text": "This is the text of the static text resource."}),
        BINARY => json!({"mimeType": "image/png", "blob": PNG}),
        WATCHED => {
            let changes = server.changes.load(Relaxed);
            let text = format!("This resource has changed {changes} times.");
            // It changes without notice to those who do not subscribe: the link says that it must not be kept.
            return reply(json!({"contents": [{"uri": uri, "mimeType": "text/plain", "text": text}]}));
        }
        _ => {
            let Some(id) = template_id(&uri) else {
                return Err(fault(context, &Fault::resource_not_found(&uri)));
            };
            let text =
                json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")}).to_string();
            json!({"mimeType": "application/json", "text": text})
        }
    };
    if let Some(members) = contents.as_object_mut() {
        members.insert("uri".to_owned(), uri.into());
    }
    cacheable(context, json!({"contents": [contents]}))
}

/// Both directions of it: the session has noted which resources it wants.
pub(crate) fn subscribe(request: &Request, context: &Context) -> Answer {
    let uri = uri(request)?;
    match [TEXT, BINARY, WATCHED].contains(&uri.as_str()) || template_id(&uri).is_some() {
        true => Ok(RawJson::empty_object()),
        false => Err(fault(context, &Fault::resource_not_found(&uri))),
    }
}

/// Refuses cursors: every list of this server is one page.
pub(crate) fn only_page(request: &Request) -> Result<(), towpath::ErrorObject> {
    #[derive(Deserialize)]
    struct Params {
        cursor: Option<String>,
    }
    match request.params_as()? {
        Params { cursor: None } => Ok(()),
        Params { cursor: Some(_) } => Err(invalid("invalid cursor: this list has one page")),
    }
}

fn uri(request: &Request) -> Result<String, towpath::ErrorObject> {
    request.uri().map(|uri| uri.into_owned()).ok_or_else(|| invalid("`params.uri` must be a string"))
}

fn template_id(uri: &str) -> Option<&str> {
    let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}
