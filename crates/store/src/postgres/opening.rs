//! With what every transaction that changes something begins.
//!
//! Settings last for the transaction, so that a pooler may give the next one another connection. What a database or
//! its user has by default does not count.

use countersign_authority::model::audit::Administrator;

use super::locks::Lock;
use crate::sql::Bound;

/// How long a change waits for a lock: less than its caller waits for it, so that the server ends the wait and
/// not the client, whose connection it would cost.
const LOCK_TIMEOUT: &str = "1500ms";
/// After that, the server undoes a change whose program is silent, as one on a machine that was stopped is.
const SILENCE: &str = "5s";
/// What the transaction waits for before it has committed: as much as its user does by default, but not less than what
/// keeps it.
pub(super) const WAIT_FOR_ALL: &str = "set_config('synchronous_commit', CASE current_setting('synchronous_commit')
    WHEN 'off' THEN 'on' WHEN 'local' THEN 'on' ELSE current_setting('synchronous_commit') END, true)";

/// The first query of a transaction, and its parameters.
pub(super) struct Opening<'a> {
    pub(super) select: String,
    values: Vec<Value<'a>>,
}

enum Value<'a> {
    Setting(&'a str),
    Lock(Lock),
}

impl<'a> Opening<'a> {
    /// Of a transaction of an `administrator`, if one acts, with `locks`, and with `more` settings. `waits` says
    /// whether nothing may be lost that was acknowledged.
    pub(super) fn new(
        administrator: Option<&'a Administrator>,
        waits: bool,
        locks: &[Lock],
        more: &[(&'static str, &'static str)],
    ) -> Self {
        let mut settings = vec![
            ("lock_timeout", LOCK_TIMEOUT),
            ("idle_in_transaction_session_timeout", SILENCE),
            // A commit that has stopped waiting for its standby says so in a warning.
            ("client_min_messages", "warning"),
        ];
        settings.extend_from_slice(more);
        if let Some(Administrator { name, reason }) = administrator {
            settings.push(("countersign.actor", name));
            settings.push(("countersign.reason", reason.as_deref().unwrap_or_default()));
        }
        let set = settings.iter().map(|(name, _)| format!("set_config('{name}', ?, true)"));
        let wait = waits.then(|| WAIT_FOR_ALL.to_owned());
        let lock = locks.iter().map(|lock| lock.sql().to_owned());
        let select =
            format!("SELECT {}", set.chain(wait).chain(lock).collect::<Vec<_>>().join(", "));
        let values = settings.iter().map(|(_, value)| Value::Setting(value));
        let values = values.chain(locks.iter().map(|lock| Value::Lock(*lock))).collect();
        Self { select, values }
    }

    /// The parameters.
    pub(super) fn bound(&self) -> Vec<Bound<'_>> {
        let values = self.values.iter();
        let bound = values.map(|value| match value {
            Value::Setting(value) => Bound::Text(Some(value)),
            Value::Lock(lock) => Bound::Int(Some(lock.number)),
        });
        bound.collect()
    }
}
