//! Keys in formats of other programs that are not read here. Each is recognised by its first bytes, and
//! the error says how to get a key out of it, or why that would be of no use.

use super::error::KeyError;
use super::openssh;
use super::rsa::KeyPolicy;
use crate::strict::base64;

/// The first words of a private key file of `PuTTY`, before its version.
pub(super) const PUTTY: &str = "PuTTY-User-Key-File-";

/// The first line of a private key of ssh.com's SSH2. The key may be unencrypted nevertheless.
pub(super) const SSH_COM: &str = "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----";

/// The beginning of an armoured `OpenPGP` key (RFC 9580 §6.2.1).
const OPEN_PGP: &str = "-----BEGIN PGP ";

/// Names the format of a text that has no white space at its beginning.
pub(super) fn in_text(text: &str) -> Option<KeyError> {
    text.contains(OPEN_PGP).then_some(KeyError::OpenPgp)
}

/// Names the format of a file.
pub(super) fn in_bytes(content: &[u8]) -> Option<KeyError> {
    match content {
        // JKS and JCEKS.
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Some(KeyError::JavaKeystore),
        // GnuPG's keybox.
        [_, _, _, _, _, _, _, _, b'K', b'B', b'X', b'f', ..] => Some(KeyError::OpenPgp),
        _ if is_pkcs12(content) => Some(KeyError::Pkcs12),
        _ if is_open_pgp(content) => Some(KeyError::OpenPgp),
        _ => None,
    }
}

/// The error for a private key file of `PuTTY`. Its public half is not encrypted, and tells whether the
/// key can be used once it is written in another format.
pub(super) fn putty(text: &str, policy: &KeyPolicy) -> KeyError {
    let checked = public_half(text).map(|blob| openssh::check_blob(&blob, policy));
    checked.and_then(Result::err).unwrap_or(KeyError::PuttyPrivateKey)
}

fn public_half(text: &str) -> Option<Vec<u8>> {
    let (_, after) = text.split_once("Public-Lines:")?;
    let lines = after.lines().skip(1).take_while(|line| !line.contains(':'));
    base64::decode_wrapped(&lines.collect::<String>()).ok()
}

/// Whether this is a `PFX` (RFC 7292 §4): the version 3, then a sequence. Some programs write BER, so the
/// length may be of any form.
fn is_pkcs12(content: &[u8]) -> bool {
    matches!(
        content,
        [0x30, ..=0x80, 2, 1, 3, 0x30, ..]
            | [0x30, 0x81, _, 2, 1, 3, 0x30, ..]
            | [0x30, 0x82, _, _, 2, 1, 3, 0x30, ..]
            | [0x30, 0x83, _, _, _, 2, 1, 3, 0x30, ..]
            | [0x30, 0x84, _, _, _, _, 2, 1, 3, 0x30, ..]
    )
}

/// Whether this begins with the packet of a public or private key (RFC 9580 §4.2, §5.5.2), which has a
/// length of one of several forms, then a version.
fn is_open_pgp(content: &[u8]) -> bool {
    matches!(
        content,
        [0x94 | 0x98, _, 3..=6, ..]
            | [0x95 | 0x99, _, _, 3..=6, ..]
            | [0xc5 | 0xc6, ..=191, 3..=6, ..]
            | [0xc5 | 0xc6, 192..=223, _, 3..=6, ..]
    )
}
