//! The operations that a passkey may have to allow.

use countersign_protocol::wire::path;

use crate::http::problem::{Problem, ProblemType};

/// Methods and paths of all operations that take a `Passkey-Assertion`.
const OPERATIONS: [(&str, &str); 9] = [
    ("POST", path::KEYS),
    ("PATCH", path::KEY),
    ("DELETE", path::KEY),
    ("POST", path::PASSKEYS),
    ("PUT", path::KEYRING),
    ("DELETE", path::KEYRING),
    ("PUT", path::KEYRING_CONTENT),
    ("POST", path::KEYRING_RESTORE),
    ("POST", path::KEYRING_OPEN_PRF),
];

/// Refuses an operation that no passkey allows, so that nobody touches a passkey for nothing.
pub(super) fn check(method: &str, path: &str) -> Result<(), Problem> {
    if path.contains(['?', '#']) {
        let detail = "operation: path has no query and no fragment";
        return Err(Problem::new(ProblemType::InvalidRequest).detail(detail));
    }
    if OPERATIONS.iter().any(|(own, template)| *own == method && matches(template, path)) {
        return Ok(());
    }
    let all = OPERATIONS.map(|(method, path)| format!("{method} {path}")).join(", ");
    Err(Problem::new(ProblemType::InvalidRequest).detail(format!(
        "operation: this one needs no passkey, so send the request without; those that may need one \
         are {all}"
    )))
}

/// Whether `path` is `template` with something in the places of its parameters.
fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), segments.next()) {
            (None, None) => return true,
            (Some(wanted), Some(segment)) if wanted.starts_with('{') && !segment.is_empty() => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            (Some(_) | None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_all_segments_of_its_template_and_no_more() {
        for (method, path) in [
            ("POST", "/v1/keys"),
            ("PATCH", "/v1/keys/x"),
            ("POST", "/v1/keyring/revisions/7/restore"),
        ] {
            assert!(check(method, path).is_ok(), "{method} {path}");
        }
        for (method, path) in [
            ("GET", "/v1/keys"),
            ("post", "/v1/keys"),
            ("POST", "/v1/keys/"),
            ("POST", "v1/keys"),
            ("POST", "/v1/keys?x"),
            ("PATCH", "/v1/keys/"),
            ("PATCH", "/v1/keys/x?y"),
            ("PATCH", "/v1/keys/x#y"),
            ("PATCH", "/v1/keys/x/y"),
            ("POST", "/v1/keyring/revisions//restore"),
            ("POST", "/v1/keyring/revisions/7"),
            ("", ""),
        ] {
            assert!(check(method, path).is_err(), "{method} {path}");
        }
    }
}
