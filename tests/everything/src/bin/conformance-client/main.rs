//! The client that the official conformance suite runs, once for each scenario.
//!
//! The suite gives the URL as the last argument, and the rest in its environment. What the client prints last is
//! `done`, when it has done all that the scenario asks of it; the exit status says the same.
#![forbid(unsafe_code)]

mod answers;
mod scenarios;

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use serde_json::json;
use towpath::{Client, Era, Implementation, Preference, Revision, http::HttpConnect};

use self::{answers::Answers, scenarios::Scenario};

/// What goes wrong ends the client, and is for a person to read.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Shorter than what the suite waits for its clients.
const LIMIT: Duration = Duration::from_secs(12);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match tokio::time::timeout(LIMIT, run()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("not done within {LIMIT:?}").into()),
    };
    match outcome {
        Ok(()) => {
            println!("done");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("conformance-client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let url = env::args().nth(1).ok_or("usage: conformance-client URL, with the variables of the suite")?;
    let scenario = Scenario::named(&env::var("MCP_CONFORMANCE_SCENARIO")?)?;
    let revision = env::var("MCP_CONFORMANCE_PROTOCOL_VERSION")?;
    let revision =
        Revision::parse(&revision).ok_or_else(|| format!("{revision} is no revision that is known here"))?;
    let answers = Answers::new();
    let client = connect(&url, revision, answers.clone()).await?;
    scenario.run(&client, &answers).await?;
    client.close().await;
    Ok(())
}

/// A client that offers a revision, and of its era no later one.
async fn connect(url: &str, revision: Revision, answers: Answers) -> Outcome<Client> {
    let preference = match revision.era() {
        Era::Legacy => Preference::LegacyOnly,
        Era::Modern => Preference::ModernOnly,
    };
    let revisions: Vec<Revision> = Revision::ALL
        .iter()
        .copied()
        .filter(|known| known.era() == revision.era() && *known <= revision)
        .collect();
    let builder =
        Client::builder(&Implementation::new("towpath-conformance-client", env!("CARGO_PKG_VERSION")))
            .preference(preference)
            .revisions(revisions)
            .capabilities(json!({"elicitation": {}, "roots": {}, "sampling": {}}))
            .handler(answers);
    let connect = HttpConnect::new(Default::default(), Default::default())?;
    Ok(builder.connect_http(Arc::new(connect), url.parse()?, Default::default()).await?)
}
