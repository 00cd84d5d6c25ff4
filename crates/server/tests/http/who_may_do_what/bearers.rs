//! Who asks: the kinds of proof, and the kinds of token that they come with.

use countersign_authority::ports::Permit;
use std::time::Duration;

use countersign_authority::model::{
    audit::{AuditEvent, EventKind},
    credential::Credential,
    policy::PasswordPolicy,
};
use countersign_protocol::{
    keys::{KeyPolicy, PublicKey, raw_rsa},
    proofs::body_hash::sha256_hex,
    strict::base64,
};
use countersign_server::Dialects;
use countersign_testkit::{
    authenticator::Authenticator, keys::ed25519_public, samples::KEY_LIMITS,
};
use serde_json::{Value, json};

use super::{
    keyrings::{self, Stored},
    operations::Operation,
};
use crate::support::{Answer, Call, ISSUER, JWT_BEARER, TestApp, TestKey, synced};

/// What a client presents, with the column that names its proof and the one that names its token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bearer {
    proof: &'static str,
    token: &'static str,
    presents: Presents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presents {
    Nothing,
    Dpop {
        token: Token,
        covers: Covers,
        approved: bool,
    },
    Bearer(Token),
    SignJwt {
        approved: bool,
    },
    SelfSigned {
        names_server: bool,
        covers: Covers,
        approved: bool,
    },
    /// What a browser has: DPoP with `tha`, and perhaps the answer of a passkey.
    Browser {
        login: BrowserLogin,
        answers: bool,
    },
    /// A JWT assertion, which logs in and authenticates the caller of an OAuth endpoint.
    Assertion,
}

/// How a browser has logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BrowserLogin {
    /// By its own key, just now; the account has no passkey.
    Fresh,
    /// By its own key, six minutes ago; the account has no passkey.
    Stale,
    /// By its own key; the account has a passkey.
    OfKey,
    /// By the passkey; the browser is not remembered.
    OfPasskey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    OfCredential,
    /// Of a browser that is remembered.
    OfBrowser,
    /// Of a key that a page keeps for the mutual login.
    OfMutualLogin,
    OfSessionKey,
    Narrowed,
    Expired,
    Revoked,
    OfRevokedKey,
    ForAnotherApi,
    /// Of an account with a password and no key yet.
    OfPassword,
    /// Of an account with a password that has a key too.
    OfPasswordBesideKeys,
    Unbound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covers {
    Nothing,
    Body,
    OtherBody,
}

const fn dpop(token: &'static str, kind: Token) -> Bearer {
    let presents = Presents::Dpop { token: kind, covers: Covers::Body, approved: false };
    Bearer { proof: "DPoP with `tha`", token, presents }
}

const fn dpop_by_credential(proof: &'static str, covers: Covers, approved: bool) -> Bearer {
    let presents = Presents::Dpop { token: Token::OfCredential, covers, approved };
    Bearer { proof, token: "of a key", presents }
}

const fn bearer(token: &'static str, kind: Token) -> Bearer {
    Bearer { proof: "none, as a bearer token", token, presents: Presents::Bearer(kind) }
}

const fn self_signed(proof: &'static str, names_server: bool, covers: Covers) -> Bearer {
    let presents = Presents::SelfSigned { names_server, covers, approved: false };
    Bearer { proof, token: "–", presents }
}

const fn browser(token: &'static str, login: BrowserLogin, answers: bool) -> Bearer {
    let proof =
        if answers { "DPoP with `tha`, and `Passkey-Assertion`" } else { "DPoP with `tha`" };
    Bearer { proof, token, presents: Presents::Browser { login, answers } }
}

const fn of(proof: &'static str, token: &'static str, presents: Presents) -> Bearer {
    Bearer { proof, token, presents }
}

