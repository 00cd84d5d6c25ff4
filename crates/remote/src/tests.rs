//! A guard and an issuer that it reaches over a real socket.

mod at_scale;
mod caller;
mod issuer;
mod logins;
mod outages;
mod proofs;
mod revocations;
mod signing_keys;

use std::sync::Arc;

use countersign_guard::{Refusal, ports::Clock as _};
use countersign_protocol::Principal;
use countersign_testkit::{clock::FixedClock, random::SeededRandom, samples::NOW};
use http::request::Parts;

use self::issuer::FakeIssuer;
use crate::{RemoteGuard, ResourceServer};

/// The origin of the service.
const ORIGIN: &str = "https://api.example";

/// A service and its issuer.
struct World {
    issuer: FakeIssuer,
    clock: Arc<FixedClock>,
    remote: RemoteGuard,
}

impl World {
    async fn new() -> Self {
        Self::with(|server| server).await
    }

    /// With other settings; the issuer has been asked once.
    async fn with(alter: impl FnOnce(ResourceServer) -> ResourceServer) -> Self {
        let world = Self::over(FakeIssuer::start().await, alter);
        world.remote.ready().await.unwrap();
        // After the first look of the upkeep, which tests do not wait for.
        world.remote.refresh().await.unwrap();
        world
    }

    fn over(issuer: FakeIssuer, alter: impl FnOnce(ResourceServer) -> ResourceServer) -> Self {
        let clock = Arc::new(FixedClock::at(NOW));
        issuer.set_clock(&clock);
        let random = Arc::new(SeededRandom::new(1));
        let server = ResourceServer::new(&issuer.origin, ORIGIN).unwrap();
        let server = server.ports(Arc::<FixedClock>::clone(&clock), random);
        let remote = alter(server).start().unwrap();
        Self { issuer, clock, remote }
    }

    async fn verify(&self, parts: &Parts) -> Result<Principal, Refusal> {
        self.remote.guard().verify(parts).await.map_err(|refused| refused.refusal)
    }

    /// What the upkeep does all the time.
    async fn refresh(&self) -> Result<(), String> {
        self.remote.refresh().await.map_err(|error| error.to_string())
    }
}
