//! *jwks-server*: the client gets tokens for a password that the server made. This client has each
//! token bound to a key.

use std::sync::Arc;

use countersign_protocol::keys::PrivateKey;
use http::Method;
use serde::Deserialize;

use super::answers::read_bound_token;
use crate::{
    http::{
        client::Client,
        error::ClientError,
        login::Login,
        message::Message,
        renewal::{Renew, Renewal, Renewed},
        transport::MAX_API_ANSWER,
    },
    password::Password,
    token::IssuedToken,
};

impl Client {
    /// Makes an account in the *jwks-server* dialect, known by `email`, and returns the password
    /// that the server made for it and did not keep. `enrolment_code` is the code of an invitation,
    /// if the server asks for one.
    ///
    /// # Errors
    /// When the server refuses, for instance because name or address is taken.
    pub async fn register_with_password(
        &self,
        username: &str,
        email: &str,
        enrolment_code: Option<&str>,
    ) -> Result<Password, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            password: String,
        }

        let target = self.metadata().api("/register")?;
        let members = [
            ("username", username.into()),
            ("email", email.into()),
            ("enrolment_code", enrolment_code.into()),
        ];
        let answer = self.ask(&target, Message::json(Method::POST, members)).await?;
        let Answer { password } = answer.into_json(&target)?;
        Password::new(password).map_err(|error| target.unexpected(error))
    }

    /// Logs in with a password in the *jwks-server* dialect, to the account of that id or username.
    /// The token is bound to `key`, which need not be a key of the account.
    ///
    /// # Errors
    /// When the server refuses, or issues a token that is not bound to `key`.
    pub async fn login_with_password(
        &self,
        key: &Arc<PrivateKey>,
        account: &str,
        password: &Password,
    ) -> Result<Login, ClientError> {
        let issued = self.token_for_password(key, account, password).await?;
        let renewal = Renewal::by_password(account.to_owned(), password.duplicate());
        Ok(self.logged_in(Arc::clone(key), issued).renewed_by(renewal))
    }

    async fn token_for_password(
        &self,
        key: &PrivateKey,
        account: &str,
        password: &Password,
    ) -> Result<IssuedToken, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            token: String,
        }

        let target = self.metadata().api("/auth")?;
        self.metadata().check_algorithm(key.algorithm().name())?;
        let members = [("username", account.into()), ("password", password.expose().into())];
        let message = Message::json(Method::POST, members);
        let response = self
            .exchange(self.nonces(), &target, MAX_API_ANSWER, |attempt| {
                attempt.proven(key, &target, message.clone())
            })
            .await?;
        let Answer { token } = response.into_json(&target)?;
        read_bound_token(&target, token, key)
    }
}

impl Renewal {
    /// With the password of the account of that id or username, in the *jwks-server* dialect.
    pub fn by_password(account: String, password: Password) -> Self {
        Self::by(ByPassword { account, password })
    }
}

struct ByPassword {
    account: String,
    password: Password,
}

impl Renew for ByPassword {
    fn renew<'a>(
        &'a self,
        client: &'a Client,
        bound_to: &'a Arc<PrivateKey>,
        _: Option<&'a str>,
    ) -> Renewed<'a> {
        Box::pin(client.token_for_password(bound_to, &self.account, &self.password))
    }
}
