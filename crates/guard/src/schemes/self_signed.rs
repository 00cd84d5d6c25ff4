//! A JWT that an account signs itself.

mod across_restarts;
mod settings;

use countersign_protocol::{
    AccountId, CLIENT_CLOCK_AHEAD, Coverage, CoveredTarget, Principal, ProofKind, ProvenKey,
    UnixTime, Unspent,
    keys::{Algorithm, PublicKey, Thumbprint, decoy},
    proofs::self_signed::{
        PresentedSelfSigned, SelfSigned, SelfSignedError, SelfSignedExpectations,
    },
    replay::{FoundNew, LogEpoch, ReplayOwner},
    strict::json,
    wire::scheme::BEARER,
};

use self::across_restarts::Memory;
pub use self::{
    across_restarts::AcrossRestarts,
    settings::{Reuse, SelfSignedPolicy, SelfSignedProofs},
};
use crate::{
    case::Case,
    ports::{AccountKey, ReplayError, ReplayLog, TokenStanding},
    refusal::{Refusal, Refused, Signer},
    request::{Accepted, Verdict},
};

/// The member of a JSON body that may name the account.
const SOURCE: &str = "source";

/// The challenge, without an error.
pub(crate) fn challenge() -> String {
    format!("{BEARER} algs=\"{}\"", Algorithm::NAMES.join(" "))
}

impl SelfSignedProofs {
    /// Whether the body must be read before `text` can be verified.
    pub(crate) fn need_body(&self, text: &str) -> bool {
        PresentedSelfSigned::parse(text).is_ok_and(|jwt| {
            let nameless = || jwt.account() == Ok(None) && account_in_kid(&jwt).is_none();
            jwt.has_body_hash() || self.policy.other_names && nameless()
        })
    }

    /// Decides about a request with the self-signed JWT `text`.
    pub(crate) async fn verify(&self, text: &str, case: &Case<'_>) -> Verdict {
        let Case { request, now, .. } = case;
        let refused = |refusal| Refused::early(refusal, ProofKind::SelfSigned);
        let invalid = |error: SelfSignedError| refused(error.into());
        let jwt = parse(text).map_err(refused)?;
        let name = account_name(&jwt, &self.policy, request.body).map_err(invalid)?;
        let kid: Option<Thumbprint> = jwt.kid().and_then(|kid| kid.parse().ok());
        let candidates = self.keys.account_keys(&name, kid.as_ref(), request.network()).await;
        let candidates = candidates.map_err(|error| refused(error.into()))?;
        let (verified, signer) = self.verify_by(jwt, &candidates, case).map_err(invalid)?;
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
        if self.policy.source_is_signer {
            self.check_source(&name, signer.account_id, case).await.map_err(refused)?;
        }
        case.check_requirements(&signer.scopes, None).map_err(refused)?;
        let owner = request.replay_owner(signer.account_id);
        let jwt = self.spend(verified, owner, case).await.map_err(refused)?;
        self.keys.key_used(who.account_id, &who.key, *now).await;
        let principal = Principal {
            account_id: signer.account_id,
            username: signer.username.clone(),
            key: Some(ProvenKey::of(jwt.thumbprint)),
            proof: ProofKind::SelfSigned,
            token_id: None,
            scopes: signer.scopes.clone(),
            narrowed: false,
            covers: coverage(&jwt),
            authentication: None,
            issued_at: None,
            expires_at: jwt.expires_at,
        };
        Ok(Accepted { principal, session_nonce: None })
    }

