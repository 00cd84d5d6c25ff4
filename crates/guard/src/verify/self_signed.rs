//! The path of a self-signed JWT.

use countersign_protocol::{
    AccountId, CLIENT_CLOCK_AHEAD, Coverage, CoveredTarget, Principal, ProofKind, ProvenKey,
    UnixTime, Unspent,
    keys::{PublicKey, Thumbprint, decoy},
    proofs::self_signed::{
        PresentedSelfSigned, SelfSigned, SelfSignedError, SelfSignedExpectations,
    },
    replay::ReplayOwner,
    strict::json,
};

use super::{Guard, Request, Verdict, check_scope, client_network, owner, unavailable};
use crate::{
    ports::{AccountKey, ReplayError, TokenStanding},
    proofs::{AcrossRestarts, Memory, Reuse, SelfSignedPolicy, SelfSignedProofs},
    refusal::{Refusal, Refused, Signer},
    verify::Verified,
};

/// The member of a JSON body that may name the account.
const SOURCE: &str = "source";

impl SelfSignedProofs {
    /// Whether the body must be read before `text` can be verified.
    pub(super) fn need_body(&self, text: &str) -> bool {
        PresentedSelfSigned::parse(text).is_ok_and(|jwt| {
            let nameless = || jwt.account() == Ok(None) && account_in_kid(&jwt).is_none();
            jwt.has_body_hash() || self.policy.other_names && nameless()
        })
    }
}

impl Guard {
    /// Decides about a request with the self-signed JWT `text`.
    pub(super) async fn verify_self_signed(
        &self,
        text: &str,
        proofs: &SelfSignedProofs,
        request: Request<'_>,
        now: UnixTime,
    ) -> Verdict {
        let refused = |refusal| Refused::early(refusal, ProofKind::SelfSigned);
        let invalid = |error: SelfSignedError| refused(error.into());
        let jwt = parse(text).map_err(refused)?;
        let name = account_name(&jwt, &proofs.policy, request.body).map_err(invalid)?;
        let kid: Option<Thumbprint> = jwt.kid().and_then(|kid| kid.parse().ok());
        let candidates =
            proofs.keys.account_keys(&name, kid.as_ref(), client_network(request.parts)).await;
        let candidates = candidates.map_err(|error| refused(unavailable(error)))?;
        let verified = self.verify_by(jwt, &candidates, proofs, request.body, now);
        let (verified, signer) = verified.map_err(invalid)?;
        let who = Signer { account_id: signer.account_id, key: signer.key.thumbprint() };
        let refused = |refusal| Refused::of_signer(refusal, ProofKind::SelfSigned, who);
        if signer.standing == TokenStanding::Revoked {
            return Err(refused(Refusal::Revoked));
        }
        // Only who holds the key learns which accounts may use MD5.
        let function = verified.peek().body_hash;
        if function.is_some_and(|function| !signer.body_hashes.include(function)) {
            return Err(refused(SelfSignedError::Md5.into()));
        }
        if proofs.policy.source_is_signer {
            self.check_source(&name, signer.account_id, proofs, request).await.map_err(refused)?;
        }
        check_scope(request.scope, &signer.scopes).map_err(refused)?;
        let owner = owner(signer.account_id, request.parts);
        let jwt = self.spend(verified, owner, proofs, now).await.map_err(refused)?;
        proofs.keys.key_used(who.account_id, &who.key, now).await;
        let principal = Principal {
            account_id: signer.account_id,
            username: signer.username.clone(),
            key: Some(ProvenKey::of(jwt.thumbprint)),
            proof: ProofKind::SelfSigned,
            token_id: None,
            scopes: signer.scopes.clone(),
            narrowed: false,
            covers: coverage(&jwt),
            issued_at: None,
            expires_at: jwt.expires_at,
        };
        Ok(Verified { principal, session_nonce: None })
    }

