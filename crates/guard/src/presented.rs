//! Reads the scheme and the credentials of a request's `Authorization` header.

use countersign_protocol::wire::scheme::{BEARER, DPOP, SIGNED_MESSAGE};
use http::{HeaderMap, header};

/// The credentials of a request. Nothing in them is trusted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// No `Authorization`, or a scheme that is not used here.
    Nothing,
    /// `Authorization: DPoP <token68>` (RFC 9449 §7.1).
    Dpop(&'a str),
    /// `Authorization: Bearer <token68>` (RFC 6750 §2.1).
    Bearer(&'a str),
    /// `Authorization: SignJWT <token68>`: the session of a signed message.
    SignedMessage(&'a str),
    /// More than one `Authorization`, or one that is not `scheme token68`.
    Malformed,
}

/// The name of a scheme (RFC 9110 §11.1), and what a token means under it.
type Scheme<'a> = (&'static str, fn(&'a str) -> Presented<'a>);

impl<'a> Presented<'a> {
    pub(crate) fn from_headers(headers: &'a HeaderMap) -> Self {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let Some(field) = fields.next() else { return Self::Nothing };
        if fields.next().is_some() {
            return Self::Malformed;
        }
        let ascii = str::from_utf8(field.as_bytes()).ok().filter(|text| text.is_ascii());
        let Some(text) = ascii else { return Self::Malformed };
        let (scheme, credentials) = text.split_once(' ').unwrap_or((text, ""));
        let token = credentials.trim_matches(' ');
        let known = Self::SCHEMES.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
        match known {
            None => Self::Nothing,
            Some((_, presented)) if is_token68(token) => presented(token),
            Some(_) => Self::Malformed,
        }
    }

    /// What each scheme presents.
    const SCHEMES: [Scheme<'a>; 3] =
        [(DPOP, Self::Dpop), (BEARER, Self::Bearer), (SIGNED_MESSAGE, Self::SignedMessage)];
}

/// Whether the scheme in these headers is the one of bearer tokens.
pub(crate) fn may_be_bearer(headers: &HeaderMap) -> bool {
    let scheme =
        headers.get(header::AUTHORIZATION).and_then(|field| field.as_bytes().get(..BEARER.len()));
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(BEARER.as_bytes()))
}

/// RFC 9110 §11.2. Looks at every byte, so that the compiler can look at many at once.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_one = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-'..=b'/' | b'_' | b'~' | b'+');
    !body.is_empty() && body.bytes().fold(true, |all, b| all & is_one(b))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn presented(fields: &[&'static str]) -> Presented<'static> {
        let headers = Box::leak(Box::new(HeaderMap::new()));
        for field in fields {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(field));
        }
        Presented::from_headers(headers)
    }

    #[test]
    fn the_scheme_is_read_without_regard_to_case() {
        assert_eq!(presented(&["DPoP a.b.c"]), Presented::Dpop("a.b.c"));
        assert_eq!(presented(&["dpop  a.b.c"]), Presented::Dpop("a.b.c"));
        assert_eq!(presented(&["BEARER a.b.c"]), Presented::Bearer("a.b.c"));
        assert_eq!(presented(&["SIGNjwt a.b.c"]), Presented::SignedMessage("a.b.c"));
    }

    #[test]
    fn other_schemes_mean_nothing_here() {
        assert_eq!(presented(&[]), Presented::Nothing);
        assert_eq!(presented(&["Basic YTpi"]), Presented::Nothing);
    }

    #[test]
    fn two_fields_or_no_single_token_are_malformed() {
        assert_eq!(presented(&["Bearer a", "DPoP a"]), Presented::Malformed);
        assert_eq!(presented(&["DPoP a", "DPoP a"]), Presented::Malformed);
        for field in ["DPoP", "DPoP ", "DPoP a b", "DPoP a,b", "Bearer", "SignJWT", "DPoP ="] {
            assert_eq!(presented(&[field]), Presented::Malformed, "{field}");
        }
    }
}
