//! OpenSSH public keys: a line as in `id_….pub` and `authorized_keys` (sshd(8), RFC 4253 §6.6, RFC
//! 5656 §3.1, RFC 8709 §4).

use super::components::{Components, Curve};
use super::error::KeyError;
use crate::strict::base64;

/// What such a line begins with.
const STARTS: [&str; 5] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2 "];

/// Whether `text` is meant to be an OpenSSH public key.
pub(super) fn is_public(text: &str) -> bool {
    STARTS.iter().any(|start| text.starts_with(start))
}

/// Reads the line `KIND BASE64 COMMENT`.
pub(super) fn read_public(line: &str) -> Result<Components, KeyError> {
    let mut words = line.split_ascii_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
        return Err(KeyError::OpenSshUnsupported);
    };
    let blob = base64::decode(blob).map_err(|_| KeyError::OpenSshUnsupported)?;
    read_blob(kind, &blob).ok_or(KeyError::OpenSshUnsupported)?
}

/// The key in a blob, which repeats the `kind` of the key. `None` when it is damaged or of another
/// kind.
fn read_blob(kind: &str, blob: &[u8]) -> Option<Result<Components, KeyError>> {
    let mut rest = blob;
    if string(&mut rest)? != kind.as_bytes() {
        return None;
    }
    let components = match kind {
        "ssh-ed25519" => Ok(Components::Ed25519 { x: string(&mut rest)?.try_into().ok()? }),
        "ssh-rsa" => {
            let (e, n) = (number(&mut rest)?, number(&mut rest)?);
            Ok(Components::Rsa { n: n.to_vec(), e: e.to_vec() })
        }
        "ecdsa-sha2-nistp256" => point(Curve::P256, b"nistp256", &mut rest)?,
        "ecdsa-sha2-nistp384" => point(Curve::P384, b"nistp384", &mut rest)?,
        _ => return None,
    };
    rest.is_empty().then_some(components)
}

fn point(curve: Curve, name: &[u8], rest: &mut &[u8]) -> Option<Result<Components, KeyError>> {
    let named = string(rest)? == name;
    let point = string(rest)?;
    named.then(|| Components::ec_point(curve, point))
}

/// A `string` of RFC 4251 §5: four bytes of length, then as many bytes.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (content, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(content)
}

/// A positive `mpint` of RFC 4251 §5 in its shortest form, without the zero byte of its sign.
fn number<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    match string(rest)? {
        [0, digits @ ..] => digits.first().is_some_and(|first| *first >= 0x80).then_some(digits),
        digits => digits.first().is_some_and(|first| (1..0x80).contains(first)).then_some(digits),
    }
}
