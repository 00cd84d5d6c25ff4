//! *signjwt*: a session whose every request is signed over a nonce and the session's JWT.

use countersign_protocol::{
    keys::PrivateKey,
    proofs::{nonce_pss, target_uri::TargetUri},
    strict::base64,
    tokens::offered_session::{OfferedSession, SessionExpectations},
    wire,
};
use http::{HeaderName, Method, header::AUTHORIZATION};
use serde::Deserialize;

use super::answers::registered_id;
use crate::http::{
    client::Client,
    error::ClientError,
    login::WhoAmI,
    message::{Message, Request, Response, sensitive},
    target::Target,
};

const SIGNED_MESSAGE: HeaderName = HeaderName::from_static(wire::header::SIGNED_MESSAGE);

/// To which origins a session's signature may go.
///
/// It covers no method, URL or body. Anybody who gets the signature can use it for one other
/// request to a server that accepts the session; only the server that opened the session does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRecipients {
    others: Vec<String>,
}

impl SessionRecipients {
    /// The server that opened the session, and nobody else.
    pub const fn issuer_only() -> Self {
        Self { others: Vec::new() }
    }

    /// The server `origin` too. It must be trusted not to use the signature for another request.
    ///
    /// # Errors
    /// When it is more or less than scheme, host and port.
    pub fn and(mut self, origin: &str) -> Result<Self, ClientError> {
        let uri = TargetUri::parse(origin).ok();
        let uri = uri.filter(|uri| uri.as_str().trim_end_matches('/') == uri.origin());
        let uri = uri.ok_or_else(|| ClientError::Origin { text: origin.to_owned() })?;
        self.others.push(uri.origin().to_owned());
        Ok(self)
    }

    fn include(&self, origin: &str) -> bool {
        self.others.iter().any(|other| other == origin)
    }
}

impl Client {
    /// Makes an account whose requests `key` signs in the *signjwt* dialect. Returns the account's
    /// id, which the server tells only in the answer to the first signed request. `enrolment_code`
    /// is the code of an invitation, if the server asks for one.
    ///
    /// # Errors
    /// When the server refuses, for instance because the username is taken;
    /// [`ClientError::UnexpectedAnswer`] when it has registered the key and does not take it.
    pub async fn register_signjwt(
        &self,
        key: &PrivateKey,
        username: &str,
        enrolment_code: Option<&str>,
    ) -> Result<String, ClientError> {
        let target = self.metadata().api("/register")?;
        let members = [
            ("user_id", username.into()),
            ("public_key", key.public_key().to_spki_pem().into()),
            ("enrolment_code", enrolment_code.into()),
        ];
        let answer = self.ask(&target, Message::json(Method::POST, members)).await?;
        answer.into_success(&target)?;
        registered_id(&target, self.whoami_signjwt(key, username).await)
    }

    /// Opens a session of the *signjwt* dialect and asks, in a request signed by `key`, which
    /// account the server sees behind it. `account` is the id or the username.
    ///
    /// # Errors
    /// When the server refuses, as it does when the key is none of the account's;
    /// [`ClientError::UnfitSession`] when what it sends to be signed is no session of its own.
    pub async fn whoami_signjwt(
        &self,
        key: &PrivateKey,
        account: &str,
    ) -> Result<WhoAmI, ClientError> {
        let target = self.metadata().api(wire::path::WHOAMI)?;
        let mut message = Message::get();
        self.sign_message(key, account, &mut message).await?;
        self.ask(&target, message).await?.into_json(&target)
    }

    /// Opens a session of the *signjwt* dialect for the account of that id or username, and sends
    /// `request` signed by `key`, if it goes to one of `recipients`.
    ///
    /// # Errors
    /// [`ClientError::SessionElsewhere`] when it goes to somebody else, and
    /// [`ClientError::UnfitSession`] when what the server sends is no session of its own; nothing
    /// is signed then. When the server opens no session, the address would get the signature
    /// unencrypted, the request brings its own `Authorization` or `DPoP`, or there is no answer
    /// within the limits. An answer with an error status is an answer.
    pub async fn send_signjwt(
        &self,
        key: &PrivateKey,
        account: &str,
        request: Request,
        recipients: &SessionRecipients,
    ) -> Result<Response, ClientError> {
        request.refuse_own_proofs()?;
        let (target, mut message) = request.into_message()?;
        let issuer = self.metadata().issuer();
        if target.origin() != Target::parse(issuer)?.origin()
            && !recipients.include(target.origin())
        {
            let (origin, issuer) = (target.origin().to_owned(), issuer.to_owned());
            return Err(ClientError::SessionElsewhere { origin, issuer });
        }
        self.sign_message(key, account, &mut message).await?;
        self.transport().send_to(&target, message, self.transport().max_response_bytes()).await
    }

    /// Adds to `message` the JWT of a new session and the first signature of it.
    async fn sign_message(
        &self,
        key: &PrivateKey,
        account: &str,
        message: &mut Message,
    ) -> Result<(), ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            jwt: String,
            nonce: String,
        }

        let target = self.metadata().api("/login")?;
        let login = Message::json(Method::POST, [("user_id", account.into())]);
        let Answer { jwt, nonce } = self.ask(&target, login).await?.into_json(&target)?;
        let issuer = self.metadata().issuer();
        let expected = SessionExpectations { issuer, subject: account };
        let session = OfferedSession::parse(&nonce, &jwt, &expected, self.now());
        let session = session
            .map_err(|reason| ClientError::UnfitSession { issuer: issuer.to_owned(), reason })?;
        let signature = base64::encode(&nonce_pss::sign(key, &session)?);
        let authorization = format!("{} {}", wire::scheme::SIGNED_MESSAGE, session.jwt());
        message.headers.insert(AUTHORIZATION, sensitive(&authorization));
        message.headers.insert(SIGNED_MESSAGE, sensitive(&signature));
        Ok(())
    }
}
