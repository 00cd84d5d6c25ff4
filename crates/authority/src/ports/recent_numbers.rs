//! The numbers that clients asked for lately.

use async_trait::async_trait;
use countersign_protocol::{AccountId, ClientNetwork, UnixTime, challenges::mutual::Number};

/// How many numbers of each client are remembered.
pub const NUMBERS_OF_EACH_CLIENT: usize = 4;

/// The numbers that clients asked for lately, for those clients who sign a hash of the number and do
/// not say which: from such a signature it cannot be read.
///
/// A number that is not here costs its client a new challenge, and one that is remembered too long
/// is refused for its age. So this may forget anything, and says nothing about what is valid. Nobody
/// pushes out what a client elsewhere asked for.
#[async_trait]
pub trait RecentNumbers: Send + Sync {
    /// Remembers a number that was made for an account that exists.
    async fn remember(
        &self,
        account: AccountId,
        network: ClientNetwork,
        number: Number,
        now: UnixTime,
    );

    /// The last [`NUMBERS_OF_EACH_CLIENT`] numbers that were asked for from that network, latest
    /// first.
    async fn recent(&self, account: AccountId, network: ClientNetwork) -> Vec<Number>;
}
