//! Keys as OpenSSH writes them: a public key as a line in `id_….pub` and `authorized_keys` (sshd(8),
//! RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4) or in a file of its own (RFC 4716), and the head of a
//! private key file.

mod blob;
mod private_file;
mod rfc4716;

pub(super) use blob::check_blob;
pub(super) use private_file::check_private_file;
pub(super) use rfc4716::{BEGIN as BEGIN_FILE, read_file};

use super::components::Components;
use super::error::KeyError;
use crate::strict::base64;
use blob::{Kind, read_blob};

/// The words that such a line begins with.
const STARTS: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];

/// Whether `text` is meant to be an OpenSSH public key.
pub(super) fn is_public(text: &str) -> bool {
    STARTS.iter().any(|start| text.starts_with(start))
}

/// Reads the line `KIND BASE64 COMMENT`.
pub(super) fn read_line(line: &str) -> Result<Components, KeyError> {
    let mut words = line.split_ascii_whitespace();
    let kind = Kind::from_name(words.next().unwrap_or_default())?;
    let blob = base64::decode(words.next().unwrap_or_default());
    let (found, components) = read_blob(&blob.map_err(|_| KeyError::OpenSshDamaged)?)?;
    if found == kind { Ok(components) } else { Err(KeyError::OpenSshDamaged) }
}
