//! The guard's port for sessions, over the authority in the same process.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use countersign_authority::{Authority, dialects::signjwt::SessionError};
use countersign_guard::ports::{CheckedMessage, MessageError, Sessions, SignedMessage};
use countersign_protocol::{Principal, UnixTime};

use crate::guard_ports::unavailable;

/// The sessions of this server.
pub(in crate::dialects) struct InProcessSessions(pub(in crate::dialects) Arc<Authority>);

#[async_trait]
impl Sessions for InProcessSessions {
    async fn check(
        &self,
        SignedMessage { jwt, signature, client }: SignedMessage<'_>,
        now: UnixTime,
    ) -> Result<Box<dyn CheckedMessage>, MessageError> {
        let message = countersign_authority::dialects::signjwt::SignedMessage { jwt, signature };
        let message = self.0.dialects.signjwt.check_message(message, now).await.map_err(refusal)?;
        Ok(Box::new(Checked { authority: Arc::clone(&self.0), message, client }))
    }
}

struct Checked {
    authority: Arc<Authority>,
    message: countersign_authority::dialects::signjwt::CheckedMessage,
    client: Option<IpAddr>,
}

#[async_trait]
impl CheckedMessage for Checked {
    fn principal(&self) -> &Principal {
        &self.message.principal
    }

    async fn redeem(&self, now: UnixTime) -> Result<String, MessageError> {
        self.authority
            .dialects
            .signjwt
            .redeem_message(&self.message, self.client, now)
            .await
            .map_err(refusal)
    }
}

fn refusal(error: SessionError) -> MessageError {
    match error {
        SessionError::Refused => MessageError::Refused,
        SessionError::Store(error) => MessageError::Unavailable(unavailable(&error)),
    }
}
