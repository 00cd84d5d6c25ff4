//! PEM (RFC 7468): one block, nothing around it.

use std::fmt;

use zeroize::Zeroizing;

use super::base64;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// RFC 7468 §2: generators wrap the text after 64 characters.
const LINE_LENGTH: usize = 64;

/// One decoded PEM block. Its content is wiped when dropped, for it may be a private key.
pub struct Pem {
    /// What stands after `BEGIN`, such as `PUBLIC KEY`.
    pub label: String,
    /// The decoded content.
    pub der: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pem").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Why a text is not exactly one PEM block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// There are `Name: value` lines inside the block, as in old encrypted keys.
    #[error("the PEM block has header lines, which are not supported")]
    Headers,
    /// The lines between `BEGIN` and `END` are not canonical base64.
    #[error("the PEM block does not contain canonical base64")]
    InvalidBase64,
    /// The label has characters outside upper-case letters, digits and single spaces.
    #[error("the PEM label is malformed")]
    InvalidLabel,
    /// `BEGIN` and `END` name different things.
    #[error("the PEM block begins and ends with different labels")]
    LabelMismatch,
    /// There is a second block.
    #[error("there is more than one PEM block; give exactly one")]
    MoreThanOne,
    /// The text does not start with a `-----BEGIN …-----` line.
    #[error("the text does not start with a PEM \"-----BEGIN …-----\" line")]
    NoBegin,
    /// There is no `-----END …-----` line.
    #[error("the PEM block has no \"-----END …-----\" line")]
    NoEnd,
    /// Something follows the block.
    #[error("there is text after the PEM block")]
    TrailingText,
}

/// Decodes a text that is exactly one PEM block (RFC 7468 §3).
///
/// Lines may end in LF or CRLF and may have any length, as many programs write one long line.
/// Blank lines, spaces and anything outside the block are refused, save the last line's end.
///
/// # Errors
/// [`PemError`] says what is wrong.
pub fn decode(text: &str) -> Result<Pem, PemError> {
    let mut lines = text.lines();
    let first = lines.next().ok_or(PemError::NoBegin)?;
    let label = label_of(first, BEGIN).ok_or(PemError::NoBegin)?;
    if !is_label(label) {
        return Err(PemError::InvalidLabel);
    }
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    let last = loop {
        let line = lines.next().ok_or(PemError::NoEnd)?;
        if line.starts_with(DASHES) {
            break line;
        }
        if line.contains(':') {
            return Err(PemError::Headers);
        }
        if line.is_empty() {
            return Err(PemError::InvalidBase64);
        }
        body.push_str(line);
    };
    if label_of(last, END).ok_or(PemError::NoEnd)? != label {
        return Err(PemError::LabelMismatch);
    }
    match lines.next() {
        None => {}
        Some(line) if line.starts_with(BEGIN) => return Err(PemError::MoreThanOne),
        Some(_) => return Err(PemError::TrailingText),
    }
    let der = Zeroizing::new(base64::decode(&body).map_err(|_| PemError::InvalidBase64)?);
    Ok(Pem { label: label.to_owned(), der })
}

/// Encodes `der` as a PEM block (RFC 7468 §2) that ends with a line feed.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(base64::encode(der));
    // Sized up front: growing would leave copies of a private key behind.
    let markers = 2 * (END.len() + BEGIN.len() + label.len() + DASHES.len());
    let mut pem = String::with_capacity(markers + body.len() + body.len() / LINE_LENGTH + 2);
    pem.push_str(BEGIN);
    pem.push_str(label);
    pem.push_str(DASHES);
    pem.push('\n');
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_LENGTH));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(END);
    pem.push_str(label);
    pem.push_str(DASHES);
    pem.push('\n');
    pem
}

fn label_of<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.strip_prefix(marker)?.strip_suffix(DASHES)
}

fn is_label(label: &str) -> bool {
    label.split(' ').all(|word| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: &str = "-----BEGIN PUBLIC KEY-----\nAQID\nBA==\n-----END PUBLIC KEY-----\n";

    #[test]
    fn one_block_with_any_line_ends_and_lengths() {
        let one_line = BLOCK.replace("AQID\n", "AQID");
        for text in [BLOCK, BLOCK.trim_end(), &BLOCK.replace('\n', "\r\n"), &one_line] {
            let pem = decode(text).unwrap();
            assert_eq!((pem.label.as_str(), pem.der.as_slice()), ("PUBLIC KEY", &[1, 2, 3, 4][..]));
        }
        assert_eq!(encode("PUBLIC KEY", &[1, 2, 3, 4]), one_line);
    }

    #[test]
    fn everything_else_is_refused() {
        let cases = [
            (String::new(), PemError::NoBegin),
            (format!("\n{BLOCK}"), PemError::NoBegin),
            (format!("Subject: x\n{BLOCK}"), PemError::NoBegin),
            (BLOCK.replace("BEGIN ", "BEGIN"), PemError::NoBegin),
            (BLOCK.replace("PUBLIC KEY", "public key"), PemError::InvalidLabel),
            (BLOCK.replace("PUBLIC KEY", "PUBLIC  KEY"), PemError::InvalidLabel),
            (BLOCK.replace("PUBLIC KEY", ""), PemError::InvalidLabel),
            (BLOCK.replace("END PUBLIC", "END PRIVATE"), PemError::LabelMismatch),
            (BLOCK.replace("-----END", "-----BEGIN"), PemError::NoEnd),
            ("-----BEGIN A-----\nAQID\n".to_owned(), PemError::NoEnd),
            (BLOCK.replace("AQID", "DEK-Info: AES"), PemError::Headers),
            (BLOCK.replace("AQID", ""), PemError::InvalidBase64),
            (BLOCK.replace("AQID", " AQID"), PemError::InvalidBase64),
            (BLOCK.replace("AQID", "AQID "), PemError::InvalidBase64),
            (BLOCK.replace("AQID", "AQ\rID"), PemError::InvalidBase64),
            (BLOCK.replace("BA==", "BB=="), PemError::InvalidBase64),
            (BLOCK.replace("BA==", "BA"), PemError::InvalidBase64),
            (format!("{BLOCK}{BLOCK}"), PemError::MoreThanOne),
            (format!("{BLOCK}\n"), PemError::TrailingText),
            (format!("{BLOCK}x"), PemError::TrailingText),
        ];
        for (text, error) in cases {
            assert_eq!(decode(&text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn debug_does_not_show_the_content() {
        let debug = format!("{:?}", decode(BLOCK).unwrap());
        assert_eq!(debug, "Pem { label: \"PUBLIC KEY\", .. }");
    }

    proptest! {
        #[test]
        fn round_trip(label in "[A-Z0-9]{1,8}( [A-Z0-9]{1,8}){0,2}", der: Vec<u8>) {
            let text = encode(&label, &der);
            prop_assert!(text.lines().all(|line| line.len() <= LINE_LENGTH.max(label.len() + 16)));
            let pem = decode(&text).unwrap();
            prop_assert_eq!((pem.label, pem.der.to_vec()), (label, der));
        }

        #[test]
        fn arbitrary_text_does_not_panic(text: String) {
            drop(decode(&format!("-----BEGIN {text}")));
        }
    }
}