impl Bearer {
    pub(super) const ALL: &[Self] = &[
        of("none", "none", Presents::Nothing),
        dpop("of a key", Token::OfCredential),
        dpop_by_credential("DPoP", Covers::Nothing, false),
        dpop_by_credential("DPoP with the `tha` of another body", Covers::OtherBody, false),
        dpop_by_credential("DPoP, and an approval", Covers::Nothing, true),
        dpop("of a browser", Token::OfBrowser),
        dpop("of a page's key, logged in mutually", Token::OfMutualLogin),
        dpop("of a session key", Token::OfSessionKey),
        of(
            "DPoP, and an approval",
            "of a session key",
            Presents::Dpop { token: Token::OfSessionKey, covers: Covers::Nothing, approved: true },
        ),
        dpop("narrowed", Token::Narrowed),
        of(
            "DPoP, and an approval",
            "narrowed",
            Presents::Dpop { token: Token::Narrowed, covers: Covers::Nothing, approved: true },
        ),
        dpop("expired", Token::Expired),
        dpop("revoked", Token::Revoked),
        dpop("of a revoked key", Token::OfRevokedKey),
        dpop("for another API", Token::ForAnotherApi),
        dpop("of a password, no key yet", Token::OfPassword),
        dpop("of a password, beside keys", Token::OfPasswordBesideKeys),
        dpop("unbound", Token::Unbound),
        bearer("of a key", Token::OfCredential),
        bearer("unbound", Token::Unbound),
        of("*signjwt* signature", "session", Presents::SignJwt { approved: false }),
        of("*signjwt* signature, and an approval", "session", Presents::SignJwt { approved: true }),
        self_signed("self-signed JWT", false, Covers::Nothing),
        self_signed("self-signed JWT with `aud`", true, Covers::Nothing),
        self_signed("self-signed JWT with `tha`", false, Covers::Body),
        self_signed("self-signed JWT with `aud` and `tha`", true, Covers::Body),
        self_signed("self-signed JWT with the `tha` of another body", true, Covers::OtherBody),
        of(
            "self-signed JWT, and an approval",
            "–",
            Presents::SelfSigned { names_server: false, covers: Covers::Nothing, approved: true },
        ),
        of(
            "self-signed JWT with `aud`, and an approval",
            "–",
            Presents::SelfSigned { names_server: true, covers: Covers::Nothing, approved: true },
        ),
        browser("of a browser, just now, no passkeys", BrowserLogin::Fresh, false),
        browser("of a browser, 6 minutes ago, no passkeys", BrowserLogin::Stale, false),
        browser("of a browser, beside passkeys", BrowserLogin::OfKey, false),
        browser("of a browser, beside passkeys", BrowserLogin::OfKey, true),
        browser("of a passkey", BrowserLogin::OfPasskey, false),
        browser("of a passkey", BrowserLogin::OfPasskey, true),
        of("JWT assertion", "–", Presents::Assertion),
    ];

    pub(super) fn name(&self) -> String {
        format!("{} | {}", self.proof, self.token)
    }

    /// Whether it must be let do `operation` to the keys of its account: the rule, in the words of
    /// the test rather than of the code.
    pub(super) fn may(&self, operation: Operation) -> bool {
        let adds = operation == Operation::AddKey;
        match self.presents {
            Presents::SelfSigned { names_server, covers, approved } => {
                adds && names_server && (covers == Covers::Body || approved)
            }
            Presents::Dpop { token: Token::OfCredential | Token::OfBrowser, covers, approved } => {
                let revokes = operation == Operation::RevokeKey;
                revokes || covers == Covers::Body || adds && approved
            }
            Presents::Dpop { token: Token::OfPassword, .. } => adds,
            Presents::Browser { login, answers } => login == BrowserLogin::Fresh || answers,
            Presents::Nothing
            | Presents::Assertion
            | Presents::Bearer(_)
            | Presents::Dpop { .. }
            | Presents::SignJwt { .. } => false,
        }
    }

    /// A server of its own, and the account that the bearer acts for.
    pub(super) async fn start(&self) -> Client {
        let app = TestApp::start_with(|setup| {
            setup.settings.dialects = Dialects { jwks_server: self.has_password(), ..all() };
            setup.policy.passwords = self.has_password().then(PasswordPolicy::default);
            setup.policy.limits = None;
            setup.policy.default_scopes = "read write".parse().unwrap();
            setup.policy.tokens.resources = vec!["https://api.example".to_owned()];
        });
        let app = app.await;
        // A self-signed JWT of the second in which the server started is not taken.
        app.advance(Duration::from_secs(10));
        Client::prepare(app, self.presents).await
    }

    const fn has_password(&self) -> bool {
        let (Presents::Dpop { token, .. } | Presents::Bearer(token)) = self.presents else {
            return false;
        };
        matches!(token, Token::OfPassword | Token::OfPasswordBesideKeys | Token::Unbound)
    }
}

fn all() -> Dialects {
    Dialects::default()
}

/// The key of alice that acts, where it is not another one that does.
fn own() -> TestKey {
    TestKey::number(1)
}

