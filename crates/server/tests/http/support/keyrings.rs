//! What a client does with an online keyring.

use countersign_opaque::{
    ServerName,
    client::{ExportKey, Login, NotOpened, Registration},
};
use countersign_protocol::{
    digest::sha256,
    envelope::aes_gcm::SealingKey,
    strict::base64url::{decode, encode},
};
use countersign_testkit::random::SeededRandom;
use serde_json::{Value, json};

use super::{Answer, Call, ISSUER, TestApp, TestKey};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
const ISSUER_NAME: ServerName<'_> = ServerName(ISSUER);
const NONCE: [u8; 12] = [5; 12];

/// The key that every test keyring is sealed with.
pub(crate) const CONTENT_KEY: [u8; 32] = [0x5a; 32];

/// A slot that was registered, and what stores it.
pub(crate) struct Registered {
    pub(crate) slot: Value,
    pub(crate) record: Value,
    pub(crate) key: ExportKey,
}

/// A login between its two messages.
pub(crate) struct Opening {
    login: Login,
    password: String,
    pub(crate) state: String,
    pub(crate) response: String,
}

/// A document with these slots, and `text` as its content.
pub(crate) fn document(slots: &[Value], text: &str) -> Value {
    json!({
        "format": "countersign-keyring",
        "version": 2,
        "slots": slots,
        "cipher": "A256GCM",
        "nonce": encode(&NONCE),
        "ciphertext": ciphertext(NONCE, text),
    })
}

/// A content that says `text` and replaces the one of the number `replaced`, with a nonce of its own.
pub(crate) fn new_content(text: &str, replaced: u64) -> Value {
    let nonce = sha256(&[&replaced.to_be_bytes(), text.as_bytes()]);
    let nonce = *nonce.first_chunk().unwrap();
    json!({ "nonce": encode(&nonce), "ciphertext": ciphertext(nonce, text) })
}

fn ciphertext(nonce: [u8; 12], text: &str) -> String {
    encode(&SealingKey::from_bytes(&CONTENT_KEY).seal(nonce, b"content", text.as_bytes()))
}

/// The content of an opened document, by the key that its password slot gives.
pub(crate) fn content(document: &Value, kind: &str, key: &ExportKey) -> String {
    let slots = document["slots"].as_array().unwrap();
    let slot = slots.iter().find(|slot| slot["kind"] == kind).unwrap();
    let wrapped = decode(slot["wrapped"].as_str().unwrap()).unwrap();
    let (nonce, wrapped) = wrapped.split_first_chunk().unwrap();
    let key = kek(slot["id"].as_str().unwrap(), key).open(*nonce, b"slot", wrapped).unwrap();
    let [nonce, ciphertext] =
        ["nonce", "ciphertext"].map(|name| decode(document[name].as_str().unwrap()).unwrap());
    let key = SealingKey::from_bytes(key.as_slice().try_into().unwrap());
    let content = key.open(nonce.try_into().unwrap(), b"content", &ciphertext).unwrap();
    String::from_utf8(content.to_vec()).unwrap()
}

/// What wraps the content key: derived, so that it is not the export key itself.
fn kek(id: &str, key: &ExportKey) -> SealingKey {
    SealingKey::from_bytes(&sha256(&[id.as_bytes(), &key[..]]))
}

/// The slot of a passkey, whatever its PRF gives.
pub(crate) fn prf_slot(id: u8, passkey: &[u8]) -> Value {
    json!({
        "id": encode(&[id; 16]),
        "kind": "prf",
        "passkey": encode(passkey),
        "salt": encode(&[id; 32]),
        "wrapped": encode(&[id; 60]),
    })
}

impl TestApp {
    fn drawn(&self) -> SeededRandom {
        SeededRandom::new(u64::from_be_bytes(
            sha256(&[self.token_nonce().as_bytes()])[..8].try_into().unwrap(),
        ))
    }

    /// A request for a new slot.
    pub(crate) fn slot_request(
        &self,
        (key, token): (&TestKey, &str),
        kind: &str,
        request: &[u8],
    ) -> Call {
        let body = json!({ "kind": kind, "request": encode(request) });
        self.resource_request(key, token, "POST", "/v1/keyring/slots").json(&body)
    }

    /// Registers `password` for a new slot of that kind.
    pub(crate) async fn new_slot(
        &self,
        session: (&TestKey, &str),
        kind: &str,
        password: &str,
    ) -> Registered {
        let random = self.drawn();
        let (client, request) = Registration::begin(password.as_bytes(), &random).unwrap();
        let offered = self.slot_request(session, kind, &request).send().await.is(200).json();
        let response = decode(offered["response"].as_str().unwrap()).unwrap();
        let finished = client.finish(password.as_bytes(), &response, ISSUER_NAME, &random);
        let (record, key) = finished.unwrap();
        let id = offered["id"].as_str().unwrap();
        let wrapped = kek(id, &key).seal(NONCE, b"slot", &CONTENT_KEY);
        let wrapped = encode(&[&NONCE[..], &wrapped].concat());
        let slot = json!({ "id": id, "kind": kind, "wrapped": wrapped });
        let record = json!({ "ticket": offered["ticket"], "record": encode(&record) });
        Registered { slot, record, key }
    }

