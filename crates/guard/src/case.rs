//! One decision: the request, the moment, and what the guard decides with.

use countersign_protocol::{
    AuthenticationContext, Scopes, UnixTime,
    keys::{PublicKey, Thumbprint},
};

use crate::{
    memory_start::MemoryStart, policy::GuardPolicy, ports::GuardPorts, refusal::Refusal,
    request::Request, requirements::Requirements,
};

/// What every kind of proof is verified with.
pub(crate) struct Wiring {
    pub(crate) policy: GuardPolicy,
    pub(crate) ports: GuardPorts,
    pub(crate) memory_start: MemoryStart,
}

impl Wiring {
    /// Sees that a principal who has the scopes `granted`, and has logged in by `login`, has what the
    /// policy and `required` require at `now`. Scopes come first: without them no login would help.
    pub(crate) fn check_requirements(
        &self,
        required: &Requirements,
        (granted, login): (&Scopes, Option<AuthenticationContext>),
        now: UnixTime,
    ) -> Result<(), Refusal> {
        if !granted.includes(&required.scopes) {
            return Err(Refusal::InsufficientScope(required.scopes.clone()));
        }
        let of_login = self.policy.login.and(required.login);
        Ok(of_login.check(login, self.policy.skew, now)?)
    }
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

    /// Sees that a principal who has the scopes `granted`, and has logged in by `login`, has what is
    /// required.
    pub(crate) fn check_requirements(
        &self,
        granted: &Scopes,
        login: Option<AuthenticationContext>,
    ) -> Result<(), Refusal> {
        self.wiring.check_requirements(self.request.required, (granted, login), self.now)
    }

    /// The issuer's key that a token names.
    pub(crate) async fn issuer_key(&self, kid: Option<Thumbprint>) -> Result<PublicKey, Refusal> {
        let kid = kid.ok_or(Refusal::UnknownSigningKey)?;
        let key = self.ports().issuer_keys.issuer_key(&kid, self.now).await?;
        key.ok_or(Refusal::UnknownSigningKey)
    }
}
