//! Whatever header fields somebody sends who holds no key, the guard refuses them, and says why in a
//! well-formed answer.
#![no_main]

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use countersign_guard::ports::{
    AccountKey, AccountKeys, CheckedMessage, Clock, IssuerKeys, PortUnavailable, Recording, ReplayLog,
    MessageError, Sessions, SignedMessage, Standing, TokenStanding, VerifiedToken,
};
use countersign_guard::{
    Guard, GuardPolicy, GuardPorts, Proofs, Request, SelfSignedPolicy, SelfSignedProofs,
};
use countersign_protocol::challenges::sealed::{EpochNonces, NonceSealer};
use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::keys::{KeyPolicy, PublicKey, Thumbprint};
use countersign_protocol::proofs::{body_hash::BodyHashes, target_uri::TargetUri};
use countersign_protocol::tokens::{issue::AccessTokenClaims, unbound::UnboundClaims};
use countersign_protocol::{
    AccountId, ClientNetwork, ReplayEntry, Scopes, UnixTime,
    replay::{EpochId, FoundNew, LogEpoch, ReplayOwner},
};
use http::{HeaderName, HeaderValue};

const ISSUER: &str = "https://auth.example";

/// Everything that a guard needs; every account has the one key that nobody here has the private
/// half of.
struct World {
    key: PublicKey,
}

impl Clock for World {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(2_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[async_trait]
impl IssuerKeys for World {
    async fn issuer_key(
        &self,
        _: &Thumbprint,
        _: UnixTime,
    ) -> Result<Option<PublicKey>, PortUnavailable> {
        Ok(Some(self.key.clone()))
    }

    fn generation(&self) -> u64 {
        0
    }
}

#[async_trait]
impl Standing for World {
    async fn standing(
        &self,
        _: VerifiedToken<'_, AccessTokenClaims>,
        _: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        Ok(TokenStanding::Good)
    }

    async fn unbound_standing(
        &self,
        _: VerifiedToken<'_, UnboundClaims>,
        _: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        Ok(TokenStanding::Good)
    }
}

const EPOCH: LogEpoch = LogEpoch { id: EpochId::from_bytes([1; 16]), since: UnixTime::EPOCH };

impl ReplayLog for World {
    fn epoch(&self) -> LogEpoch {
        EPOCH
    }

    fn check_and_insert(
        &self,
        _: ReplayEntry,
        _: FoundNew,
        _: ReplayOwner,
        _: UnixTime,
    ) -> Recording<'_> {
        unreachable!("nothing verifies that nobody has signed");
    }
}

#[async_trait]
impl AccountKeys for World {
    async fn account_keys(
        &self,
        _: &str,
        _: Option<&Thumbprint>,
        _: Option<ClientNetwork>,
    ) -> Result<Vec<AccountKey>, PortUnavailable> {
        Ok(vec![AccountKey {
            account_id: AccountId::from_bytes([1; 16]),
            username: None,
            key: self.key.clone(),
            scopes: Scopes::none(),
            body_hashes: BodyHashes::Sha256OrMd5,
            standing: TokenStanding::Good,
        }])
    }

    async fn key_used(&self, _: AccountId, _: &Thumbprint, _: UnixTime) {}
}

#[async_trait]
impl Sessions for World {
    async fn check(
        &self,
        _: SignedMessage<'_>,
        _: UnixTime,
    ) -> Result<Box<dyn CheckedMessage>, MessageError> {
        Err(MessageError::Refused)
    }
}

static GUARD: LazyLock<Guard> = LazyLock::new(|| {
    let pem = include_str!("../corpus/public_key/ed25519.spki.pem");
    let key = PublicKey::parse(pem, &KeyPolicy::default()).expect("the corpus has a key");
    let world = Arc::new(World { key });
    let proofs = Proofs {
        dpop: true,
        self_signed: Some(SelfSignedProofs {
            policy: SelfSignedPolicy { other_names: true, ..SelfSignedPolicy::default() },
            keys: Arc::clone(&world) as _,
            across_restarts: None,
        }),
        signed_messages: Some(Arc::clone(&world) as _),
        bearer: true,
    };
    let ports = GuardPorts {
        clock: Arc::clone(&world) as _,
        issuer_keys: Arc::clone(&world) as _,
        replay_log: Arc::clone(&world) as _,
        standing: world,
    };
    let origin = TargetUri::parse(ISSUER).expect("it is a URI");
    let nonces = NonceSealer::new(SealingKey::from_bytes(&[7; 32]), Duration::from_secs(60));
    let nonces = EpochNonces::new(nonces, EPOCH);
    Guard::accepting(proofs, GuardPolicy::new(ISSUER, ISSUER, origin), ports, nonces)
});

/// Nothing here waits for anything.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("no port waits"),
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let request = http::Request::builder().uri("/v1/whoami").body(()).expect("it is a request");
    let (mut parts, ()) = request.into_parts();
    for line in input.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            parts.headers.append(name, value);
        }
    }
    let body = GUARD.needs_body(&parts.headers).then_some(input);
    let refused = now(GUARD.verify_request(Request { body, ..Request::from(&parts) }));
    let refused = refused.expect_err("nobody has signed anything");
    let answer = GUARD.answer(&refused);
    assert!(answer.status().is_client_error(), "{refused:?}");
    let said: serde_json::Value = serde_json::from_str(answer.body()).expect("it is JSON");
    assert_eq!(said["status"], answer.status().as_u16());
});
