//! PEM (RFC 7468), as people and programs really send it.
//!
//! Harmless differences are accepted, because the content is decoded strictly anyway: any line ends
//! and line lengths, none at all included; white space around and inside the lines; text around the
//! blocks; the two characters `\n` in place of line breaks, as environment files have them.

use std::fmt;

use zeroize::Zeroizing;

use super::base64;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// RFC 7468 §2: generators wrap the text after 64 characters.
const LINE_LENGTH: usize = 64;
/// No chain of certificates has more.
const MAX_BLOCKS: usize = 64;

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

/// Why a text is not PEM, or not as many blocks as are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// There are `Name: value` lines inside the block, as in old encrypted keys.
    #[error("the PEM block has header lines, which are not supported")]
    Headers,
    /// What stands between `BEGIN` and `END` is not canonical base64.
    #[error(
        "what stands between BEGIN and END in the PEM block is not canonical base64: \
         a part is missing or was changed"
    )]
    InvalidBase64,
    /// The label has characters outside upper-case letters, digits and single spaces.
    #[error("the PEM label, which stands between \"-----BEGIN \" and \"-----\", is malformed")]
    InvalidLabel,
    /// `BEGIN` and `END` name different things.
    #[error("the PEM block begins and ends with different labels")]
    LabelMismatch,
    /// There is a second block of the kind that is wanted.
    #[error("there is more than one PEM block of this kind; give exactly one")]
    MoreThanOne,
    /// There is no `-----BEGIN …-----` anywhere.
    #[error("there is no PEM block: \"-----BEGIN …-----\" is missing")]
    NoBegin,
    /// There is no `-----END …-----` after the `-----BEGIN …-----`.
    #[error("the PEM block has no \"-----END …-----\"; the end of the text is missing")]
    NoEnd,
    /// There are more blocks than anybody needs.
    #[error("there are more than {MAX_BLOCKS} PEM blocks")]
    TooMany,
}

/// Decodes the PEM block of a text that has exactly one.
///
/// # Errors
/// [`PemError`] says what is wrong.
pub fn decode(text: &str) -> Result<Pem, PemError> {
    let mut blocks = decode_all(text)?.into_iter();
    let block = blocks.next().ok_or(PemError::NoBegin)?;
    if blocks.next().is_some() { Err(PemError::MoreThanOne) } else { Ok(block) }
}

/// Decodes all PEM blocks of a text, at least one.
///
/// # Errors
/// [`PemError`] says what is wrong with the first bad one.
pub fn decode_all(text: &str) -> Result<Vec<Pem>, PemError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        if blocks.len() == MAX_BLOCKS {
            return Err(PemError::TooMany);
        }
        let (block, after) = decode_next(after)?;
        blocks.push(block);
        rest = after;
    }
    if blocks.is_empty() { Err(PemError::NoBegin) } else { Ok(blocks) }
}

/// Decodes the block whose `-----BEGIN ` was just passed, and returns what follows it.
fn decode_next(text: &str) -> Result<(Pem, &str), PemError> {
    let (label, text) = text.split_once(DASHES).ok_or(PemError::InvalidLabel)?;
    if !is_label(label) {
        return Err(PemError::InvalidLabel);
    }
    let (body, text) = text.split_once(DASHES).ok_or(PemError::NoEnd)?;
    let text = text.strip_prefix(&END[DASHES.len()..]).ok_or(PemError::NoEnd)?;
    let (end_label, rest) = text.split_once(DASHES).ok_or(PemError::NoEnd)?;
    if end_label != label {
        return Err(PemError::LabelMismatch);
    }
    let der = decode_body(body)?;
    Ok((Pem { label: label.to_owned(), der }, rest))
}

fn decode_body(body: &str) -> Result<Zeroizing<Vec<u8>>, PemError> {
    if body.contains(':') {
        return Err(PemError::Headers);
    }
    let body = Zeroizing::new(body.replace("\\r", "").replace("\\n", ""));
    base64::decode_wrapped(&body).map(Zeroizing::new).map_err(|_| PemError::InvalidBase64)
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
    fn white_space_and_line_ends_mean_nothing() {
        let one_line = BLOCK.replace("AQID\n", "AQID");
        for text in [
            BLOCK,
            BLOCK.trim_end(),
            &one_line,
            &BLOCK.replace('\n', "\r\n"),
            &BLOCK.replace('\n', "\r"),
            &BLOCK.replace('\n', " \n"),
            &BLOCK.replace('\n', "\n\n"),
            &BLOCK.replace('\n', "\n\t"),
            &BLOCK.replace('\n', ""),
            &BLOCK.replace('\n', "\\n"),
            &BLOCK.replace('\n', "\\r\\n"),
            &format!("\n\n  {BLOCK}\n"),
        ] {
            let pem = decode(text).unwrap();
            assert_eq!((pem.label.as_str(), pem.der.as_slice()), ("PUBLIC KEY", &[1, 2, 3, 4][..]));
        }
        assert_eq!(encode("PUBLIC KEY", &[1, 2, 3, 4]), one_line);
    }

    #[test]
    fn text_around_a_block_is_ignored() {
        for text in [
            format!("\u{feff}{BLOCK}"),
            format!("\"{BLOCK}\""),
            format!("subject: x\nissuer: y\n{BLOCK}more\n"),
        ] {
            assert_eq!(*decode(&text).unwrap().der, [1, 2, 3, 4], "{text:?}");
        }
    }

    #[test]
    fn several_blocks_are_read_in_order() {
        let text = format!("{BLOCK}{}", BLOCK.replace("PUBLIC KEY", "EC PARAMETERS"));
        let labels: Vec<_> = decode_all(&text).unwrap().into_iter().map(|pem| pem.label).collect();
        assert_eq!(labels, ["PUBLIC KEY", "EC PARAMETERS"]);
        assert_eq!(decode(&text).unwrap_err(), PemError::MoreThanOne);
        assert_eq!(decode_all(&BLOCK.repeat(MAX_BLOCKS + 1)).unwrap_err(), PemError::TooMany);
    }

    #[test]
    fn everything_else_is_refused() {
        let cases = [
            (String::new(), PemError::NoBegin),
            (BLOCK.replace("BEGIN ", "BEGIN"), PemError::NoBegin),
            (BLOCK.replace("PUBLIC KEY", "public key"), PemError::InvalidLabel),
            (BLOCK.replace("PUBLIC KEY", "PUBLIC  KEY"), PemError::InvalidLabel),
            (BLOCK.replace("PUBLIC KEY", ""), PemError::InvalidLabel),
            ("-----BEGIN PUBLIC KEY".to_owned(), PemError::InvalidLabel),
            (BLOCK.replace("END PUBLIC", "END PRIVATE"), PemError::LabelMismatch),
            (BLOCK.replace("-----END", "-----BEGIN"), PemError::NoEnd),
            (BLOCK.replace("-----END PUBLIC KEY-----", "-----END PUBLIC KEY"), PemError::NoEnd),
            ("-----BEGIN A-----\nAQID\n".to_owned(), PemError::NoEnd),
            (BLOCK.replace("AQID", "DEK-Info: AES"), PemError::Headers),
            (BLOCK.replace("BA==", "BB=="), PemError::InvalidBase64),
            (BLOCK.replace("BA==", "BA"), PemError::InvalidBase64),
            (BLOCK.replace("AQID", "AQ\\tID"), PemError::InvalidBase64),
            (BLOCK.replace("AQID", "> AQID"), PemError::InvalidBase64),
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
