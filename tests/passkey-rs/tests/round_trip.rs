//! Options as the server writes them, an authenticator and a client of 1Password, and our verification of what they answer.

use countersign_protocol::keys::{CoseAlgorithm, KeyPolicy, KeyType};
use countersign_protocol::proofs::webauthn::{
    AllowedPasskeys, Attestation, AuthenticationError, AuthenticationExpectations,
    AuthenticationResponse, CeremonyError, CeremonyExpectations, Challenge, NewPasskey, Origin,
    PasskeyAssertion, RegistrationExpectations, RegistrationResponse, RpId, SignCounter,
    StoredPasskey, UserHandle, UserVerification,
};
use countersign_protocol::strict::base64url;
use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData};
use passkey::crypto::rust_crypto::RustCryptoBackend;
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

const RP_ID: &str = "example.org";
const ORIGIN: &str = "https://example.org";
const USER: [u8; 32] = [5; 32];
const REGISTRATION: [u8; 32] = [1; 32];
const LOGIN: [u8; 32] = [2; 32];

/// Somebody who touches the authenticator, and whom it recognises or not.
struct Person {
    recognised: bool,
}

#[async_trait::async_trait]
impl UserValidationMethod for Person {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _hint: UiHint<'a, Passkey>,
        presence: bool,
        _verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification: self.recognised })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

type Browser =
    Client<Option<Passkey>, Person, RustCryptoBackend, public_suffix::PublicSuffixList, ()>;

fn browser(counting: bool) -> Browser {
    let aaguid = Aaguid::from([0xaa; 16]);
    let mut authenticator =
        Authenticator::new(aaguid, None, Person { recognised: true }, RustCryptoBackend);
    authenticator.set_make_credentials_with_signature_counter(counting);
    Client::new(authenticator)
}

fn options<T: DeserializeOwned>(options: Value) -> T {
    serde_json::from_value(json!({ "publicKey": options })).expect("options that a client reads")
}

fn origin() -> Url {
    ORIGIN.parse().expect("it is a URL")
}

/// What the client answers to creation options with this algorithm.
async fn register(browser: &mut Browser, algorithm: i32) -> String {
    let request = options(json!({
        "rp": { "id": RP_ID, "name": "Countersign" },
        "user": { "id": base64url::encode(&USER), "name": "alice", "displayName": "alice" },
        "challenge": base64url::encode(&REGISTRATION),
        "pubKeyCredParams": [{ "type": "public-key", "alg": algorithm }],
        "authenticatorSelection": { "residentKey": "required", "userVerification": "required" },
        "attestation": "none",
    }));
    let answer = browser.register(&origin(), request, DefaultClientData).await;
    serde_json::to_string(&answer.expect("a new passkey")).expect("JSON")
}

/// What the client answers to request options.
async fn log_in(browser: &mut Browser, user_verification: &str) -> String {
    let request = options(json!({
        "challenge": base64url::encode(&LOGIN),
        "rpId": RP_ID,
        "allowCredentials": [],
        "userVerification": user_verification,
    }));
    let answer = browser.authenticate(&origin(), request, DefaultClientData).await;
    serde_json::to_string(&answer.expect("an assertion")).expect("JSON")
}

/// What the server expects of a ceremony.
struct Server {
    challenge: Challenge,
    rp_id: RpId,
    origins: [Origin; 1],
}

impl Server {
    fn new(challenge: [u8; 32], rp_id: &str, origin: &str) -> Self {
        Self {
            challenge: Challenge::try_from(&challenge[..]).expect("a challenge"),
            rp_id: rp_id.parse().expect("an RP ID"),
            origins: [origin.parse().expect("an origin")],
        }
    }

    fn ceremony(&self) -> CeremonyExpectations<'_> {
        CeremonyExpectations {
            challenge: &self.challenge,
            rp_id: &self.rp_id,
            origins: &self.origins,
            top_origins: &[],
            user_verification: UserVerification::Required,
        }
    }

    fn verify_login(
        &self,
        passkey: &NewPasskey,
        sign_count: u32,
        answer: &str,
    ) -> Result<PasskeyAssertion, AuthenticationError> {
        let stored = StoredPasskey {
            id: &passkey.id,
            user_handle: &UserHandle::try_from(&USER[..]).expect("a user handle"),
            public_key: &passkey.public_key,
            sign_count,
            backup_eligible: passkey.backup.is_eligible(),
        };
        let expected =
            AuthenticationExpectations { ceremony: self.ceremony(), allowed: AllowedPasskeys::Any };
        AuthenticationResponse::parse(answer).expect("a response").verify(&stored, &expected)
    }
}

