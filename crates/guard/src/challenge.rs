//! How a refused client is asked to authenticate (RFC 9110 §11.6.1).

use std::fmt::Write as _;

use countersign_protocol::ProofKind;
use http::{HeaderValue, StatusCode};

use crate::{
    refusal::{Challenge, Refusal},
    requirements::{InsufficientLogin, LoginLack},
    schemes,
};

impl Refusal {
    /// The challenge to use DPoP. None if no other credentials would change the answer.
    pub fn www_authenticate(&self) -> Option<HeaderValue> {
        self.challenges(&[ProofKind::Dpop], ProofKind::Dpop, None).pop()
    }

    /// If nothing was presented, or the scheme may be the wrong one: a challenge for each of
    /// `kinds` (RFC 9449 §7.2), the one for `tried` first, since many clients read only one
    /// challenge. Otherwise only the challenge for `tried`, with the error. None if no other
    /// credentials would change the answer. `metadata` is a URL at which a client can read more
    /// (RFC 9728 §5.1).
    pub(crate) fn challenges(
        &self,
        kinds: &[ProofKind],
        tried: ProofKind,
        metadata: Option<&str>,
    ) -> Vec<HeaderValue> {
        let told = self.challenge();
        if matches!(
            told.status,
            StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::TOO_MANY_REQUESTS
        ) {
            return Vec::new();
        }
        let tried = self.scheme_to_describe(tried, kinds);
        let only_tried =
            told.error.is_some() && kinds.contains(&tried) && !self.may_be_of_another_scheme(tried);
        let (first, others): (Vec<&ProofKind>, Vec<&ProofKind>) =
            kinds.iter().partition(|kind| **kind == tried);
        let others = if only_tried { Vec::new() } else { others };
        let challenges = first.into_iter().chain(others).filter_map(|kind| {
            let mut value = schemes::challenge(*kind);
            if let Some(url) = metadata {
                let _ = write!(value, ", resource_metadata=\"{url}\"");
            }
            if *kind == tried {
                self.describe(&mut value, &told);
            }
            HeaderValue::try_from(value).ok()
        });
        challenges.collect()
    }

    /// The scheme whose challenge describes the refusal. A login that `tried` cannot say anything about
    /// is asked for with DPoP, where that counts.
    fn scheme_to_describe(&self, tried: ProofKind, kinds: &[ProofKind]) -> ProofKind {
        match self {
            Self::InsufficientLogin(InsufficientLogin { lack: LoginLack::Unknown, .. })
                if kinds.contains(&ProofKind::Dpop) =>
            {
                ProofKind::Dpop
            }
            _ => tried,
        }
    }

    /// Whether the client may have meant another scheme: it sent a key-bound token as `Bearer`, or
    /// it did not send exactly one scheme.
    const fn may_be_of_another_scheme(&self, tried: ProofKind) -> bool {
        let as_bearer = matches!(tried, ProofKind::Bearer | ProofKind::SelfSigned);
        as_bearer && !matches!(self, Self::InsufficientLogin(_) | Self::InsufficientScope(_))
            || matches!(self, Self::Downgrade | Self::Malformed)
    }

    /// Adds the error to a challenge.
    fn describe(&self, value: &mut String, told: &Challenge) {
        if let Some(error) = told.error {
            // All texts are our own ASCII, except for the names of claims and scopes.
            let description: String =
                self.to_string().chars().filter(|c| is_quotable(*c)).collect();
            let _ = write!(value, ", error=\"{error}\", error_description=\"{description}\"");
        }
        match self {
            Self::InsufficientScope(scope) => {
                let _ = write!(value, ", scope=\"{scope}\"");
            }
            Self::InsufficientLogin(InsufficientLogin { required, .. }) => {
                if let Some(acr) = required.acr {
                    let _ = write!(value, ", acr_values=\"{acr}\"");
                }
                if let Some(max_age) = required.max_age {
                    let _ = write!(value, ", max_age=\"{}\"", max_age.as_secs());
                }
            }
            _ => {}
        }
    }
}

/// RFC 6750 §3: what `error_description` may contain.
const fn is_quotable(c: char) -> bool {
    matches!(c, ' '..='!' | '#'..='[' | ']'..='~')
}

#[cfg(test)]
mod tests {
    use countersign_protocol::proofs::dpop::DpopError;

    use super::*;

    #[test]
    fn a_request_without_credentials_is_challenged_without_an_error() {
        let header = Refusal::Missing.www_authenticate().unwrap();
        assert_eq!(header, "DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\"");
    }

    #[test]
    fn a_refusal_names_its_error_code() {
        let header = Refusal::Proof(DpopError::OtherKey).www_authenticate().unwrap();
        assert_eq!(
            header,
            "DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\", error=\"invalid_token\", \
             error_description=\"the token is bound to another key\""
        );
        let header =
            Refusal::InsufficientScope("read".parse().unwrap()).www_authenticate().unwrap();
        assert!(header.to_str().unwrap().ends_with("scope=\"read\""));
    }

    #[test]
    fn an_outage_is_not_blamed_on_the_client() {
        let refusal = Refusal::Unavailable("disk".to_owned());
        assert_eq!(refusal.challenge().status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refusal.www_authenticate(), None);
        assert!(!refusal.to_string().contains("disk"), "the cause stays inside");
    }
}
