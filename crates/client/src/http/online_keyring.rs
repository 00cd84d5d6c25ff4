//! The online keyring of an account: reading about it, opening it, changing it.

mod changing;
mod error;
mod opening;
mod reading;
mod replacing;
mod request;

pub use self::error::OnlineKeyringError;
pub use self::opening::Unlock;
pub use self::reading::{OnlineKeyringInfo, RevisionInfo, SlotInfo};