    /// The body that stores a keyring which [`PASSWORD`] opens, with `text` in it.
    pub(crate) async fn password_keyring(&self, session: (&TestKey, &str), text: &str) -> Value {
        let new = self.new_slot(session, "password", PASSWORD).await;
        json!({ "document": document(&[new.slot], text), "records": [new.record] })
    }

    /// A request to store a keyring, the first one without a revision.
    pub(crate) fn storing(
        &self,
        session: (&TestKey, &str),
        body: &Value,
        replaced: Option<u64>,
    ) -> Call {
        let request = self.covering_request(session, "PUT", "/v1/keyring", body);
        match replaced {
            None => request.header("if-none-match", "*"),
            Some(revision) => request.header("if-match", format!("\"{revision}\"")),
        }
    }

    /// Stores a keyring which [`PASSWORD`] opens.
    pub(crate) async fn store_keyring(&self, session: (&TestKey, &str), text: &str) -> u64 {
        let body = self.password_keyring(session, text).await;
        let answer = self.storing(session, &body, None).send().await;
        answer.is(201).json()["revision"].as_u64().unwrap()
    }

    /// A request to replace the content alone.
    pub(crate) fn content_change(
        &self,
        (key, token): (&TestKey, &str),
        text: &str,
        replaced: u64,
    ) -> Call {
        let request = self.resource_request(key, token, "PUT", "/v1/keyring/content");
        request.json(&new_content(text, replaced)).header("if-match", format!("\"{replaced}\""))
    }

    /// A request to make the content of the number `revision` the content again, in the place of the one of the
    /// number `replaced`.
    pub(crate) fn restoration(
        &self,
        (key, token): (&TestKey, &str),
        revision: u64,
        replaced: u64,
    ) -> Call {
        let path = format!("/v1/keyring/revisions/{revision}/restore");
        let request = self.resource_request(key, token, "POST", &path);
        request.header("if-match", format!("\"{replaced}\""))
    }

    /// A request to delete the keyring whose content has the number `replaced`.
    pub(crate) fn deletion(&self, (key, token): (&TestKey, &str), replaced: u64) -> Call {
        let request = self.resource_request(key, token, "DELETE", "/v1/keyring");
        request.header("if-match", format!("\"{replaced}\""))
    }

    /// The first request of somebody who wants to open a keyring, with that message.
    pub(crate) fn open_request(
        &self,
        key: &TestKey,
        (username, kind): (&str, &str),
        message: &[u8],
    ) -> Call {
        let path = "/v1/keyring/open";
        let body = json!({ "username": username, "kind": kind, "request": encode(message) });
        let proof = self.proof(key, "POST", path).claim("nonce", self.token_nonce());
        self.call("POST", path).json(&body).dpop(&proof.sign())
    }

    /// The last request.
    pub(crate) fn finish_request(&self, key: &TestKey, state: &str, finalization: &str) -> Call {
        let path = "/v1/keyring/open/finish";
        let body = json!({ "state": state, "finalization": finalization });
        let proof = self.proof(key, "POST", path).claim("nonce", self.token_nonce());
        self.call("POST", path).json(&body).dpop(&proof.sign())
    }

    /// Begins to open a keyring with `password`.
    pub(crate) async fn begin_to_open(
        &self,
        key: &TestKey,
        whose: (&str, &str),
        password: &str,
    ) -> Opening {
        let (login, message) = Login::begin(password.as_bytes(), &self.drawn()).unwrap();
        let answer = self.open_request(key, whose, &message).send().await;
        let (state, response) = (answer.is(200).text("state"), answer.text("response"));
        Opening { login, password: password.to_owned(), state, response }
    }

    /// Opens a keyring with `password`, and returns the answer and the key.
    pub(crate) async fn open_keyring(
        &self,
        key: &TestKey,
        whose: (&str, &str),
        password: &str,
    ) -> (Answer, ExportKey) {
        let opening = self.begin_to_open(key, whose, password).await;
        let state = opening.state.clone();
        let (finalization, export_key) = opening.finish(self).unwrap();
        (self.finish_request(key, &state, &finalization).send().await, export_key)
    }
}

impl Opening {
    /// The last message, and the key.
    pub(crate) fn finish(self, app: &TestApp) -> Result<(String, ExportKey), NotOpened> {
        let response = decode(&self.response).unwrap();
        let password = self.password.as_bytes();
        let (message, key) = self.login.finish(password, &response, ISSUER_NAME, &app.drawn())?;
        Ok((encode(&message), key))
    }
}
