//! Conditions on the version of what a request changes (RFC 9110 §13.1).

use countersign_authority::{model::keyring::Revision, ports::Replaces};
use http::{
    HeaderMap, HeaderValue,
    header::{HeaderName, IF_MATCH, IF_NONE_MATCH},
};

use super::problem::{Problem, ProblemType};

/// What the request is to take the place of: `If-None-Match: *` says nothing, `If-Match` one revision.
///
/// # Errors
/// When it says neither, or both, or something else.
pub(crate) fn replaces(headers: &HeaderMap) -> Result<Replaces, Problem> {
    match (field(headers, &IF_NONE_MATCH)?, field(headers, &IF_MATCH)?) {
        (Some("*"), None) => Ok(Replaces::Nothing),
        (None, Some(tag)) => read(tag).map(Replaces::Revision),
        (None, None) => Err(required("If-None-Match: * for the first, or If-Match")),
        (Some(_), _) => Err(invalid(
            "send either If-None-Match: *, where there is to be none yet, or If-Match with the ETag of \
             the present one",
        )),
    }
}

/// The revision that the request is for, to take its place or to delete it.
///
/// # Errors
/// When `If-Match` is missing or names no single revision.
pub(crate) fn replaced_revision(headers: &HeaderMap) -> Result<Revision, Problem> {
    read(field(headers, &IF_MATCH)?.ok_or_else(|| required("If-Match"))?)
}

/// The entity tag of a revision.
pub(crate) fn entity_tag(Revision(number): Revision) -> HeaderValue {
    HeaderValue::try_from(format!("\"{number}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut fields = headers.get_all(name).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    let text = field.to_str().ok().filter(|_| fields.next().is_none());
    text.map(|text| Some(text.trim())).ok_or_else(|| invalid(ONE_TAG))
}

fn read(tag: &str) -> Result<Revision, Problem> {
    let number = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let number = number.filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok());
    number.map(Revision).ok_or_else(|| invalid(ONE_TAG))
}

const ONE_TAG: &str = "If-Match is one strong entity tag here, the ETag of the keyring: a revision in quotation marks";

fn required(what: &str) -> Problem {
    let detail = format!("send {what} with the ETag of the keyring that this is for");
    Problem::new(ProblemType::PreconditionRequired).detail(detail)
}

fn invalid(detail: &'static str) -> Problem {
    Problem::new(ProblemType::InvalidRequest).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_condition_says_what_is_replaced() {
        let none = headers(&[(IF_NONE_MATCH, "*")]);
        assert_eq!(replaces(&none).unwrap(), Replaces::Nothing);
        let one = headers(&[(IF_MATCH, "\"7\"")]);
        assert_eq!(replaces(&one).unwrap(), Replaces::Revision(Revision(7)));
        assert_eq!(replaced_revision(&one).unwrap(), Revision(7));
        assert_eq!(entity_tag(Revision(7)), "\"7\"");
    }

    #[test]
    fn what_is_no_condition_is_refused_for_that() {
        let missing = headers(&[]);
        assert_eq!(replaces(&missing).unwrap_err().kind(), ProblemType::PreconditionRequired);
        let missing = replaced_revision(&headers(&[(IF_NONE_MATCH, "*")]));
        assert_eq!(missing.unwrap_err().kind(), ProblemType::PreconditionRequired);
        for fields in [
            &[(IF_MATCH, "*")][..],
            &[(IF_MATCH, "7")],
            &[(IF_MATCH, "W/\"7\"")],
            &[(IF_MATCH, "\"7\", \"8\"")],
            &[(IF_MATCH, "\"+7\"")],
            &[(IF_MATCH, "\"\"")],
            &[(IF_MATCH, "\"99999999999999999999\"")],
            &[(IF_NONE_MATCH, "\"7\"")],
            &[(IF_NONE_MATCH, "*"), (IF_MATCH, "\"7\"")],
        ] {
            let refused = replaces(&headers(fields)).unwrap_err();
            assert_eq!(refused.kind(), ProblemType::InvalidRequest, "{fields:?}");
        }
    }
}
