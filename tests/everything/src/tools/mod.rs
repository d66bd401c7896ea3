//! The tools: which name is called where.

mod ask;
mod content;
mod definitions;
mod input_required;
mod notify;
mod wire;

use std::{borrow::Cow, collections::HashMap, error::Error, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use towpath::{Context, ErrorObject, RawJson, Request, mcp::HeaderParams};

use crate::{
    Everything,
    answer::{Answer, failed, invalid, unknown},
    input::Input,
    resources::only_page,
};

pub(crate) fn list(request: &Request, context: &Context) -> Answer {
    only_page(request)?;
    definitions::list(context)
}

/// The arguments that HTTP clients also send as headers, of the tools that have such: for the endpoint to compare.
///
/// # Errors
///
/// When the schema of a tool breaks the rules for them.
pub fn header_params() -> Result<HashMap<String, Arc<HeaderParams>>, Box<dyn Error>> {
    let mut mirrored = HashMap::new();
    for tool in definitions::all() {
        let (name, params) = HeaderParams::of_tool(&RawJson::serialize(&tool)?)?;
        if !params.is_empty() {
            mirrored.insert(name, Arc::new(params));
        }
    }
    Ok(mirrored)
}

/// One call of a tool.
struct Call<'a> {
    server: &'a Everything,
    request: &'a Request,
    context: &'a Context,
    params: RawJson,
}

impl Call<'_> {
    /// The arguments, read as a type.
    fn arguments<T: DeserializeOwned>(&self) -> Result<T, ErrorObject> {
        let text = self.raw_arguments()?.map_or("{}", RawValue::get);
        serde_json::from_str(text).map_err(|error| invalid(format!("invalid arguments: {error}")))
    }

    /// The arguments as they came.
    fn raw_arguments(&self) -> Result<Option<&RawValue>, ErrorObject> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow, default)]
            arguments: Option<&'a RawValue>,
        }
        let params: Params<'_> =
            self.params.deserialize().map_err(|error| invalid(format!("invalid params: {error}")))?;
        Ok(params.arguments)
    }

    fn input(&self) -> Result<Input, ErrorObject> {
        Input::of(self.request)
    }
}

pub(crate) async fn call(server: &Everything, request: &Request, context: &Context) -> Answer {
    let name =
        request.name().map(Cow::into_owned).ok_or_else(|| invalid("`params.name` must be a string"))?;
    let params = request.params().unwrap_or_else(RawJson::empty_object);
    let call = Call { server, request, context, params };
    match name.as_str() {
        "test_simple_text" => content::simple_text(),
        "test_image_content" => content::image(),
        "test_audio_content" => content::audio(),
        "test_embedded_resource" => content::embedded_resource(),
        "test_multiple_content_types" => content::mixed(),
        "test_error_handling" => failed("This tool fails on purpose."),
        "json_schema_2020_12_tool" => content::greeting(&call),
        "test_custom_header" => content::region(&call),
        "test_tool_with_logging" => notify::logging(&call).await,
        "test_logging_tool" => notify::one_log(&call).await,
        "test_tool_with_progress" => notify::half_way(&call).await,
        "test_reconnection" => notify::reconnection(&call).await,
        "test_trigger_tool_change" => notify::tools_changed(&call),
        "test_trigger_prompt_change" => notify::prompts_changed(&call),
        "test_trigger_resource_update" => notify::resource_updated(&call),
        "test_sampling" => ask::sampling(&call).await,
        "test_elicitation" => ask::elicitation(&call).await,
        "test_elicitation_sep1034_defaults" => ask::defaults(&call).await,
        "test_elicitation_sep1330_enums" => ask::enums(&call).await,
        "test_missing_capability" => ask::needs_sampling(&call),
        "test_streaming_elicitation" => ask::streaming(&call).await,
        "echo" => wire::echo(&call),
        "progress" => wire::progress(&call).await,
        "slow" => wire::slow(&call).await,
        "test_panic" => wire::panics(),
        name if name.starts_with("test_input_required_result_") => input_required::call(&call, name).await,
        name => Err(unknown("tool", name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_that_want_headers_are_known_by_their_names() {
        let mirrored = header_params().unwrap();
        assert_eq!(mirrored.keys().collect::<Vec<_>>(), ["test_custom_header"]);
    }
}
