//! Requests that change an online keyring.

use http::header::{HeaderName, HeaderValue, IF_MATCH};

use super::error::OnlineKeyringError;
use crate::http::login::Login;
use crate::http::message::Message;
use crate::http::transport::MAX_API_ANSWER;
use crate::online_keyring::OnlineKeyring;

/// How often a change is sent whose answer is lost.
const MAX_SENDS: usize = 3;

impl Login {
    /// Sends a change. When the answer is lost, sends the same bytes once more, with a new proof: to a
    /// server that has done it already, they are no other change.
    pub(super) async fn change_online_keyring(
        &self,
        path: &str,
        mut message: Message,
        condition: (HeaderName, HeaderValue),
    ) -> Result<(), OnlineKeyringError> {
        message.headers.extend([condition]);
        let mut sent = self.send_change(path, &message).await;
        let was_lost = |sent: &Result<(), OnlineKeyringError>| {
            sent.as_ref().is_err_and(OnlineKeyringError::leaves_open)
        };
        if !was_lost(&sent) {
            return sent;
        }
        for _ in 1..MAX_SENDS {
            sent = self.send_change(path, &message).await;
            if !was_lost(&sent) {
                break;
            }
        }
        sent.map_err(OnlineKeyringError::unconfirmed)
    }

    /// Sends a change that would be another one the second time.
    pub(super) async fn change_online_keyring_once(
        &self,
        path: &str,
        mut message: Message,
        condition: (HeaderName, HeaderValue),
    ) -> Result<(), OnlineKeyringError> {
        message.headers.extend([condition]);
        let sent = self.send_change(path, &message).await;
        sent.map_err(|error| if error.leaves_open() { error.unconfirmed() } else { error })
    }

    async fn send_change(&self, path: &str, message: &Message) -> Result<(), OnlineKeyringError> {
        let changed = async {
            let target = self.api(path)?;
            let response = self.exchange(&target, MAX_API_ANSWER, |_| Ok(message.clone())).await?;
            response.into_success(&target)
        };
        match changed.await {
            Ok(_) => Ok(()),
            Err(error) => Err(OnlineKeyringError::of(error, self.client())),
        }
    }
}

/// The condition that the keyring is still the one that was opened.
pub(super) fn present(opened: &OnlineKeyring) -> (HeaderName, HeaderValue) {
    at_revision(opened.revision())
}

/// The condition that the keyring is of that revision.
pub(super) fn at_revision(revision: u64) -> (HeaderName, HeaderValue) {
    let tag = format!("\"{revision}\"");
    // Digits and quotation marks always are a header value.
    (IF_MATCH, HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"0\"")))
}
