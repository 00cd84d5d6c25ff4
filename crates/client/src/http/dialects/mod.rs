//! Ways to log in other than the standard one.

mod passwordless;
mod self_signed;
mod signjwt;

pub use self::passwordless::PasswordlessAccount;
use super::{
    Client, ClientError, Response,
    target::Target,
    transport::{MAX_API_ANSWER, Message},
};

impl Client {
    /// Sends a message as it is, and gets a short answer.
    async fn ask(&self, target: &Target, message: Message) -> Result<Response, ClientError> {
        self.transport().send_to(target, message, MAX_API_ANSWER).await
    }
}
