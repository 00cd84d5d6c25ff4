//! One decision: the request, the moment, and what the guard decides with.

use countersign_protocol::{
    UnixTime,
    keys::{PublicKey, Thumbprint},
};

use crate::{
    memory_start::MemoryStart, policy::GuardPolicy, ports::GuardPorts, refusal::Refusal,
    request::Request,
};

/// What every kind of proof is verified with.
pub(crate) struct Wiring {
    pub(crate) policy: GuardPolicy,
    pub(crate) ports: GuardPorts,
    pub(crate) memory_start: MemoryStart,
}

/// A request that is decided about.
pub(crate) struct Case<'a> {
    pub(crate) request: Request<'a>,
    /// When; the clock is read once for each request.
    pub(crate) now: UnixTime,
    pub(crate) wiring: &'a Wiring,
}

impl<'a> Case<'a> {
    pub(crate) const fn policy(&self) -> &'a GuardPolicy {
        &self.wiring.policy
    }

    pub(crate) const fn ports(&self) -> &'a GuardPorts {
        &self.wiring.ports
    }

    /// The issuer's key that a token names.
    pub(crate) async fn issuer_key(&self, kid: Option<Thumbprint>) -> Result<PublicKey, Refusal> {
        let kid = kid.ok_or(Refusal::UnknownSigningKey)?;
        let key = self.ports().issuer_keys.issuer_key(&kid, self.now).await?;
        key.ok_or(Refusal::UnknownSigningKey)
    }
}
