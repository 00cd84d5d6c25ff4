//! The decisions behind each dialect. Nobody outside this folder knows one by its name.

pub(crate) mod gradecoin;
pub(crate) mod jwks_server;
pub(crate) mod passwordless;
pub(crate) mod signjwt;

use std::sync::Arc;

use countersign_protocol::tokens::session::SessionSealer;

use self::{
    gradecoin::Gradecoin, jwks_server::JwksServer, passwordless::Passwordless, signjwt::Signjwt,
};
use crate::{accounts::Accounts, core::Core, tokens::Tokens};

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
        sessions: Arc<SessionSealer>,
    ) -> Self {
        let (core, accounts, tokens) =
            (|| Arc::clone(core), || Arc::clone(accounts), || Arc::clone(tokens));
        Self {
            gradecoin: Gradecoin::new(core(), accounts()),
            jwks_server: JwksServer::new(core(), accounts(), tokens()),
            passwordless: Passwordless::new(core(), accounts(), tokens()),
            signjwt: Signjwt::new(core(), accounts(), sessions),
        }
    }

    /// What each of them does beside answering.
    pub(crate) async fn run(&self) {
        self.passwordless.keep_ready().await;
    }
}
