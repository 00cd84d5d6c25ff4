//! The recovery code, for an owner who has forgotten the password.

use std::fmt;

use countersign_protocol::ports::{Random, random_bytes};
use zeroize::Zeroizing;

/// Crockford's base32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters in each group, as the code is shown.
const GROUP: usize = 4;

/// 160 random bits, which open the online keyring as its password does.
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// How many characters it has, without the hyphens.
    pub const CHARS: usize = 32;

    /// A fresh code.
    pub fn generate(random: &dyn Random) -> Self {
        let bytes: Zeroizing<[u8; 20]> = Zeroizing::new(random_bytes(random));
        let mut text = Zeroizing::new(String::with_capacity(Self::CHARS));
        // 5 bytes are 8 characters.
        for block in bytes.chunks(5) {
            let bits = block.iter().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
            let character = |index: u32| char::from(ALPHABET[(bits >> (5 * index) & 31) as usize]);
            text.extend((0..8).rev().map(character));
        }
        Self(text)
    }

    /// Reads a code that somebody typed: case, spaces and hyphens do not matter, and neither do letters
    /// that look like digits.
    ///
    /// # Errors
    /// When the text is no code.
    pub fn parse(text: &str) -> Result<Self, RecoveryCodeError> {
        let mut code = Zeroizing::new(String::with_capacity(Self::CHARS));
        for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let character = match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let known = u8::try_from(character).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known {
                return Err(RecoveryCodeError::Character);
            }
            if code.len() == Self::CHARS {
                return Err(RecoveryCodeError::Length);
            }
            code.push(character);
        }
        if code.len() == Self::CHARS { Ok(Self(code)) } else { Err(RecoveryCodeError::Length) }
    }

    /// As it is shown: 8 groups of 4 characters, with hyphens between them.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(Self::CHARS + Self::CHARS / GROUP));
        for (index, character) in self.0.chars().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(character);
        }
        text
    }

    /// The password that it is for OPAQUE.
    pub fn as_password(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(***)")
    }
}

/// Why a text is no recovery code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryCodeError {
    /// It has a character that no code has.
    #[error("a recovery code has digits and letters other than U, and this has something else")]
    Character,
    /// It is longer or shorter than a code.
    #[error("a recovery code has {} characters, in 8 groups of 4", RecoveryCode::CHARS)]
    Length,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::CountingRandom;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = RecoveryCode::generate(&CountingRandom::default());
        let shown = code.reveal();
        assert_eq!(shown.len(), 39);
        for typed in [
            shown.to_string(),
            shown.to_lowercase(),
            shown.replace('-', " "),
            shown.replace('0', "o").replace('1', "l"),
            format!(" {}\n", shown.replace('1', "I").replace('-', "")),
        ] {
            assert_eq!(RecoveryCode::parse(&typed).ok().unwrap().as_password(), code.as_password());
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let error = |text: &str| RecoveryCode::parse(text).err();
        assert_eq!(error(""), Some(RecoveryCodeError::Length));
        assert_eq!(error(&"0".repeat(31)), Some(RecoveryCodeError::Length));
        assert_eq!(error(&"0".repeat(33)), Some(RecoveryCodeError::Length));
        assert_eq!(error(&"U".repeat(32)), Some(RecoveryCodeError::Character));
        assert_eq!(error(&"é".repeat(32)), Some(RecoveryCodeError::Character));
    }

    #[test]
    fn the_bits_are_in_the_order_of_their_bytes() {
        struct Bytes;
        impl Random for Bytes {
            fn fill(&self, bytes: &mut [u8]) {
                for (byte, value) in bytes.iter_mut().zip(0..) {
                    *byte = value;
                }
            }
        }
        // As Python's base64.b32encode gives it, in Crockford's alphabet.
        assert_eq!(
            *RecoveryCode::generate(&Bytes).reveal(),
            "000G-40R4-0M30-E209-185G-R38E-1W81-24GK"
        );
    }
}
