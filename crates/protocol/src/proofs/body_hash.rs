//! The hash of a request's body in a JWT claim: lower-case hexadecimal, SHA-256 or, where an old
//! protocol demands it, MD5. A DPoP proof may carry it too; then it is SHA-256.

use md5::{Digest as _, Md5};

use crate::{
    digest::sha256,
    strict::{hex, json},
};

/// The claim with the hash of the request's body.
pub const CLAIM: &str = "tha";

/// Which hashes of the body are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyHashes {
    /// SHA-256 only.
    Sha256,
    /// SHA-256 and MD5. Collisions of MD5 are easy to make: somebody who may choose a body can make
    /// two that the signer cannot tell apart. A second preimage for somebody else's body remains
    /// out of reach.
    ///
    /// The MD5 of a JSON body may also be that of the same text without white space between its
    /// tokens: clients of that protocol hash the compact form, whichever they send.
    Sha256OrMd5,
}

/// The hash function by which a claim fits a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyHash {
    /// SHA-256.
    Sha256,
    /// MD5.
    Md5,
}

impl BodyHashes {
    /// Those that an account may use. Only one that registered in a sealed object, and so is called by
    /// a fingerprint too, speaks a protocol that demands MD5.
    pub const fn of_account(has_fingerprint: bool) -> Self {
        if has_fingerprint { Self::Sha256OrMd5 } else { Self::Sha256 }
    }

    /// By which accepted function `hash` is the hash of `body`; `None` if by none.
    pub fn function_of(self, hash: &str, body: &[u8]) -> Option<BodyHash> {
        const SHA256_DIGITS: usize = 64;
        const MD5_DIGITS: usize = 32;
        match (hash.len(), self) {
            (SHA256_DIGITS, _) => (hash == sha256_hex(body)).then_some(BodyHash::Sha256),
            (MD5_DIGITS, Self::Sha256OrMd5) => {
                let is_of = |body: &[u8]| hash == hex::encode(&Md5::digest(body));
                let is_of_compact =
                    || json::without_white_space(body).is_ok_and(|compact| is_of(&compact));
                (is_of(body) || is_of_compact()).then_some(BodyHash::Md5)
            }
            _ => None,
        }
    }

    /// Whether hashes by `function` are accepted.
    pub const fn include(self, function: BodyHash) -> bool {
        match (self, function) {
            (_, BodyHash::Sha256) | (Self::Sha256OrMd5, BodyHash::Md5) => true,
            (Self::Sha256, BodyHash::Md5) => false,
        }
    }
}

/// The hash of `body` as clients write it: SHA-256 in lower-case hexadecimal digits.
pub fn sha256_hex(body: &[u8]) -> String {
    hex::encode(&sha256(&[body]))
}

/// The SHA-256 that `hash` is, if it is one in lower-case hexadecimal digits.
pub fn parse_sha256(hash: &str) -> Option<[u8; 32]> {
    hex::decode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const MD5_OF_ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn sha256_in_lower_case_always_counts() {
        for hashes in [BodyHashes::Sha256, BodyHashes::Sha256OrMd5] {
            assert_eq!(hashes.function_of(SHA256_OF_ABC, b"abc"), Some(BodyHash::Sha256));
            assert_eq!(hashes.function_of(SHA256_OF_ABC, b"abd"), None);
            assert_eq!(hashes.function_of(&SHA256_OF_ABC.to_uppercase(), b"abc"), None);
            assert_eq!(hashes.function_of("", b""), None);
            assert!(hashes.include(BodyHash::Sha256));
        }
    }

    #[test]
    fn a_sha256_has_one_spelling() {
        assert_eq!(parse_sha256(SHA256_OF_ABC), Some(sha256(&[b"abc"])));
        let (upper, short) = (SHA256_OF_ABC.to_uppercase(), &SHA256_OF_ABC[1..]);
        for text in ["", MD5_OF_ABC, &upper, short, &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(parse_sha256(text), None, "{text}");
        }
    }

    #[test]
    fn md5_counts_where_it_is_allowed() {
        let both = BodyHashes::Sha256OrMd5;
        assert_eq!(both.function_of(MD5_OF_ABC, b"abc"), Some(BodyHash::Md5));
        assert_eq!(both.function_of(MD5_OF_ABC, b"abd"), None);
        assert_eq!(BodyHashes::Sha256.function_of(MD5_OF_ABC, b"abc"), None);
        assert!(both.include(BodyHash::Md5) && !BodyHashes::Sha256.include(BodyHash::Md5));
    }

    #[test]
    fn white_space_between_tokens_means_nothing_to_md5_and_everything_else_does() {
        let compact: &[u8] = br#"{"source":"a b","amount":2}"#;
        let (md5, sha256) = (hex::encode(&Md5::digest(compact)), sha256_hex(compact));
        let both = BodyHashes::Sha256OrMd5;
        for spaced in [
            &br#"{"source": "a b", "amount": 2}"#[..],
            b" {\n\t\"source\" : \"a b\",\r\n\"amount\":2}\n",
        ] {
            assert_eq!(both.function_of(&md5, spaced), Some(BodyHash::Md5));
            assert_eq!(both.function_of(&sha256, spaced), None, "SHA-256 is that of the bytes");
            assert_eq!(BodyHashes::Sha256.function_of(&md5, spaced), None);
        }
        for other in [
            &br#"{"source":"ab","amount":2}"#[..],
            br#"{"amount":2,"source":"a b"}"#,
            br#"{"source":"a b","amount":2.0}"#,
            br#"{"source":"a b","amount":2}, "#,
            br#"{"source":"a b","amount":2 0}"#,
        ] {
            assert_eq!(both.function_of(&md5, other), None);
        }
    }
}