fn verify_registration(answer: &str) -> NewPasskey {
    let server = Server::new(REGISTRATION, RP_ID, ORIGIN);
    let expected = RegistrationExpectations {
        ceremony: server.ceremony(),
        algorithms: &[CoseAlgorithm::EdDsa, CoseAlgorithm::Es256],
        key_policy: &KeyPolicy::default(),
    };
    let response = RegistrationResponse::parse(answer).expect("a response");
    response.verify(&expected).expect("a verified passkey")
}

#[tokio::test]
async fn a_passkey_of_1password_registers_and_logs_in() {
    for (algorithm, key_type) in [(-7, KeyType::EcP256), (-8, KeyType::Ed25519)] {
        let mut browser = browser(false);
        let passkey = verify_registration(&register(&mut browser, algorithm).await);
        assert_eq!(passkey.public_key.key_type(), key_type);
        assert_eq!(passkey.attestation, Attestation::None);
        assert!(passkey.user_verified);
        let answer = log_in(&mut browser, "required").await;
        let server = Server::new(LOGIN, RP_ID, ORIGIN);
        let assertion = server.verify_login(&passkey, 0, &answer).expect("a login");
        assert_eq!(assertion.sign_count, SignCounter::NotCounting);
        assert_eq!(assertion.backup, passkey.backup);
    }
}

#[tokio::test]
async fn its_counter_advances_and_a_copy_is_noticed() {
    let mut browser = browser(true);
    let passkey = verify_registration(&register(&mut browser, -7).await);
    let server = Server::new(LOGIN, RP_ID, ORIGIN);
    let answer = log_in(&mut browser, "required").await;
    let assertion = server.verify_login(&passkey, passkey.sign_count, &answer).expect("a login");
    let SignCounter::Advanced(count) = assertion.sign_count else { panic!("{assertion:?}") };
    assert!(count > passkey.sign_count);
    let again = server.verify_login(&passkey, count, &answer).expect("a login");
    assert_eq!(again.sign_count, SignCounter::Regressed { stored: count, received: count });
}

#[tokio::test]
async fn its_answer_is_for_one_challenge_page_and_domain() {
    let mut browser = browser(false);
    let passkey = verify_registration(&register(&mut browser, -7).await);
    let answer = log_in(&mut browser, "required").await;
    let refused = |server: Server| server.verify_login(&passkey, 0, &answer).expect_err("refused");
    let refused_for = |server, error: CeremonyError| {
        assert_eq!(refused(server), AuthenticationError::Ceremony(error));
    };
    refused_for(Server::new(REGISTRATION, RP_ID, ORIGIN), CeremonyError::Challenge);
    refused_for(Server::new(LOGIN, "example.com", ORIGIN), CeremonyError::RpId);
    let elsewhere = refused(Server::new(LOGIN, RP_ID, "https://example.com"));
    assert!(matches!(elsewhere, AuthenticationError::Ceremony(CeremonyError::ClientData(_))));
    let mut other = self::browser(false);
    let other = verify_registration(&register(&mut other, -7).await);
    let other = NewPasskey { id: passkey.id.clone(), ..other };
    let by_other = Server::new(LOGIN, RP_ID, ORIGIN).verify_login(&other, 0, &answer);
    assert_eq!(by_other, Err(AuthenticationError::Signature));
}

#[tokio::test]
async fn a_person_who_was_not_recognised_is_refused() {
    let mut browser = browser(false);
    let passkey = verify_registration(&register(&mut browser, -7).await);
    let store = browser.authenticator_mut().store_mut().take();
    let stranger = Person { recognised: false };
    let mut browser: Browser = Client::new(Authenticator::new(
        Aaguid::from([0xaa; 16]),
        store,
        stranger,
        RustCryptoBackend,
    ));
    let answer = log_in(&mut browser, "discouraged").await;
    let server = Server::new(LOGIN, RP_ID, ORIGIN);
    let refused = server.verify_login(&passkey, 0, &answer);
    assert_eq!(refused, Err(AuthenticationError::Ceremony(CeremonyError::UserNotVerified)));
}