/// A key of alice that nothing else is done with than what is asked for.
fn victim() -> TestKey {
    TestKey::number(2)
}

/// A client of the account alice, ready to ask for everything.
pub(super) struct Client {
    app: TestApp,
    presents: Presents,
    /// The key that signs.
    key: TestKey,
    token: String,
    added: u64,
    passkey: Authenticator,
}

impl Client {
    async fn prepare(app: TestApp, presents: Presents) -> Self {
        let (token, passkey) = (String::new(), synced(1));
        let mut client = Self { app, presents, key: own(), token, added: 100, passkey };
        if let Presents::Browser { login, .. } = presents {
            client.prepare_browser(login).await;
            return client;
        }
        let kind = match presents {
            Presents::Dpop { token, .. } | Presents::Bearer(token) => token,
            Presents::Nothing
            | Presents::Browser { .. }
            | Presents::SignJwt { .. }
            | Presents::SelfSigned { .. }
            | Presents::Assertion => Token::OfCredential,
        };
        match kind {
            Token::OfPassword | Token::OfPasswordBesideKeys | Token::Unbound => {
                client.prepare_password(kind).await;
            }
            Token::OfMutualLogin => client.prepare_mutual_login().await,
            _ => client.prepare_key(kind).await,
        }
        client
    }

    /// Alice has three keys.
    async fn prepare_key(&mut self, kind: Token) {
        let (app, own) = (&self.app, own());
        app.register("alice", &own).await;
        let token = app.login("alice", &own).await;
        let other = TestKey::number(3);
        for key in [&victim(), &other] {
            app.key_addition(&own, &token, key).send().await.is(201);
        }
        let login = |param: (&str, &str)| {
            let request = app.login_request("alice", &own).param(param.0, param.1);
            async move { request.send().await.is(200).text("access_token") }
        };
        match kind {
            Token::OfBrowser => {
                self.key = TestKey::number(6);
                let mut body = app.new_key("alice", &self.key);
                body["remember"] = "browser".into();
                app.key_addition_saying(&own, &token, &body).send().await.is(201);
                self.token = app.login("alice", &self.key).await;
            }
            Token::OfSessionKey => {
                self.key = TestKey::number(4);
                self.token = app.login_with_session_key("alice", &own, &self.key).await;
            }
            Token::Narrowed => self.token = login(("scope", "read")).await,
            Token::ForAnotherApi => self.token = login(("resource", "https://api.example")).await,
            Token::Expired => {
                self.token = token;
                app.advance(Duration::from_mins(20));
            }
            Token::Revoked => {
                app.revoke_token(&token).await.is(200);
                self.token = token;
            }
            Token::OfRevokedKey => {
                self.token = app.login("alice", &other).await;
                self.key = other;
                app.revoke_key(&own, &token, &self.key).await.is(204);
            }
            Token::OfCredential
            | Token::OfMutualLogin
            | Token::OfPassword
            | Token::OfPasswordBesideKeys
            | Token::Unbound => self.token = token,
        }
    }

    /// Alice has a browser that is remembered, another key, and a passkey where the login says so.
    async fn prepare_browser(&mut self, login: BrowserLogin) {
        let (app, own) = (&self.app, own());
        let has_passkey = matches!(login, BrowserLogin::OfKey | BrowserLogin::OfPasskey);
        if has_passkey {
            app.register_with_passkey("alice", &own, &mut self.passkey).await;
        } else {
            let body =
                json!({ "username": "alice", "public_key": own.jwk(), "remember": "browser" });
            app.registration("alice", &own).json(&body).send().await.is(201);
        }
        let token = app.login("alice", &own).await;
        let body = app.new_key("alice", &victim());
        let session = (&own, &*token);
        let mut add = app.covering_request(session, "POST", "/v1/keys", &body);
        if has_passkey {
            let request = ("POST", "/v1/keys", Some(&body));
            let word = app.step_up(session, &mut self.passkey, request).await;
            add = add.header("passkey-assertion", word);
        }
        add.send().await.is(201);
        self.token = token;
        match login {
            BrowserLogin::Fresh | BrowserLogin::OfKey => {}
            BrowserLogin::Stale => app.advance(Duration::from_mins(6)),
            BrowserLogin::OfPasskey => {
                self.key = TestKey::number(6);
                let signed_in = app.sign_in(&self.key, &mut self.passkey).await;
                self.token = signed_in.is(200).text("access_token");
            }
        }
    }

