//! Tools that answer that something is missing (2026-07-28, basic/patterns/mrtr). Where a legacy client can be asked
//! the same, it is.

use serde_json::{Value, json};
use towpath::Era;

use super::Call;
use crate::{
    answer::{Answer, failed, text, unknown},
    input::{Ask, Input, elicited, required, sampled},
};

pub(super) async fn call(call: &Call<'_>, name: &str) -> Answer {
    let input = call.input()?;
    let one = match name {
        "test_input_required_result_elicitation" => who("user_name", "What is your name?"),
        "test_input_required_result_sampling" => {
            Ask::sample("capital_question", "What is the capital of France?")
        }
        "test_input_required_result_list_roots" => Ask::roots("client_roots"),
        _ => return stateful(call, name, &input),
    };
    let response = match input.ask(call.context, one).await {
        Ok(response) => response,
        Err(answer) => return answer,
    };
    match name {
        "test_input_required_result_elicitation" => text(format!("Hello, {}!", elicited(&response, "name"))),
        "test_input_required_result_sampling" => text(format!("The model says: {}", sampled(&response))),
        _ => {
            let roots = response.get("roots").and_then(Value::as_array);
            let uris = roots.into_iter().flatten().filter_map(|root| root.get("uri")?.as_str());
            text(format!("The roots are: {}", uris.collect::<Vec<_>>().join(", ")))
        }
    }
}

/// Those that need the modern era: several things at once, or a state that travels with the client.
fn stateful(call: &Call<'_>, name: &str, input: &Input) -> Answer {
    let run = match name {
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => confirm,
        "test_input_required_result_multiple_inputs" => three_at_once,
        "test_input_required_result_multi_round" => two_rounds,
        "test_input_required_result_capabilities" => what_is_possible,
        _ => return Err(unknown("tool", name)),
    };
    match call.context.era() {
        Era::Modern => run(call, name, input),
        Era::Legacy => failed("This tool needs a client that speaks 2026-07-28."),
    }
}

fn confirm(call: &Call<'_>, name: &str, input: &Input) -> Answer {
    let ask = Ask::elicit("confirm", "Please confirm", json!({"ok": {"type": "boolean"}}), &["ok"]);
    let known = input.state.as_deref().map(|state| call.server.seal.open(name, state)).transpose()?;
    match (known, input.response(&ask)) {
        (Some(_), Some(_)) => text("The state came back as it was sent: state-ok"),
        _ => demand(call, name, 1, &[ask]),
    }
}

fn three_at_once(call: &Call<'_>, name: &str, input: &Input) -> Answer {
    let asks = [
        who("user_name", "What is your name?"),
        Ask::sample("greeting", "Greet the user"),
        Ask::roots("client_roots"),
    ];
    let known = input.state.as_deref().map(|state| call.server.seal.open(name, state)).transpose()?;
    match known.is_some() && asks.iter().all(|ask| input.response(ask).is_some()) {
        true => text("All three have come."),
        false => demand(call, name, 1, &asks),
    }
}

fn two_rounds(call: &Call<'_>, name: &str, input: &Input) -> Answer {
    let stage = input.state.as_deref().map(|state| call.server.seal.open(name, state)).transpose()?;
    let first = who("step1", "First: what is your name?");
    let second = Ask::elicit(
        "step2",
        "Second: which colour do you like?",
        json!({"color": {"type": "string"}}),
        &["color"],
    );
    match stage {
        Some(1) if input.response(&first).is_some() => demand(call, name, 2, &[second]),
        Some(2) if input.response(&second).is_some() => text("Both rounds are done."),
        Some(2) => demand(call, name, 2, &[second]),
        _ => demand(call, name, 1, &[first]),
    }
}

fn what_is_possible(call: &Call<'_>, _: &str, input: &Input) -> Answer {
    if input.is_answered() {
        return text("What was possible has come.");
    }
    let asks = [
        who("user_name", "What is your name?"),
        Ask::sample("greeting", "Greet the user"),
        Ask::roots("client_roots"),
    ];
    let possible: Vec<&Ask> = asks.iter().filter(|ask| ask.is_possible(call.context)).collect();
    match possible.is_empty() {
        true => text("The client can be asked for nothing."),
        false => required(possible, None),
    }
}

/// Asks for all of it, and for the state to come back; or says what the client lacks.
fn demand(call: &Call<'_>, name: &str, stage: u32, asks: &[Ask]) -> Answer {
    if let Some(ask) = asks.iter().find(|ask| !ask.is_possible(call.context)) {
        return Err(ask.impossible(call.context));
    }
    required(asks, Some(call.server.seal.close(name, stage)?))
}

fn who(key: &'static str, question: &str) -> Ask {
    Ask::elicit(key, question, json!({"name": {"type": "string"}}), &["name"])
}
