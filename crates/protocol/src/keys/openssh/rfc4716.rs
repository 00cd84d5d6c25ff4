//! Public keys in files of their own (RFC 4716), as `ssh-keygen -e`, `PuTTY` and SFTP services write them.

use super::blob::read_blob;
use crate::keys::components::Components;
use crate::keys::error::KeyError;
use crate::strict::base64;

/// RFC 4716 §3.2.
pub(in crate::keys) const BEGIN: &str = "---- BEGIN SSH2 PUBLIC KEY ----";
const END: &str = "---- END SSH2 PUBLIC KEY ----";

/// Reads the one key of a file that has no white space around it. Lines may have any ends (§3.1) and
/// any length.
pub(in crate::keys) fn read_file(text: &str) -> Result<Components, KeyError> {
    let blob = body(text).and_then(|body| base64::decode(&body).ok());
    let (_, components) = read_blob(&blob.ok_or(KeyError::OpenSshDamaged)?)?;
    Ok(components)
}

/// The base64 between the markers, without the headers before it and without line breaks.
fn body(text: &str) -> Option<String> {
    let inside = text.strip_prefix(BEGIN)?.strip_suffix(END)?.replace("\r\n", "\n");
    let mut is_continued = false;
    // A header has a colon, and goes on in the next line after a backslash (§3.3), which may be blank.
    // Base64 has neither.
    let is_before_it = |line: &&str| {
        let is_header = is_continued || line.contains(':');
        is_continued = is_header && line.ends_with('\\');
        is_header || line.is_empty()
    };
    let lines = inside.split(['\r', '\n']).map(str::trim_ascii);
    Some(lines.skip_while(is_before_it).collect())
}
