//! Whether a start under this issuer would make every passkey useless without a word.
//!
//! Browsers make and show no passkeys for an IP address, so that a server with such an issuer has none by
//! default. Where people have signed in with passkeys before, that would lock them out.

use anyhow::ensure;
use countersign_authority::{model::policy::Policy, ports::PasskeyStore};

use crate::config::Settings;

/// Refuses an issuer that can have no passkeys while the database has live ones, unless the operator has
/// switched passkeys off.
///
/// # Errors
/// With the names of both and the remedy; or when the store fails.
pub(crate) async fn check(
    settings: &Settings,
    policy: &Policy,
    store: &dyn PasskeyStore,
) -> anyhow::Result<()> {
    if policy.passkeys.is_some() || settings.passkeys.are_given_up() {
        return Ok(());
    }
    let (rp_id, count) = store.passkeys_of_others(None).await?.unwrap_or_default();
    ensure!(
        count == 0,
        "the passkeys of this database ({count}) were made for the RP ID {rp_id:?}, and browsers show none at \
         the issuer {:?}: start with the issuer of before, whose host is {rp_id:?} or a name below it; or, to \
         give those passkeys up, with passkeys.enabled = false",
        policy.issuer()
    );
    Ok(())
}
