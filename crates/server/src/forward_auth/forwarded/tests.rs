use http::{HeaderName, HeaderValue, Request};

use super::*;

/// The fields by which Caddy and Traefik describe `DELETE https://api.example/items?all=1`.
const FORWARDED: [(&str, &str); 4] = [
    (FORWARDED_METHOD, "DELETE"),
    (FORWARDED_PROTO, "https"),
    (FORWARDED_HOST, "api.example"),
    (FORWARDED_URI, "/items?all=1"),
];

/// The same, as nginx is told to describe it.
const ORIGINAL: [(&str, &str); 2] =
    [(ORIGINAL_METHOD, "DELETE"), (ORIGINAL_URL, "https://api.example/items?all=1")];

/// Headers with these fields, in any number.
fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn described(fields: &[(&str, &str)]) -> Result<ForwardedRequest, ForwardedError> {
    ForwardedRequest::from_headers(&headers(fields))
}

/// `fields` with the field `name` changed, or taken out.
fn with<'a>(
    fields: &[(&'a str, &'a str)],
    name: &str,
    value: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let change = |&(own, old): &(&'a str, &'a str)| {
        if own == name { value.map(|value| (own, value)) } else { Some((own, old)) }
    };
    fields.iter().filter_map(change).collect()
}

/// What a proxy asks with the client's own method and path.
fn asked(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
    *request.headers_mut() = headers(fields);
    request.into_parts().0
}

fn deletion(place: Place) -> ForwardedRequest {
    ForwardedRequest { method: Method::DELETE, path: "/items?all=1".parse().unwrap(), place }
}

fn at(origin: &str) -> Place {
    Place::Origin(TargetUri::parse(origin).unwrap())
}

#[test]
fn every_proxy_is_understood_in_its_own_way() {
    let place = |request: ForwardedRequest| match request.place {
        Place::Origin(origin) => origin.origin().to_owned(),
        place => unreachable!("{place:?}"),
    };
    let forwarded = described(&FORWARDED).unwrap();
    assert_eq!(forwarded, deletion(at("https://api.example")));
    let original = described(&ORIGINAL).unwrap();
    assert_eq!((&original.method, &original.path), (&forwarded.method, &forwarded.path));
    assert_eq!(place(original), "https://api.example");
    let envoy = asked("DELETE", "/forward-auth/items?all=1", &[("host", "api.example")]);
    let envoy = ForwardedRequest::from_request(&envoy, "/forward-auth").unwrap();
    assert_eq!(envoy, deletion(Place::Authority("api.example".to_owned())));
    let http2 = asked("DELETE", "https://api.example/forward-auth/items?all=1", &[]);
    assert_eq!(ForwardedRequest::from_request(&http2, "/forward-auth").unwrap(), envoy);
}

#[test]
fn a_proxy_may_leave_unsaid_where_the_request_went() {
    let bare = with(&with(&FORWARDED, FORWARDED_HOST, None), FORWARDED_PROTO, None);
    assert_eq!(described(&bare), Ok(deletion(Place::Unsaid)));
    let path = [(ORIGINAL_METHOD, "DELETE"), (ORIGINAL_URI, "/items?all=1")];
    assert_eq!(described(&path), Ok(deletion(Place::Unsaid)));
}

#[test]
fn what_other_proxies_say_of_the_connection_is_no_second_description() {
    let behind_another = [&ORIGINAL[..], &[(FORWARDED_PROTO, "http"), (FORWARDED_HOST, "evil")]];
    assert_eq!(described(&behind_another.concat()), described(&ORIGINAL));
}

#[test]
fn a_request_that_is_described_in_two_ways_is_refused() {
    for trace in [(ORIGINAL_METHOD, "DELETE"), (ORIGINAL_URL, "x"), (ORIGINAL_URI, "/items?all=1")]
    {
        let both = [&FORWARDED[..], &[trace]].concat();
        assert_eq!(described(&both), Err(ForwardedError::Contradiction), "{trace:?}");
    }
    for trace in [(FORWARDED_METHOD, "DELETE"), (FORWARDED_URI, "/items?all=1")] {
        let both = [&ORIGINAL[..], &[trace]].concat();
        assert_eq!(described(&both), Err(ForwardedError::Contradiction), "{trace:?}");
    }
    let both = [&ORIGINAL[..], &[(ORIGINAL_URI, "/items?all=1")]].concat();
    assert_eq!(described(&both), Err(ForwardedError::Contradiction));
}

#[test]
fn a_request_that_comes_as_itself_is_described_in_no_other_way() {
    let host = ("host", "api.example");
    for trace in FORWARDED
        .iter()
        .chain(&ORIGINAL)
        .filter(|(name, _)| ![FORWARDED_PROTO, FORWARDED_HOST].contains(name))
    {
        let parts = asked("GET", "/forward-auth/items", &[host, *trace]);
        let refused = ForwardedRequest::from_request(&parts, "/forward-auth");
        assert_eq!(refused, Err(ForwardedError::Contradiction), "{trace:?}");
    }
    let other_host = asked("GET", "http://evil/forward-auth/items", &[host]);
    let refused = ForwardedRequest::from_request(&other_host, "/forward-auth");
    assert_eq!(refused, Err(ForwardedError::Contradiction));
    let nowhere = asked("GET", "/forward-auth/items", &[]);
    let refused = ForwardedRequest::from_request(&nowhere, "/forward-auth");
    assert_eq!(refused, Err(ForwardedError::Missing(HOST)));
}

