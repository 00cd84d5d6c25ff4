//! The head of a private key file of OpenSSH (`PROTOCOL.key`). It is not encrypted, so it tells before
//! anybody is asked for a passphrase whether the key can be used.

use super::blob::{check_blob, string, uint32};
use crate::keys::error::KeyError;
use crate::keys::rsa::KeyPolicy;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The ciphers that the reader of the rest decrypts.
const CIPHERS: [&[u8]; 10] = [
    b"none",
    b"aes128-cbc",
    b"aes192-cbc",
    b"aes256-cbc",
    b"aes128-ctr",
    b"aes192-ctr",
    b"aes256-ctr",
    b"aes128-gcm@openssh.com",
    b"aes256-gcm@openssh.com",
    b"chacha20-poly1305@openssh.com",
];

/// The most rounds of bcrypt, which take about a minute. `ssh-keygen` takes 16 or 24 unless told.
const MAX_ROUNDS: u32 = 4096;

struct Head<'a> {
    cipher: &'a [u8],
    /// The rounds of bcrypt; `None` where the key is not encrypted.
    rounds: Option<u32>,
    public: &'a [u8],
}

/// Checks that the key in the decoded `file` is of a kind, of a size and under a cipher that are
/// supported.
pub(in crate::keys) fn check_private_file(file: &[u8], policy: &KeyPolicy) -> Result<(), KeyError> {
    let head = Head::read(file).ok_or(KeyError::OpenSshUnreadable)?;
    check_blob(head.public, policy)?;
    if !CIPHERS.contains(&head.cipher) {
        return Err(KeyError::OpenSshCipher);
    }
    match head.rounds {
        Some(rounds) if rounds > MAX_ROUNDS => {
            Err(KeyError::OpenSshTooCostly { rounds, max: MAX_ROUNDS })
        }
        Some(_) | None => Ok(()),
    }
}

impl<'a> Head<'a> {
    fn read(file: &'a [u8]) -> Option<Self> {
        let mut rest = file.strip_prefix(MAGIC)?;
        let cipher = string(&mut rest)?;
        let (kdf, mut options) = (string(&mut rest)?, string(&mut rest)?);
        let rounds = match kdf {
            b"none" => None,
            b"bcrypt" => {
                string(&mut options)?;
                Some(uint32(&mut options)?)
            }
            _ => return None,
        };
        let is_one_key = uint32(&mut rest)? == 1;
        is_one_key.then_some(Self { cipher, rounds, public: string(&mut rest)? })
    }
}
