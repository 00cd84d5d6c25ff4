//! What several commands say in the same words.

use anyhow::anyhow;
use countersign_authority::{accounts::administration::AdminError, model::account::AccountName};

/// What to say when an act on the account `name` fails.
pub(super) fn explain(name: &AccountName) -> impl Fn(AdminError) -> anyhow::Error {
    move |error| match error {
        AdminError::NoAccount => anyhow!(
            "there is no account {name}: `countersign admin accounts list` shows all of them"
        ),
        AdminError::Disabled => anyhow!(
            "{name} is disabled, and nobody shall get into it: `countersign admin accounts enable \
             {name}` comes first"
        ),
        error => error.into(),
    }
}

/// `one account`, `3 accounts`.
pub(super) fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}
