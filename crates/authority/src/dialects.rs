//! The decisions behind each dialect. Nobody outside this folder knows one by its name.

pub mod gradecoin;
pub mod jwks_server;
pub mod passwordless;
pub mod signjwt;

use std::sync::Arc;

use self::{
    gradecoin::Gradecoin, jwks_server::JwksServer, passwordless::Passwordless, signjwt::Signjwt,
};
use crate::{
    accounts::Accounts,
    core::{Core, session_sealers::SessionSealers},
    tokens::Tokens,
};

/// One wing for each dialect.
pub struct Dialects {
    /// Sealed registration behind a one-time password.
    pub gradecoin: Gradecoin,
    /// Accounts with passwords.
    pub jwks_server: JwksServer,
    /// Mutual challenge and response.
    pub passwordless: Passwordless,
    /// Sessions whose requests are signed messages.
    pub signjwt: Signjwt,
}

impl Dialects {
    /// Over what the wings share.
    pub(crate) fn new(
        core: &Arc<Core>,
        accounts: &Arc<Accounts>,
        tokens: &Arc<Tokens>,
        sessions: Arc<SessionSealers>,
    ) -> Self {
        Self {
            gradecoin: Gradecoin::new(Arc::clone(core), Arc::clone(accounts)),
            jwks_server: JwksServer::new(
                Arc::clone(core),
                Arc::clone(accounts),
                Arc::clone(tokens),
            ),
            passwordless: Passwordless::new(
                Arc::clone(core),
                Arc::clone(accounts),
                Arc::clone(tokens),
            ),
            signjwt: Signjwt::new(Arc::clone(core), Arc::clone(accounts), sessions),
        }
    }

    /// What each of them does beside answering.
    pub(crate) async fn run(&self) {
        self.passwordless.keep_ready().await;
    }
}