    /// Verifies with the candidate keys, or with a decoy if there are none: an unknown account
    /// costs a verification too, and is answered like a wrong signature.
    fn verify_by<'k>(
        &self,
        jwt: PresentedSelfSigned<'_>,
        candidates: &'k [AccountKey],
        case: &Case<'_>,
    ) -> Result<(Unspent<SelfSigned>, &'k AccountKey), SelfSignedError> {
        let (policy, of_guard) = (&self.policy, case.policy());
        let expected = SelfSignedExpectations {
            issuer: &of_guard.issuer,
            audience: &of_guard.audience,
            require_audience: policy.require_audience,
            max_lifetime: policy.max_lifetime,
            skew: of_guard.skew,
            body: case.request.body,
            body_hashes: policy.body_hashes,
            require_body_hash: policy.require_body_hash,
        };
        let algorithm = jwt.algorithm();
        let keys = candidates.iter().map(|candidate| &candidate.key);
        let fitting: Vec<&PublicKey> = keys.filter(|key| jwt.may_be_by(key)).collect();
        let keys = if fitting.is_empty() { vec![decoy(algorithm)] } else { fitting };
        let verified = jwt.verify(keys, &expected, case.now)?;
        let signer = verified.peek().thumbprint;
        let signer = candidates.iter().find(|candidate| candidate.key.thumbprint() == signer);
        signer.map(|signer| (verified, signer)).ok_or(SelfSignedError::Signature)
    }

    /// Checks that the body's `source` names the account `signer`. `name` is known to be a name of
    /// that account.
    async fn check_source(
        &self,
        name: &str,
        signer: AccountId,
        case: &Case<'_>,
    ) -> Result<(), Refusal> {
        let Case { request, .. } = case;
        let other = || Refusal::from(SelfSignedError::Source);
        let source = request.body.and_then(account_in_body).ok_or_else(other)?;
        if source == name {
            return Ok(());
        }
        let keys = self.keys.account_keys(&source, None, request.network()).await?;
        let is_signer = keys.iter().any(|key| key.account_id == signer);
        is_signer.then_some(()).ok_or_else(other)
    }

    /// Records the JWT as used, where the policy lets it be used once.
    async fn spend(
        &self,
        jwt: Unspent<SelfSigned>,
        owner: ReplayOwner,
        case: &Case<'_>,
    ) -> Result<SelfSigned, Refusal> {
        if self.policy.reuse == Reuse::UntilExpiry {
            return Ok(jwt.until_expiry());
        }
        let (ports, now) = (case.ports(), case.now);
        let log = &*ports.replay_log;
        let ahead = case.policy().skew.max(CLIENT_CLOCK_AHEAD);
        let epoch = log.epoch();
        let since = self.across_restarts.as_ref().map(|across| {
            let since = epoch.since.max(across.not_before);
            case.wiring.memory_start.not_before(since, &*ports.clock)
        });
        let memory = since.map_or(Memory::Volatile, |since| {
            AcrossRestarts::memory_for(since, jwt.peek().issued_at, ahead, now)
        });
        let has_others = self.across_restarts.as_ref().is_some_and(|across| across.others);
        let memory = if has_others { memory.for_all() } else { memory };
        let memory_is_sure = since.map_or(UnixTime::EPOCH, |since| since + ahead);
        let durable = self.across_restarts.as_ref().and_then(|across| across.durable.as_deref());
        let durable = match (memory, durable) {
            (Memory::NotYet | Memory::Unknown | Memory::Durable, None) => {
                return Err(not_to_be_told(jwt.peek().issued_at, memory_is_sure, now));
            }
            (Memory::NotYet, Some(_)) => return Err(Refusal::JustStarted),
            (Memory::Unknown, Some(_)) => return Err(Refusal::BeforeStart),
            (Memory::Durable, Some(durable)) => Some(durable),
            (Memory::Volatile, _) => None,
        };
        let record = async |log: &dyn ReplayLog, epoch: LogEpoch| {
            let found = FoundNew::ByTime(epoch.id);
            let recorded = log.check_and_insert(jwt.entry(), found, owner, now).await;
            recorded.map_err(|error| used(&error))
        };
        let mut receipt = record(log, epoch).await?;
        if let Some(durable) = durable {
            receipt = record(durable, durable.epoch()).await?;
        }
        jwt.redeem(&receipt).ok_or(Refusal::JwtUsed)
    }
}

/// The refusal of a JWT that would have to be looked up in a durable log, where there is none. A
/// JWT made after `memory_is_sure` cannot be taken for one from before the start, by whatever clock
/// it was made; until then the client is told how long to wait.
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
        ReplayError::Forgot => Refusal::JustStarted,
        ReplayError::Ended | ReplayError::Unavailable(_) => Refusal::Unavailable(error.to_string()),
    }
}

/// A self-signed JWT covers neither method nor URI, but may name the one server that it is for.
const fn coverage(jwt: &SelfSigned) -> Coverage {
    let target = if jwt.names_server { CoveredTarget::Server } else { CoveredTarget::Anywhere };
    Coverage { target, body: jwt.body_sha256 }
}

/// Parses a bearer token. An access token sent as a bearer token is a downgrade and refused.
fn parse(text: &str) -> Result<PresentedSelfSigned<'_>, Refusal> {
    PresentedSelfSigned::parse(text).map_err(|error| match error {
        SelfSignedError::AccessToken => Refusal::Downgrade,
        _ => error.into(),
    })
}

/// The account that the JWT names, or else its `kid` or the body, if the policy allows that. In
/// every case a key of that account must have signed.
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

/// A `kid` that is no thumbprint can only be a name of the account.
fn account_in_kid<'a>(jwt: &'a PresentedSelfSigned<'_>) -> Option<&'a str> {
    jwt.kid().filter(|kid| kid.parse::<Thumbprint>().is_err())
}

fn account_in_body(body: &[u8]) -> Option<String> {
    Some(json::parse_object(body).ok()?.get(SOURCE)?.as_str()?.to_owned())
}
