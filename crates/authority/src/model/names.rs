//! Names that need an invitation.
//!
//! Programs behind a proxy see a username and little else. Some have a user `admin` of their own,
//! and some take a name with an `@` for an e-mail address that somebody has checked. So these names
//! are only for people with an invitation for that very name.

use std::{collections::BTreeSet, str::FromStr};

use thiserror::Error;

use crate::model::account::Username;

/// Names that other programs are likely to give a meaning.
const USUALLY_RESERVED: [&str; 30] = [
    "abuse",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "countersign",
    "daemon",
    "everyone",
    "guest",
    "hostmaster",
    "info",
    "me",
    "moderator",
    "nobody",
    "null",
    "operator",
    "owner",
    "postmaster",
    "public",
    "root",
    "security",
    "self",
    "service",
    "staff",
    "superuser",
    "support",
    "sysadmin",
    "system",
    "undefined",
    "webmaster",
];

/// Which names are given by invitation alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePolicy {
    /// These, as [`skeleton`] writes them.
    reserved: BTreeSet<String>,
    /// Names with an `@`.
    pub emails: EmailNames,
}

impl NamePolicy {
    /// With these reserved names, in any case of letters and with any separators.
    pub fn new<'a>(reserved: impl IntoIterator<Item = &'a str>, emails: EmailNames) -> Self {
        Self { reserved: reserved.into_iter().map(skeleton).collect(), emails }
    }

    /// The names that are reserved unless somebody says otherwise.
    pub const fn usually_reserved() -> &'static [&'static str] {
        &USUALLY_RESERVED
    }

    /// Whether the name needs no invitation.
    pub fn is_free(&self, username: &Username) -> bool {
        let is_free_email = !username.looks_like_email() || self.emails == EmailNames::Open;
        is_free_email && !self.reserved.contains(&skeleton(username.as_str()))
    }
}

impl Default for NamePolicy {
    fn default() -> Self {
        Self::new(USUALLY_RESERVED, EmailNames::Invited)
    }
}

/// The name as it looks at a glance: lower case, without separators.
fn skeleton(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '.' | '_' | '-' | '+'));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

/// Who may have a name with an `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailNames {
    /// Anybody. The name proves no address.
    Open,
    /// Only people who were invited under that name.
    Invited,
}

impl FromStr for EmailNames {
    type Err = UnknownEmailNames;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "open" => Ok(Self::Open),
            "invited" => Ok(Self::Invited),
            _ => Err(UnknownEmailNames),
        }
    }
}

/// Not a rule about names with an `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("names with an @ are one of open, invited")]
pub struct UnknownEmailNames;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_free(policy: &NamePolicy, name: &str) -> bool {
        policy.is_free(&name.parse().unwrap())
    }

    #[test]
    fn reserved_names_are_reserved_in_every_spelling() {
        let policy = NamePolicy::default();
        for name in ["admin", "ADMIN", "Admin", "ad.min", "admin-", "super_user", "Post-Master"] {
            assert!(!is_free(&policy, name), "{name}");
        }
        for name in ["alice", "admin2", "badmin", "rooted", "alice.admin"] {
            assert!(is_free(&policy, name), "{name}");
        }
    }

    #[test]
    fn names_with_an_at_are_free_where_the_policy_says_so() {
        assert!(!is_free(&NamePolicy::default(), "ceo@victim.example"));
        let open = NamePolicy::new(["boss"], EmailNames::Open);
        assert!(is_free(&open, "ceo@victim.example"));
        assert!(is_free(&open, "admin"), "what is said replaces what is usual");
        assert!(!is_free(&open, "Boss"));
    }
}