    /// Alice has the key of a page, which has logged in mutually, and another key.
    async fn prepare_mutual_login(&mut self) {
        let (app, own) = (&self.app, own());
        let body = json!({
            "username": "alice", "clientSidePublicKey": own.spki_base64(), "kind": "mutual",
        });
        let registered = app.call("POST", "/register").json(&body).send().await;
        let server_key = registered.is(200).text("serverSidePublicKey");
        let server_key = PublicKey::parse(&server_key, &KeyPolicy::default()).unwrap();
        let challenge = app.call("GET", "/challenge/alice").send().await.is(200).text("challenge");
        let number = base64::decode(&challenge).unwrap();
        let number = raw_rsa::recover(&server_key, &number).unwrap();
        let body = json!({ "proposal": base64::encode(&own.sign(&number)) });
        let login = app.call("POST", "/authenticate/alice").json(&body);
        self.token = login.send().await.is(200).text("jwtToken");
        let id = registered.text("id").parse().unwrap();
        let victim = Credential {
            added_by: Some(ed25519_public(1).thumbprint()),
            ..Credential::new(id, ed25519_public(2), "the second".parse().unwrap(), app.now())
        };
        let event = AuditEvent::new(app.now(), EventKind::KeyAdded);
        app.ports()
            .store
            .add_credential(&victim, KEY_LIMITS, event, Permit::ADMINISTRATOR)
            .await
            .unwrap();
    }

    /// Alice has a password, and a key where the token says so.
    async fn prepare_password(&mut self, kind: Token) {
        let body = json!({ "username": "alice", "email": "alice@example.com" });
        let answer = self.app.call("POST", "/register").json(&body).send().await;
        let body = json!({ "username": "alice", "password": answer.is(201).text("password") });
        if kind == Token::Unbound {
            self.token = self.log_in(&body, None).await;
            return;
        }
        if kind == Token::OfPasswordBesideKeys {
            let first = TestKey::number(5);
            let token = self.log_in(&body, Some(&first)).await;
            self.app.key_addition(&first, &token, &victim()).send().await.is(201);
        }
        self.token = self.log_in(&body, Some(&self.key)).await;
    }

    async fn log_in(&self, body: &Value, key: Option<&TestKey>) -> String {
        let call = self.app.call("POST", "/auth").json(body);
        let proof =
            |key| self.app.proof(key, "POST", "/auth").claim("nonce", self.app.token_nonce());
        let call = key.map_or(call.clone(), |key| call.dpop(&proof(key).sign()));
        call.send().await.is(200).text("token")
    }

    /// Asks for `operation`. What is asked of the keyring is asked of a new one each time.
    pub(super) async fn try_to(&mut self, operation: Operation) -> Answer {
        self.added += 1;
        let body = self.body(operation).unwrap_or_default();
        let is_on_keyring = Operation::ON_KEYRING.contains(&operation);
        let stored = if is_on_keyring { Some(keyrings::store_anew(&self.app).await) } else { None };
        let revision = stored.map_or(0, |Stored { earlier, .. }| earlier);
        let path = operation.path(&victim().thumbprint(), revision);
        let mut call = self.app.call(operation.method(), &path);
        let replaced = stored.filter(|_| operation.names_revision()).map(|stored| stored.present);
        if let Some(present) = replaced {
            call = call.header("if-match", format!("\"{present}\""));
        }
        if !body.is_empty() {
            let is_json = body.starts_with('{');
            let form = "application/x-www-form-urlencoded";
            call = call.body(if is_json { "application/json" } else { form }, body.clone());
        }
        self.prove(call, operation, (&path, &body), replaced).await.send().await
    }

