//! What strict Ed25519 demands beyond RFC 8032: points that have one spelling and are not of low
//! order. With a low-order key or `R`, one signature fits many messages.

/// The y coordinates of the eight points whose order divides 8, little-endian, sign bit clear.
///
/// From table 1 of "Taming the many `EdDSAs`" (Chalkias, Garillot, Nikolaenko 2020), without the
/// non-canonical rows, which [`is_canonical`] refuses. Clearing the sign bit before looking covers
/// both points of each y, and the second spelling of the two points whose x is zero.
const LOW_ORDER_Y: [[u8; 32]; 5] = [
    // y = 0: order 4
    [0; 32],
    // y = 1: the neutral element
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    // y = -1: order 2
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    // order 8
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    // order 8, the negative of the last
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Whether the y coordinate of this encoded point is below the field's prime 2²⁵⁵ − 19, as
/// RFC 8032 §5.1.3 demands.
pub(super) fn is_canonical(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    *first < 0xed || *last & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// Whether this encodes a point whose order divides 8.
pub(super) fn is_low_order(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    LOW_ORDER_Y.contains(&y)
}
