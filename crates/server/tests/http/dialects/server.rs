//! A server that speaks all dialects, and what their tests ask of it.

use std::{sync::Arc, time::Duration};

use countersign_authority::{
    Authority,
    accounts::administration::Administration,
    model::{
        account::AccountStatus,
        audit::{AuditEvent, AuditFilter, EventKind},
        policy::Policy,
    },
    ports::Ports,
};
use countersign_protocol::keys::PrivateKey;
use countersign_server::Dialects;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

pub(super) use crate::support::ISSUER;
use crate::support::{self, Call, Setup, TestApp};

pub(super) struct Server(pub(super) TestApp);

/// An answer: its status, its headers, its JSON.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl From<support::Answer> for Answer {
    fn from(answer: support::Answer) -> Self {
        let body = serde_json::from_str(&answer.body).unwrap_or_default();
        let status = StatusCode::from_u16(answer.status).unwrap();
        Self { status, headers: answer.headers, body }
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Policy)) -> Self {
        let all = |setup: &mut Setup| {
            setup.settings.dialects = Dialects::default();
            change(&mut setup.policy);
        };
        Self(TestApp::start_with(all).await)
    }

    /// Ends the server, as a crash would, and starts it on the same database.
    pub(super) async fn restart(&mut self) {
        self.0.restart().await;
    }

    /// The same, with other dialects.
    pub(super) async fn restart_speaking(&mut self, change: impl FnOnce(&mut Dialects)) {
        self.0.restart_with(|setup| change(&mut setup.settings.dialects)).await;
    }

    pub(super) fn authority(&self) -> &Arc<Authority> {
        self.0.authority()
    }

    pub(super) fn ports(&self) -> &Ports {
        self.0.ports()
    }

    pub(super) fn admin(&self) -> Administration {
        self.0.admin()
    }

    /// Does what an administrator does in another process, and lets the server notice.
    pub(super) async fn set_status(&self, name: &str, status: AccountStatus) {
        self.admin().set_status(&name.parse().unwrap(), status).await.unwrap();
        self.0.notice_changes().await;
    }

    /// The kinds of all events, oldest first.
    pub(super) async fn trail(&self) -> Vec<EventKind> {
        self.0.write_trail().await;
        let audit = &self.ports().store;
        let events = audit.events(&AuditFilter::default(), 1_000).await.unwrap();
        events.into_iter().rev().map(|recorded| recorded.event.kind).collect()
    }

    /// How many events of that kind there were.
    pub(super) async fn events(&self, kind: EventKind) -> u64 {
        self.0.write_trail().await;
        let audit = &self.ports().store;
        let filter = AuditFilter { kinds: vec![kind], ..AuditFilter::default() };
        let events = audit.events(&filter, 1_000).await.unwrap();
        events.into_iter().map(|recorded| recorded.event.times()).sum()
    }

    /// Which keys were used, how and how often, oldest first.
    pub(super) async fn key_uses(&self) -> Vec<AuditEvent> {
        self.0.write_key_uses().await;
        let audit = &self.ports().store;
        let filter = AuditFilter { kinds: vec![EventKind::KeyUsed], ..AuditFilter::default() };
        let events = audit.events(&filter, 1_000).await.unwrap();
        events.into_iter().rev().map(|recorded| recorded.event).collect()
    }

    /// Empties the log of used proofs while the server runs.
    pub(super) fn forget_used_proofs(&self) {
        self.0.forget_used_proofs();
    }

    pub(super) fn advance(&self, by: Duration) {
        self.0.advance(by);
    }

    pub(super) fn seconds(&self) -> u64 {
        self.0.now().as_secs()
    }

    pub(super) fn call(&self, method: &str, path: &str) -> Call {
        self.0.call(method, path)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await.into()
    }

    /// Sends JSON.
    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).send().await.into()
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut call = self.call(method, path);
        if !body.is_empty() {
            call = call.body("application/json", body);
        }
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        call.send().await.into()
    }

    /// Registers in the format of *signjwt*, which every other dialect understands.
    pub(super) async fn register(&self, name: &str, key: &PrivateKey) -> Answer {
        let pem = key.public_key().to_spki_pem();
        self.post("/register", json!({ "user_id": name, "public_key": pem })).await
    }
}