    /// Verifies with whichever candidate has signed, or else with a decoy: an account that is not
    /// there costs a verification too, and the answer is that of a wrong signature.
    fn verify_by<'k>(
        &self,
        jwt: PresentedSelfSigned<'_>,
        candidates: &'k [AccountKey],
        SelfSignedProofs { policy, .. }: &SelfSignedProofs,
        body: Option<&[u8]>,
        now: UnixTime,
    ) -> Result<(Unspent<SelfSigned>, &'k AccountKey), SelfSignedError> {
        let expected = SelfSignedExpectations {
            issuer: &self.0.policy.issuer,
            audience: &self.0.policy.audience,
            require_audience: policy.require_audience,
            max_lifetime: policy.max_lifetime,
            skew: self.0.policy.skew,
            body,
            body_hashes: policy.body_hashes,
            require_body_hash: policy.require_body_hash,
        };
        let algorithm = jwt.algorithm();
        let keys = candidates.iter().map(|candidate| &candidate.key);
        let fitting: Vec<&PublicKey> = keys.filter(|key| jwt.may_be_by(key)).collect();
        let keys = if fitting.is_empty() { vec![decoy(algorithm)] } else { fitting };
        let verified = jwt.verify(keys, &expected, now)?;
        let signer = verified.peek().thumbprint;
        let signer = candidates.iter().find(|candidate| candidate.key.thumbprint() == signer);
        signer.map(|signer| (verified, signer)).ok_or(SelfSignedError::Signature)
    }

    /// Sees that the body is by the account that its `source` names. `name` is known to be one of the
    /// account `signer`.
    async fn check_source(
        &self,
        name: &str,
        signer: AccountId,
        proofs: &SelfSignedProofs,
        request: Request<'_>,
    ) -> Result<(), Refusal> {
        let other = || Refusal::from(SelfSignedError::Source);
        let source = request.body.and_then(account_in_body).ok_or_else(other)?;
        if source == name {
            return Ok(());
        }
        let client = client_network(request.parts);
        let keys = proofs.keys.account_keys(&source, None, client).await.map_err(unavailable)?;
        let is_signer = keys.iter().any(|key| key.account_id == signer);
        is_signer.then_some(()).ok_or_else(other)
    }

    /// Records the JWT as used, where the policy lets it be used once.
    async fn spend(
        &self,
        jwt: Unspent<SelfSigned>,
        owner: ReplayOwner,
        proofs: &SelfSignedProofs,
        now: UnixTime,
    ) -> Result<SelfSigned, Refusal> {
        if proofs.policy.reuse == Reuse::UntilExpiry {
            return Ok(jwt.until_expiry());
        }
        let log = &*self.0.ports.replay_log;
        let ahead = self.0.policy.skew.max(CLIENT_CLOCK_AHEAD);
        let since = proofs.across_restarts.as_ref().map(|across| {
            let since = log.began_anew().map_or(across.since, |anew| anew.max(across.since));
            self.0.memory_start.not_before(since, &*self.0.ports.clock)
        });
        let memory = since.map_or(Memory::Volatile, |since| {
            AcrossRestarts::memory_for(since, jwt.peek().issued_at, ahead, now)
        });
        let memory_is_sure = since.map_or(UnixTime::EPOCH, |since| since + ahead);
        let durable = proofs.across_restarts.as_ref().and_then(|across| across.durable.as_deref());
        let durable = match (memory, durable) {
            (Memory::NotYet | Memory::Unknown | Memory::Durable, None) => {
                return Err(not_to_be_told(jwt.peek().issued_at, memory_is_sure, now));
            }
            (Memory::NotYet, Some(_)) => return Err(Refusal::JustStarted),
            (Memory::Unknown, Some(_)) => return Err(Refusal::BeforeStart),
            (Memory::Durable, Some(durable)) => Some(durable),
            (Memory::Volatile, _) => None,
        };
        let mut receipt =
            log.check_and_insert(jwt.entry(), owner, now).await.map_err(|error| used(&error))?;
        if let Some(durable) = durable {
            receipt = durable
                .check_and_insert(jwt.entry(), owner, now)
                .await
                .map_err(|error| used(&error))?;
        }
        jwt.redeem(&receipt).ok_or(Refusal::JwtUsed)
    }
}

/// Why a JWT is refused that would have to be looked up where a restart makes nothing forget, while
/// there is no such place. After `memory_is_sure` no JWT that is made can be taken for one from before
/// the start, whatever clock made it; until then its owner is told how long to wait.
fn not_to_be_told(issued_at: Option<UnixTime>, memory_is_sure: UnixTime, now: UnixTime) -> Refusal {
    let from_now =
        |until: UnixTime| until.as_millis().saturating_sub(now.as_millis()).div_ceil(1000).max(1);
    match issued_at {
        Some(issued_at) if issued_at > memory_is_sure => {
            Refusal::MadeAhead { seconds: from_now(issued_at) }
        }
        Some(_) if now <= memory_is_sure => {
            let sure = UnixTime::from_secs(memory_is_sure.as_secs() + 1);
            Refusal::StartedLately { seconds: from_now(sure) }
        }
        Some(_) | None => Refusal::BeforeStart,
    }
}

fn used(error: &ReplayError) -> Refusal {
    match error {
        ReplayError::ShareUsedUp(error) => (*error).into(),
        ReplayError::Used => Refusal::JwtUsed,
        ReplayError::BegunAnew => Refusal::JustStarted,
        ReplayError::Unavailable(_) => Refusal::Unavailable(error.to_string()),
    }
}

/// A self-signed JWT says neither method nor URI, but may name the one server that it is for.
const fn coverage(jwt: &SelfSigned) -> Coverage {
    let target = if jwt.names_server { CoveredTarget::Server } else { CoveredTarget::Anywhere };
    Coverage { target, body: jwt.body_sha256 }
}

/// Parses a bearer token; an access token of ours among them is a downgrade.
fn parse(text: &str) -> Result<PresentedSelfSigned<'_>, Refusal> {
    PresentedSelfSigned::parse(text).map_err(|error| match error {
        SelfSignedError::AccessToken => Refusal::Downgrade,
        _ => error.into(),
    })
}

/// The account that the JWT, or where the policy allows it something beside it, names. Whatever
/// names it, a key of that account must have signed.
fn account_name(
    jwt: &PresentedSelfSigned<'_>,
    policy: &SelfSignedPolicy,
    body: Option<&[u8]>,
) -> Result<String, SelfSignedError> {
    if let Some(name) = jwt.account()? {
        return Ok(name.to_owned());
    }
    if !policy.other_names {
        return Err(SelfSignedError::NoAccount);
    }
    let named = account_in_kid(jwt).map(str::to_owned);
    named.or_else(|| account_in_body(body?)).ok_or(SelfSignedError::NoAccount)
}

/// A `kid` that is no thumbprint can only be another name of the account.
fn account_in_kid<'a>(jwt: &'a PresentedSelfSigned<'_>) -> Option<&'a str> {
    jwt.kid().filter(|kid| kid.parse::<Thumbprint>().is_err())
}

fn account_in_body(body: &[u8]) -> Option<String> {
    Some(json::parse_object(body).ok()?.get(SOURCE)?.as_str()?.to_owned())
}
