//! SHA-256, the one hash of the product.

use std::mem;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};

/// SHA-256 (FIPS 180-4) of `parts`, one after the other with nothing between them.
///
/// Callers that hash several variable-length values must delimit them: `["ab", "c"]` and
/// `["a", "bc"]` hash alike.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let digest = match parts {
        [whole] => digest(&SHA256, whole),
        _ => digest_of_parts(parts),
    };
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// Short parts are joined first: a context costs more than hashing them.
fn digest_of_parts(parts: &[&[u8]]) -> Digest {
    const SHORT: usize = 256;
    let mut joined = [0; SHORT];
    let mut rest = &mut joined[..];
    for part in parts {
        let Some((place, after)) = mem::take(&mut rest).split_at_mut_checked(part.len()) else {
            return digest_by_context(parts);
        };
        place.copy_from_slice(part);
        rest = after;
    }
    let length = SHORT - rest.len();
    digest(&SHA256, &joined[..length])
}

fn digest_by_context(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_concatenated() {
        // FIPS 180-4 example: SHA-256("abc").
        let abc = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
            0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61,
            0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(sha256(&[b"abc"]), abc);
        assert_eq!(sha256(&[b"a", b"", b"bc"]), abc);
        let text = [7; 600];
        for cut in [0, 1, 255, 256, 257, 600] {
            for end in [255, 256, 257, 600] {
                let (one, other) = text[..end].split_at(cut.min(end));
                assert_eq!(sha256(&[one, other]), sha256(&[&text[..end]]), "{cut}, {end}");
            }
        }
    }
}
