//! What goes wrong with the exchanges of HTTP.

mod accept;
mod body;
mod connect;

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use accept::{FaultAccept, FaultArrival, FaultRequestBody};
pub use body::FaultBody;
pub use connect::FaultConnect;
use fastrand::Rng;
use towpath_raw::{Accept, Connect};

use super::{
    FaultKind, FaultStats, StreamFaults, Which,
    code::Code,
    common::{self, place, rng, time_within},
    frames::random_which,
    stats::Counters,
    tap::Tap,
};

/// What a [`FaultConnect`] or a [`FaultAccept`] does to exchanges. They are counted from 0, in the order in which they
/// are asked for, or arrive.
///
/// The same seed gives the same decisions for the exchange with the same number, whatever the timing: each draws for
/// itself, and each of its bodies does. Its `Display` is the code that makes it, seed included.
///
/// ```
/// use towpath_raw::{Accept, Arrival, Chunks, ChunksExt, Connect};
/// use towpath_testkit::{FaultKind, HttpPlan, StreamFaults, Which, memory_http};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let plan = HttpPlan::new(7).lose_answer(0).response(Which::OneIn(1), StreamFaults::none().chunks(2));
/// println!("{plan}");
/// let (client, mut server) = memory_http();
/// let client = plan.connect(client);
/// tokio::spawn(async move {
///     while let Some(arrival) = server.accept().await {
///         let (head, ()) = http::Response::new(()).into_parts();
///         arrival.respond(head, Some(bytes::Bytes::from_static(b"hello")));
///     }
/// });
/// let head = || http::Request::new(()).into_parts().0;
/// assert!(client.exchange(head(), bytes::Bytes::new()).await.is_err());
/// let (_, mut body) = client.exchange(head(), bytes::Bytes::new()).await.unwrap();
/// assert!(body.chunk().await.unwrap().unwrap().len() <= 2);
/// assert_eq!(plan.stats().of(FaultKind::LoseAnswer), 1);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpPlan {
    seed: u64,
    faults: HttpFaults,
    counters: Arc<Counters>,
}

#[derive(Clone, Debug, Default)]
struct HttpFaults {
    head_delay: Option<RangeInclusive<Duration>>,
    lose_request: Option<Which>,
    lose_answer: Option<Which>,
    duplicate: Option<Which>,
    reorder: Option<(Which, Duration)>,
    request: Option<(Which, StreamFaults)>,
    response: Option<(Which, StreamFaults)>,
}

/// What is decided about one exchange.
#[derive(Debug)]
struct Turn {
    lose_request: bool,
    lose_answer: bool,
    twice: bool,
    hold: Option<Duration>,
    head_delay: Duration,
    request: Option<Tap>,
    response: Option<Tap>,
}

impl HttpPlan {
    /// A plan without faults.
    pub fn new(seed: u64) -> Self {
        Self { seed, faults: HttpFaults::default(), counters: Arc::default() }
    }

    /// A plan whose script is drawn as well: any faults.
    pub fn random(seed: u64) -> Self {
        let rng = &mut rng(seed, [place::SCRIPT, place::EXCHANGE, 0]);
        let mut plan = Self::new(seed);
        let millis = |rng: &mut Rng, most| Duration::from_millis(rng.u64(0..=most));
        if rng.bool() {
            plan = plan.head_delay(Duration::ZERO..=millis(rng, 50));
        }
        if rng.bool() {
            plan = plan.response(random_which(rng, 8), StreamFaults::random(rng));
        }
        let which = random_which(rng, 8);
        match rng.u8(0..6) {
            0 => plan.lose_request(which),
            1 => plan.lose_answer(which),
            2 => plan.duplicate(which),
            3 => plan.reorder(which, millis(rng, 100)),
            4 => plan.request(which, StreamFaults::random(rng)),
            _ => plan,
        }
    }

