//! E-mail addresses: checked for sanity, never written to.

use std::str::FromStr;

use thiserror::Error;

/// An e-mail address in lower case, so that nobody registers one address twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The longest address, in bytes (RFC 5321 §4.5.3.1.3, without the angle brackets).
    pub const MAX_LEN: usize = 254;

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let fits = text.len() <= Self::MAX_LEN && (1..=64).contains(&local.len());
        let is_domain = domain.split('.').all(|label| !label.is_empty());
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '@';
        let is_sane = fits && is_domain && local.chars().chain(domain.chars()).all(allowed);
        is_sane.then(|| Self(text.to_lowercase())).ok_or(InvalidEmail)
    }
}

/// Not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the e-mail address has the form name@domain and at most 254 bytes")]
pub struct InvalidEmail;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_lower_case() {
        for (text, read) in [
            ("john@example.com", "john@example.com"),
            ("John.Doe+x@Example.COM", "john.doe+x@example.com"),
            ("o'brien@example.ie", "o'brien@example.ie"),
            ("jürgen@münchen.example", "jürgen@münchen.example"),
            ("root@localhost", "root@localhost"),
        ] {
            assert_eq!(text.parse::<Email>().unwrap().as_str(), read);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let long = format!("a@{}", "b".repeat(253));
        let long_name = format!("{}@example.com", "a".repeat(65));
        let wrong = ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a@b..c", "a@.b", "a@\0"];
        for text in wrong.into_iter().chain([long.as_str(), &long_name]) {
            assert_eq!(text.parse::<Email>(), Err(InvalidEmail), "{text:?}");
        }
    }
}
