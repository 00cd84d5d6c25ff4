//! Finds the `DPoP` challenge in the `WWW-Authenticate` fields (RFC 9110 §11.6.1, RFC 9449 §7.1).

use countersign_protocol::wire;
use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// What a `DPoP` challenge says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) error: Option<String>,
    pub(super) description: Option<String>,
    /// `acr_values`: the classes of logins, any of which the resource accepts (RFC 9470 §3).
    pub(super) acr_values: Option<String>,
}

/// The first `DPoP` challenge, whether it is alone in its field or among others.
pub(super) fn dpop_challenge(headers: &HeaderMap) -> Option<Challenge> {
    headers.get_all(WWW_AUTHENTICATE).iter().find_map(|field| parse(field.to_str().ok()?))
}

fn parse(field: &str) -> Option<Challenge> {
    let mut challenge: Option<Challenge> = None;
    for element in elements(field) {
        let parameter = match split_scheme(element) {
            // The challenge ends where the next one begins.
            Some(_) if challenge.is_some() => break,
            Some((scheme, rest)) => {
                if scheme.eq_ignore_ascii_case(wire::scheme::DPOP) {
                    challenge = Some(Challenge::default());
                }
                rest
            }
            None => element,
        };
        if let (Some(challenge), Some((name, value))) = (&mut challenge, parameter.split_once('='))
        {
            let value = Some(unquote(value.trim()));
            match name.trim().to_ascii_lowercase().as_str() {
                "error" => challenge.error = value,
                "error_description" => challenge.description = value,
                "acr_values" => challenge.acr_values = value,
                _ => {}
            }
        }
    }
    challenge
}

/// The elements of a comma-separated list. A comma inside quotes separates nothing.
fn elements(field: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = field.split(move |c: char| {
        let separates = c == ',' && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        separates
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// The scheme that an element begins with, and the text after it. `None` if a `=` follows, because
/// then the element is a parameter.
fn split_scheme(element: &str) -> Option<(&str, &str)> {
    let end = element.find([' ', '\t', '=']).unwrap_or(element.len());
    let (scheme, rest) = element.split_at(end);
    let rest = rest.trim_start();
    (!rest.starts_with('=')).then_some((scheme, rest))
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn challenge(fields: &[&'static str]) -> Option<(Option<String>, Option<String>)> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(field));
        }
        dpop_challenge(&headers).map(|found| (found.error, found.description))
    }

    #[test]
    fn the_error_is_found_wherever_the_challenge_is() {
        for fields in [
            &[r#"DPoP error="use_dpop_nonce", error_description="a, \"b\"""#][..],
            &[r#"dpop algs="ES256, EdDSA",error=use_dpop_nonce,error_description="a, \"b\"""#],
            &[
                r#"DPoP realm="x,DPoP error=no" , error = "use_dpop_nonce",error_description= "a, \"b\"" "#,
            ],
            &[
                "Negotiate",
                r#"DPoP error="use_dpop_nonce", error_description="a, \"b\"", Basic error="no""#,
            ],
            &[
                r#"Bearer error="no", DPoP error="use_dpop_nonce", error_description="a, \"b\"", Negotiate abc=="#,
            ],
        ] {
            let found = (Some("use_dpop_nonce".to_owned()), Some(r#"a, "b""#.to_owned()));
            assert_eq!(challenge(fields), Some(found), "{fields:?}");
        }
    }

    #[test]
    fn other_challenges_and_rubbish_have_no_error() {
        assert_eq!(challenge(&[]), None);
        assert_eq!(challenge(&[r#"Bearer error="use_dpop_nonce""#]), None);
        assert_eq!(challenge(&["", ",,", "=", "\"", "error=x"]), None);
        assert_eq!(challenge(&["DPoP"]), Some((None, None)));
        assert_eq!(challenge(&[r#"DPoP, Bearer error="x""#]), Some((None, None)));
        assert_eq!(
            challenge(&[r#"DPoP error="unclosed"#]),
            Some((Some("\"unclosed".to_owned()), None))
        );
    }
}
