//! The recovery code of an online keyring, which exists nowhere else once it is made.

use anyhow::{Context as _, anyhow};
use countersign_client::{Login, OnlineKeyringError, online_keyring::RecoveryCode};

use super::online_account::explain_by;
use crate::output;

/// The code that a change has brought. When it is not known whether the change was done, the code is
/// printed all the same, because it may be the one that opens the keyring; `what_to_do` goes with it.
pub(super) fn confirmed(
    login: &Login,
    changed: Result<RecoveryCode, OnlineKeyringError>,
    what_to_do: &str,
) -> anyhow::Result<RecoveryCode> {
    let error = match changed {
        Ok(code) => return Ok(code),
        Err(error) => error,
    };
    let OnlineKeyringError::Unconfirmed { code: Some(code), .. } = &error else {
        return Err(explain_by(login, error));
    };
    let shown = output::only_copy(&format!("recovery code, if it was done: {}", &*code.reveal()));
    shown.with_context(|| {
        format!(
            "{error}\n  if it was done, nobody has seen the new recovery code (make another: countersign \
             keyring online recovery)"
        )
    })?;
    Err(anyhow!("{error}\n  {what_to_do}"))
}

/// Prints the recovery code, which exists nowhere else.
pub(super) fn show_recovery_code(code: &RecoveryCode) -> anyhow::Result<()> {
    let shown = output::only_copy(&format!("recovery code: {}", &*code.reveal()));
    let done = "the online keyring has a recovery code that nobody has seen (make another: \
                countersign keyring online recovery)";
    output::after(done, shown)?;
    output::remark(
        "write the recovery code down and keep it apart: it opens the online keyring if the \
         password is forgotten, and is not shown again",
    );
    Ok(())
}