    fn body(&self, operation: Operation) -> Option<String> {
        let form = |fields: &[(&str, &str)]| {
            Some(form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
        };
        let assertion = self.app.assertion("alice", &own()).sign();
        let asserts = self.presents == Presents::Assertion;
        match operation {
            Operation::AddKey => Some(self.addition().to_string()),
            Operation::RenameKey => Some(json!({ "label": "renamed" }).to_string()),
            Operation::LogIn if asserts => {
                form(&[("grant_type", JWT_BEARER), ("assertion", &assertion)])
            }
            Operation::LogIn => form(&[("grant_type", JWT_BEARER)]),
            Operation::Introspect if asserts => form(&[
                ("token", &self.token),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", &assertion),
            ]),
            Operation::Introspect | Operation::RevokeToken => form(&[("token", &self.token)]),
            _ => keyrings::body(operation).map(|body| body.to_string()),
        }
    }

    fn addition(&self) -> Value {
        let new = TestKey::number(self.added);
        let mut body = self.app.new_key("alice", &new);
        if self.is_approved() {
            let approval = own().jwt().header("typ", "key-approval+jwt");
            let approval = approval.header("kid", own().thumbprint()).claim("aud", ISSUER);
            let approval = approval.claim("exp", self.app.now().as_secs() + 60);
            let approval = approval.claim("jti", format!("approval {}", self.added));
            body["approval"] = approval.claim("new_key", new.thumbprint()).sign().into();
        }
        body
    }

    const fn is_approved(&self) -> bool {
        match self.presents {
            Presents::Dpop { approved, .. }
            | Presents::SignJwt { approved }
            | Presents::SelfSigned { approved, .. } => approved,
            Presents::Nothing
            | Presents::Bearer(_)
            | Presents::Browser { .. }
            | Presents::Assertion => false,
        }
    }

    /// Adds to `call` what the bearer presents.
    /// `replaced` is the revision that the request is to replace, if it replaces one.
    async fn prove(
        &self,
        call: Call,
        operation: Operation,
        (path, body): (&str, &str),
        replaced: Option<u64>,
    ) -> Call {
        let method = operation.method();
        match self.presents {
            Presents::Nothing => call,
            Presents::Assertion => call.dpop(&self.app.token_proof(&self.key).sign()),
            Presents::Bearer(_) => call.header("authorization", format!("Bearer {}", self.token)),
            Presents::Dpop { covers, .. } => {
                let proof = self.app.resource_proof(&self.key, &self.token, method, path);
                let proof = match tha(covers, body) {
                    Some(tha) => proof.claim("tha", tha),
                    None => proof,
                };
                call.header("authorization", format!("DPoP {}", self.token)).dpop(&proof.sign())
            }
            Presents::SelfSigned { names_server, covers, .. } => {
                let now = self.app.now().as_secs();
                let jwt = self.key.jwt().claim("sub", "alice").claim("iat", now);
                let mut jwt =
                    jwt.claim("exp", now + 60).claim("jti", format!("jwt {}", self.added));
                if names_server {
                    jwt = jwt.claim("aud", ISSUER);
                }
                if let Some(tha) = tha(covers, body) {
                    jwt = jwt.claim("tha", tha);
                }
                call.header("authorization", format!("Bearer {}", jwt.sign()))
            }
            Presents::SignJwt { .. } => self.sign_session(call).await,
            Presents::Browser { answers, .. } => {
                let proof = self.app.resource_proof(&self.key, &self.token, method, path);
                let proof = proof.claim("tha", sha256_hex(body.as_bytes())).sign();
                let call = call.header("authorization", format!("DPoP {}", self.token));
                let call = call.dpop(&proof);
                if !(answers && operation.takes_passkey()) {
                    return call;
                }
                let value = serde_json::from_str(body).ok();
                let request = (method, path, value.as_ref());
                let mut passkey = self.passkey.clone();
                let session = (&self.key, &*self.token);
                let word = match (&value, replaced) {
                    (Some(body), Some(_)) => {
                        let place = (path, body);
                        self.app.step_up_to_replace(session, &mut passkey, place, replaced).await
                    }
                    (None, Some(revision)) => {
                        let operation = (method, path);
                        let app = &self.app;
                        app.step_up_on_revision(session, &mut passkey, operation, revision).await
                    }
                    (_, None) => self.app.step_up(session, &mut passkey, request).await,
                };
                call.header("passkey-assertion", word)
            }
        }
    }

    /// Opens a session of *signjwt* and signs in it.
    async fn sign_session(&self, call: Call) -> Call {
        let login = self.app.call("POST", "/login").json(&json!({ "user_id": "alice" }));
        let session = login.send().await.is(200).json();
        let (jwt, nonce) = (session["jwt"].as_str().unwrap(), session["nonce"].as_str().unwrap());
        let signature = self.key.sign(format!("{nonce}{jwt}").as_bytes());
        call.header("authorization", format!("SignJWT {jwt}"))
            .header("signed-message", base64::encode(&signature))
    }
}

/// The claim `tha` for a request with `body`.
fn tha(covers: Covers, body: &str) -> Option<String> {
    match covers {
        Covers::Nothing => None,
        Covers::Body => Some(sha256_hex(body.as_bytes())),
        Covers::OtherBody => Some(sha256_hex(b"another body")),
    }
}
