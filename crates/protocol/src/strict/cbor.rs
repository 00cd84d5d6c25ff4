//! CBOR (RFC 8949) in the one form that authenticators must write: CTAP2's canonical encoding.
//!
//! Lengths are stated and as short as possible, so are integers, and there are no tags. The keys of
//! a map are integers or texts, and no key comes twice. Their order is not checked, because some
//! authenticators write them in another order than the specification's, and no reader sees a
//! difference.

mod reader;
#[cfg(test)]
mod tests;
mod value;
#[cfg(test)]
pub(crate) mod writer;

use self::reader::{Reader, read};
pub use self::{
    reader::{CborError, MAX_DEPTH},
    value::{Key, Map, Value},
};

/// Parses one value. The size limit is the caller's.
///
/// # Errors
/// [`CborError`] for everything that is not exactly one value in the form that this module describes.
pub fn parse(bytes: &[u8]) -> Result<Value<'_>, CborError> {
    match parse_first(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(CborError::TrailingBytes(rest.len())),
    }
}

/// Parses the value that `bytes` begin with. Returns it and the bytes behind it. The size limit is
/// the caller's.
///
/// # Errors
/// As [`parse`], but any bytes may follow.
pub fn parse_first(bytes: &[u8]) -> Result<(Value<'_>, &[u8]), CborError> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader, 0)?;
    Ok((value, reader.rest()))
}
