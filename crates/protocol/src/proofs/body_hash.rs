//! The hash of a request's body in a JWT claim: lower-case hexadecimal, SHA-256 or, where an old
//! protocol demands it, MD5.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use crate::digest::sha256;

/// Which hashes of the body are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyHashes {
    /// SHA-256 only.
    Sha256,
    /// SHA-256 and MD5. Collisions of MD5 are easy to make: whoever may choose a body can choose
    /// two that the signer cannot tell apart. A second preimage for the body of somebody else
    /// remains out of reach.
    Sha256OrMd5,
}

impl BodyHashes {
    /// Whether `hash` is an accepted hash of `body`.
    pub fn matches(self, hash: &str, body: &[u8]) -> bool {
        const SHA256_DIGITS: usize = 64;
        const MD5_DIGITS: usize = 32;
        match (hash.len(), self) {
            (SHA256_DIGITS, _) => hash == sha256_hex(body),
            (MD5_DIGITS, Self::Sha256OrMd5) => hash == hex(&Md5::digest(body)),
            _ => false,
        }
    }
}

/// The hash of `body` as clients write it: SHA-256 in lower-case hexadecimal digits.
pub fn sha256_hex(body: &[u8]) -> String {
    hex(&sha256(&[body]))
}

/// `bytes` in lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const MD5_OF_ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn sha256_in_lower_case_always_counts() {
        for hashes in [BodyHashes::Sha256, BodyHashes::Sha256OrMd5] {
            assert!(hashes.matches(SHA256_OF_ABC, b"abc"));
            assert!(!hashes.matches(SHA256_OF_ABC, b"abd"));
            assert!(!hashes.matches(&SHA256_OF_ABC.to_uppercase(), b"abc"));
            assert!(!hashes.matches("", b""));
        }
    }

    #[test]
    fn md5_counts_where_it_is_allowed() {
        assert!(BodyHashes::Sha256OrMd5.matches(MD5_OF_ABC, b"abc"));
        assert!(!BodyHashes::Sha256OrMd5.matches(MD5_OF_ABC, b"abd"));
        assert!(!BodyHashes::Sha256.matches(MD5_OF_ABC, b"abc"));
    }
}