#[test]
fn each_field_is_there_once() {
    for fields in [&FORWARDED[..], &ORIGINAL] {
        for field in fields {
            let twice = [fields, &[*field]].concat();
            assert_eq!(described(&twice), Err(ForwardedError::Repeated(field.0)), "{field:?}");
        }
    }
    let twice =
        asked("GET", "/forward-auth/x", &[("host", "api.example"), ("host", "api.example")]);
    let refused = ForwardedRequest::from_request(&twice, "/forward-auth");
    assert_eq!(refused, Err(ForwardedError::Repeated(HOST)));
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(described(&[]), Err(ForwardedError::Missing(FORWARDED_METHOD)));
    for (fields, name) in FORWARDED.iter().map(|(name, _)| (with(&FORWARDED, name, None), *name)) {
        assert_eq!(described(&fields), Err(ForwardedError::Missing(name)));
    }
    for (fields, name) in ORIGINAL.iter().map(|(name, _)| (with(&ORIGINAL, name, None), *name)) {
        assert_eq!(described(&fields), Err(ForwardedError::Missing(name)));
    }
}

#[test]
fn what_is_malformed_is_named() {
    let malformed = [
        (FORWARDED_METHOD, &["", "GET POST", "GÉT"][..]),
        (FORWARDED_PROTO, &["", "HTTPS", "ftp", "wsss", "https://x"]),
        (FORWARDED_HOST, &["", "a/b", "user@a", "a?b", "a#b", "a:b", "a b", "ä"]),
        (FORWARDED_URI, &["", "items", "http://api.example/items", "*", "/items#x", "/\u{e4}"]),
    ];
    for (name, values) in malformed {
        for value in values {
            let fields = with(&FORWARDED, name, Some(value));
            let shown = Shown::new(value.as_bytes());
            assert_eq!(described(&fields), Err(ForwardedError::Malformed(name, shown)));
        }
    }
    for url in ["", "/items", "ftp://api.example/", "https://u@api.example/", "https://a/#/items"] {
        let fields = with(&ORIGINAL, ORIGINAL_URL, Some(url));
        let refused = ForwardedError::Malformed(ORIGINAL_URL, Shown::new(url.as_bytes()));
        assert_eq!(described(&fields), Err(refused));
    }
}

#[test]
fn a_list_is_called_a_list_and_shown() {
    for (name, list) in [
        (FORWARDED_PROTO, "https, http"),
        (FORWARDED_HOST, "api.example,10.0.0.7"),
        (FORWARDED_METHOD, "GET,GET"),
    ] {
        let refused = described(&with(&FORWARDED, name, Some(list))).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains(&format!("the proxy's {name} is \"{list}\", a list")), "{text}");
        assert!(text.contains("must overwrite"), "{text}");
    }
}

#[test]
fn what_is_shown_is_short_and_cannot_steer_a_terminal() {
    let text = Shown::new("\u{1b}[31m\"ä".as_bytes()).to_string();
    assert_eq!(text, r#""\x1b[31m\"\xc3\xa4""#);
    let long = Shown::new(&[b'a'; 5000]).to_string();
    assert_eq!(long.chars().count(), 83);
    assert!(long.ends_with("a…\""), "{long}");
}

#[test]
fn a_websocket_is_known_by_the_request_that_opens_it() {
    for (proto, origin) in [("ws", "http://api.example"), ("wss", "https://api.example")] {
        let request = described(&with(&FORWARDED, FORWARDED_PROTO, Some(proto))).unwrap();
        assert_eq!(request.place, at(origin));
    }
}

#[test]
fn a_path_stays_as_it_was_sent() {
    for path in ["/", "//evil/x", "/a/../b", "/%2e%2E/x", "/a?b=%0A&c=/d?e", "/?", "/a%2Fb"] {
        let url = format!("https://api.example{path}");
        let original = described(&[(ORIGINAL_METHOD, "GET"), (ORIGINAL_URL, &url)]).unwrap();
        let forwarded = described(&with(&FORWARDED, FORWARDED_URI, Some(path))).unwrap();
        let uri = format!("/forward-auth{path}");
        let envoy = asked("GET", &uri, &[("host", "api.example")]);
        let envoy = ForwardedRequest::from_request(&envoy, "/forward-auth").unwrap();
        for request in [original, forwarded, envoy] {
            assert_eq!(request.path.as_str(), path);
        }
    }
    for (url, path) in [("https://api.example", "/"), ("https://api.example?x=/y", "/?x=/y")] {
        let original = described(&[(ORIGINAL_METHOD, "GET"), (ORIGINAL_URL, url)]).unwrap();
        assert_eq!(original.path.as_str(), path);
    }
}
