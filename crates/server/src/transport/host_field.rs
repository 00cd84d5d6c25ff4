//! Refuses requests without exactly one valid `Host` (RFC 9112 §3.2).

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, Request, StatusCode, Version, header, uri::Authority};

use crate::http::problem::{Problem, ProblemType};

/// The answer to a request that is for no resource: one whose `Host` is missing, there twice or no
/// host, and one that is about the server as a whole (`OPTIONS *`, RFC 9110 §9.3.7).
pub(crate) fn answer_early<B>(request: &Request<B>) -> Option<Response> {
    if let Err(detail) = check(request.version(), request.headers()) {
        return Some(Problem::new(ProblemType::InvalidRequest).detail(detail).into_response());
    }
    let is_for_all = request.method() == Method::OPTIONS && request.uri().path() == "*";
    is_for_all.then(|| StatusCode::NO_CONTENT.into_response())
}

/// HTTP/2 has `:authority` in its place, and HTTP/1.0 has no `Host`; if there is one, it must be
/// valid.
fn check(version: Version, headers: &HeaderMap) -> Result<(), &'static str> {
    let mut fields = headers.get_all(header::HOST).iter();
    let host = match (fields.next(), fields.next()) {
        (None, _) if version == Version::HTTP_11 => {
            return Err("the request has no Host header; HTTP/1.1 needs one");
        }
        (None, _) => return Ok(()),
        (Some(host), None) => host,
        (Some(_), Some(_)) => return Err("the request has more than one Host header"),
    };
    let authority = Authority::try_from(host.as_bytes()).ok();
    let is_host = authority.is_some_and(|authority| !authority.as_str().contains('@'));
    is_host.then_some(()).ok_or("the Host header is not a host with or without a port")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn verdict(version: Version, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        check(version, &headers).is_ok()
    }

    #[test]
    fn http_1_1_has_exactly_one_host_that_is_one() {
        for good in ["a", "a.example:8080", "127.0.0.1", "[::1]:80", "A.EXAMPLE", "a:"] {
            assert!(verdict(Version::HTTP_11, &[good]), "{good}");
        }
        for bad in
            [&[][..], &["a", "a"], &["a", "b"], &["a b/c"], &["a/b"], &[""], &["u@a"], &["a,b c"]]
        {
            assert!(!verdict(Version::HTTP_11, bad), "{bad:?}");
        }
    }

    #[test]
    fn other_versions_may_lack_it() {
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert!(verdict(version, &[]));
            assert!(!verdict(version, &["a", "a"]));
        }
    }

    #[test]
    fn options_of_the_whole_server_are_answered() {
        let request = |uri: &str| {
            let request = Request::builder().method("OPTIONS").uri(uri).header("host", "a");
            answer_early(&request.body(()).unwrap()).map(|answer| answer.status())
        };
        assert_eq!(request("*"), Some(StatusCode::NO_CONTENT));
        assert_eq!(request("/v1/whoami"), None);
    }
}
