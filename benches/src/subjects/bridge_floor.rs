//! The floor of a bridge: what its two ways cost at least, one after the other. Each call goes to the hyper echo, and
//! then to a newline echo over pipes.

use super::api_floor::{ApiFloor, SlotCaller};
use super::floor::{Echoed, Floor};
use super::http_floor::HttpFloor;
use crate::http::{HttpCaller, HttpServer};
use crate::subject::Answer;
use crate::{Answers, Caller, Case, Connection, Failure, Medium, PipeSize, Subject};

/// The floor of a bridge.
pub(crate) struct BridgeFloor;

/// Goes both ways.
pub(crate) struct BothCaller {
    http: HttpCaller,
    pipes: Pipes,
}

enum Pipes {
    Alone(Echoed),
    Shared(SlotCaller),
}

impl Subject for BridgeFloor {
    const NAME: &'static str = "floor";
    const SERVER: &'static str = HttpFloor::SERVED;
    type Caller = BothCaller;

    fn cases() -> Vec<Case> {
        Case::BRIDGE.to_vec()
    }

    async fn connect(_: Medium, callers: usize) -> Result<Connection<BothCaller>, Failure> {
        let server = HttpServer::start(Self::SERVER).await?;
        let http = HttpCaller::open_echo(server.address, Answers::Json, callers).await?;
        let medium = Medium::Pipes(PipeSize::Default);
        let (pipes, far): (Vec<Pipes>, _) = if callers == 1 {
            let alone = Floor::connect(medium, 1).await?;
            (alone.callers.into_iter().map(Pipes::Alone).collect(), alone.owner)
        } else {
            let shared = ApiFloor::connect(medium, callers).await?;
            (shared.callers.into_iter().map(Pipes::Shared).collect(), shared.owner)
        };
        let both = http.into_iter().zip(pipes).map(|(http, pipes)| BothCaller { http, pipes });
        Ok(Connection { callers: both.collect(), owner: Box::new((server, far)) })
    }
}

impl Caller for BothCaller {
    async fn call(&mut self, text: &str) -> Result<Answer, Failure> {
        let over_http = self.http.call(text).await?;
        let over_pipes = match &mut self.pipes {
            Pipes::Alone(caller) => caller.call(text).await?,
            Pipes::Shared(caller) => caller.call(text).await?,
        };
        Ok(Answer { right: over_http.right && over_pipes.right })
    }
}
