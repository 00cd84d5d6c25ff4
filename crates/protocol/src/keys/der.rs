//! The part of DER (ITU-T X.690 §10) that keys are written in: definite, minimal lengths below 64
//! KiB, single-byte tags.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;

/// The bytes are not the DER that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads elements one after the other.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(der: &'a [u8]) -> Self {
        Self { rest: der }
    }

    /// The tag of the next element, if there is one.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn read(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        let (&found, rest) = self.rest.split_first().ok_or(Malformed)?;
        if found != tag {
            return Err(Malformed);
        }
        let (length, rest) = read_length(rest)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(content)
    }

    /// The elements inside the next element, which must have this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Result<Self, Malformed> {
        self.read(tag).map(Self::new)
    }

    /// The next element as a non-negative integer: big-endian, without leading zero bytes.
    pub(super) fn unsigned(&mut self) -> Result<&'a [u8], Malformed> {
        match self.read(INTEGER)? {
            [0] => Ok(&[]),
            [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Ok(rest),
            content @ [first, ..] if (1..0x80).contains(first) => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// The next element as a bit string of whole bytes.
    pub(super) fn bit_string(&mut self) -> Result<&'a [u8], Malformed> {
        match self.read(BIT_STRING)? {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// Nothing may follow.
    pub(super) const fn finish(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

fn read_length(der: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    match *der {
        [short @ 0..=0x7f, ref rest @ ..] => Ok((usize::from(short), rest)),
        [0x81, length @ 0x80..=0xff, ref rest @ ..] => Ok((usize::from(length), rest)),
        [0x82, high @ 1..=0xff, low, ref rest @ ..] => {
            Ok((usize::from(u16::from_be_bytes([high, low])), rest))
        }
        _ => Err(Malformed),
    }
}

/// One element whose content is `parts`, one after the other. All of it is below 64 KiB, like every
/// key that this module has read.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut der = Vec::with_capacity(length + 4);
    der.push(tag);
    match length.to_be_bytes() {
        [.., low] if length < 0x80 => der.push(low),
        [.., low] if length < 0x100 => der.extend([0x81, low]),
        [.., high, low] => der.extend([0x82, high, low]),
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

/// A non-negative integer, given big-endian without leading zero bytes.
pub(super) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    match bytes.first() {
        Some(0..0x80) => element(INTEGER, &[bytes]),
        _ => element(INTEGER, &[&[0], bytes]),
    }
}

/// A bit string of whole bytes.
pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_have_one_form() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let der = element(OCTET_STRING, &[&vec![7; length]]);
            let mut reader = Reader::new(&der);
            assert_eq!(reader.read(OCTET_STRING).map(<[u8]>::len), Ok(length));
            assert_eq!(reader.finish(), Ok(()));
        }
        for wrong in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 1, 7],
            &[4, 0x82, 0, 1, 7],
            &[4, 0x83, 0, 0, 1, 7],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x24, 1, 7],
        ] {
            assert_eq!(Reader::new(wrong).read(OCTET_STRING), Err(Malformed), "{wrong:x?}");
        }
    }

    #[test]
    fn integers_have_one_form() {
        for (der, value) in [
            (&[2, 1, 0][..], &[][..]),
            (&[2, 1, 0x7f], &[0x7f]),
            (&[2, 2, 0, 0x80], &[0x80]),
            (&[2, 2, 1, 0], &[1, 0]),
        ] {
            assert_eq!(Reader::new(der).unsigned(), Ok(value));
            assert_eq!(unsigned(value), der);
        }
        for wrong in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 0x7f], &[2, 2, 0, 0], &[3, 1, 1]] {
            assert_eq!(Reader::new(wrong).unsigned(), Err(Malformed), "{wrong:x?}");
        }
    }

    #[test]
    fn bit_strings_are_whole_bytes() {
        assert_eq!(Reader::new(&bit_string(&[1, 2])).bit_string(), Ok(&[1, 2][..]));
        for wrong in [&[3, 0][..], &[3, 2, 1, 0], &[3, 1, 7], &[4, 1, 0]] {
            assert_eq!(Reader::new(wrong).bit_string(), Err(Malformed), "{wrong:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(der: Vec<u8>, tag in prop::sample::select(vec![2_u8, 3, 4, 6, 48])) {
            let der = [&[tag], der.as_slice()].concat();
            let mut reader = Reader::new(&der);
            if let Ok(content) = reader.read(tag) {
                prop_assert_eq!(&[element(tag, &[content]).as_slice(), reader.rest].concat(), &der);
            }
        }
    }
}