    /// Heads are kept back for a time drawn from this range: those of responses on the client's side, those of requests
    /// on the server's. A range of one value is a delay, a wider one has jitter, too.
    #[must_use]
    pub fn head_delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.faults.head_delay = Some(range);
        self
    }

    /// These requests do not arrive: the client is told that there is no connection, the server never hears of them.
    #[must_use]
    pub fn lose_request(mut self, which: impl Into<Which>) -> Self {
        self.faults.lose_request = Some(which.into());
        self
    }

    /// These requests arrive, and their answers get lost: the client is told that the exchange broke off.
    #[must_use]
    pub fn lose_answer(mut self, which: impl Into<Which>) -> Self {
        self.faults.lose_answer = Some(which.into());
        self
    }

    /// These requests are sent twice at once, as a proxy that retries does, and the second is the one whose answer is
    /// used. On the client's side only.
    #[must_use]
    pub fn duplicate(mut self, which: impl Into<Which>) -> Self {
        self.faults.duplicate = Some(which.into());
        self
    }

    /// These requests are held back for this time, and others overtake them.
    #[must_use]
    pub fn reorder(mut self, which: impl Into<Which>, hold: Duration) -> Self {
        self.faults.reorder = Some((which.into(), hold));
        self
    }

    /// What happens to the bodies of these requests. A client's transport takes a body whole, so that there only what is
    /// corrupted, and where it is cut, has an effect: the server gets the shorter one. On the server's side all has.
    #[must_use]
    pub fn request(mut self, which: impl Into<Which>, faults: StreamFaults) -> Self {
        self.faults.request = Some((which.into(), faults));
        self
    }

    /// What happens to the bodies of the responses to these requests, event streams among them. Heads stay as they are,
    /// a declared length too.
    #[must_use]
    pub fn response(mut self, which: impl Into<Which>, faults: StreamFaults) -> Self {
        self.faults.response = Some((which.into(), faults));
        self
    }

    /// A client's side with these faults.
    pub fn connect<C: Connect>(&self, connect: C) -> FaultConnect<C> {
        FaultConnect::new(connect, Turns::new(self))
    }

    /// A server's side with these faults.
    pub fn accept<A: Accept>(&self, accept: A) -> FaultAccept<A> {
        FaultAccept::new(accept, Turns::new(self))
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What was done to the exchanges of all that this plan and its clones wrap.
    pub fn stats(&self) -> FaultStats {
        self.counters.stats()
    }
}

impl fmt::Display for HttpPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = &self.faults;
        write!(f, "HttpPlan::new({})", self.seed)?;
        if let Some(range) = &faults.head_delay {
            write!(f, ".head_delay({})", Code(range))?;
        }
        let named = [
            ("lose_request", faults.lose_request),
            ("lose_answer", faults.lose_answer),
            ("duplicate", faults.duplicate),
        ];
        for (name, which) in named {
            if let Some(which) = which {
                write!(f, ".{name}({})", Code(which))?;
            }
        }
        if let Some((which, hold)) = faults.reorder {
            write!(f, ".reorder({}, {})", Code(which), Code(hold))?;
        }
        for (name, bodies) in [("request", &faults.request), ("response", &faults.response)] {
            if let Some((which, faults)) = bodies {
                write!(f, ".{name}({}, {faults})", Code(*which))?;
            }
        }
        Ok(())
    }
}

/// Decides about one exchange after the other.
#[derive(Debug)]
struct Turns {
    plan: HttpPlan,
    next: AtomicU64,
    /// How many exchanges were let go.
    gone: AtomicU64,
}

impl Turns {
    fn new(plan: &HttpPlan) -> Self {
        Self { plan: plan.clone(), next: AtomicU64::new(0), gone: AtomicU64::new(0) }
    }

    fn next(&self) -> Turn {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let HttpPlan { seed, faults, counters } = &self.plan;
        let mut rng = common::rng(*seed, [place::EXCHANGE, number, 0]);
        let head_delay = faults.head_delay.as_ref().map(|range| time_within(range, &mut rng));
        let mut meets = |which: Option<Which>| which.is_some_and(|which| which.is(number, &mut rng));
        let mut tap = |bodies: &Option<(Which, StreamFaults)>, what| {
            let (which, faults) = bodies.as_ref()?;
            meets(Some(*which)).then(|| Tap::new(faults.clone(), *seed, [what, number], Arc::clone(counters)))
        };
        let (request, response) =
            (tap(&faults.request, place::REQUEST), tap(&faults.response, place::RESPONSE));
        Turn {
            request,
            response,
            lose_request: meets(faults.lose_request),
            lose_answer: meets(faults.lose_answer),
            twice: meets(faults.duplicate),
            hold: faults.reorder.filter(|(which, _)| meets(Some(*which))).map(|(_, hold)| hold),
            head_delay: head_delay.unwrap_or_default(),
        }
    }

    fn count(&self, kind: FaultKind) {
        self.plan.counters.count(kind);
    }

    fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }

    /// One more is let go; it was held back since so many were.
    fn let_go(&self, since: Option<u64>) {
        if since.is_some_and(|since| since < self.gone()) {
            self.count(FaultKind::Reorder);
        }
        self.gone.fetch_add(1, Ordering::Relaxed);
    }
}
