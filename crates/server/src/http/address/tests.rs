use http::HeaderValue;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// The client's address of a request from a proxy, where two networks are trusted.
fn behind_proxy(lines: &[(&'static str, &str)]) -> IpAddr {
    behind_proxy_with(ForwardedHeader::XForwardedFor, lines)
}

/// The same, where proxies name clients in `Forwarded`.
fn behind_modern_proxy(lines: &[(&'static str, &str)]) -> IpAddr {
    behind_proxy_with(ForwardedHeader::Forwarded, lines)
}

fn behind_proxy_with(header: ForwardedHeader, lines: &[(&'static str, &str)]) -> IpAddr {
    let trusted = TrustedProxies::parse(&["10.0.0.0/8", "fd00::/8"]).unwrap();
    client_address(ip("10.0.0.1"), &headers(lines), &trusted.naming_clients_in(header))
}

const PROXY: &str = "10.0.0.1";
const XFF: &str = "x-forwarded-for";
const FWD: &str = "forwarded";

#[test]
fn an_untrusted_peer_cannot_name_another_address() {
    let forged = headers(&[(XFF, "203.0.113.9"), (FWD, "for=203.0.113.9")]);
    let trusted = TrustedProxies::parse(&["10.0.0.0/8"]).unwrap();
    for peer in ["198.51.100.7", "2001:db8::7", "11.0.0.1"] {
        assert_eq!(client_address(ip(peer), &forged, &trusted), ip(peer));
        assert_eq!(client_address(ip(peer), &forged, &TrustedProxies::default()), ip(peer));
    }
    assert_eq!(client_address(ip(PROXY), &forged, &TrustedProxies::default()), ip(PROXY));
}

#[test]
fn a_trusted_peer_without_a_header_is_the_client() {
    assert_eq!(behind_proxy(&[]), ip(PROXY));
    assert_eq!(behind_proxy(&[("accept", "*/*")]), ip(PROXY));
}

#[test]
fn a_header_that_names_nobody_is_of_nobody() {
    assert_eq!(behind_proxy(&[(XFF, "")]), NOBODY);
    assert_eq!(behind_proxy(&[(XFF, " , ,")]), NOBODY);
    assert_eq!(behind_modern_proxy(&[(FWD, "")]), NOBODY);
}

#[test]
fn x_forwarded_for_is_walked_from_the_right() {
    let client = ip("198.51.100.7");
    for lines in [
        &[(XFF, "198.51.100.7")][..],
        &[(XFF, "203.0.113.9, 198.51.100.7")],
        &[(XFF, "203.0.113.9,198.51.100.7,10.2.3.4 , 10.9.9.9")],
        &[(XFF, "203.0.113.9"), (XFF, "198.51.100.7")],
        &[(XFF, "203.0.113.9, 198.51.100.7"), (XFF, "10.2.3.4")],
        &[(XFF, "nonsense, \"unknown, 198.51.100.7")],
        &[(XFF, ", 198.51.100.7, ")],
        &[(XFF, "198.51.100.7:49152")],
        &[(XFF, "::ffff:198.51.100.7, [fd00::2]:443")],
        &[(XFF, "\u{e9}"), (XFF, "198.51.100.7")],
    ] {
        assert_eq!(behind_proxy(lines), client, "{lines:?}");
    }
    assert_eq!(behind_proxy(&[(XFF, "2001:db8::7")]), ip("2001:db8::7"));
    assert_eq!(behind_proxy(&[(XFF, "[2001:db8::7]")]), ip("2001:db8::7"));
    assert_eq!(behind_proxy(&[(XFF, "[2001:db8::7]:80")]), ip("2001:db8::7"));
}

#[test]
fn forwarded_is_walked_from_the_right() {
    let client = ip("198.51.100.7");
    for lines in [
        &[(FWD, "for=198.51.100.7")][..],
        &[(FWD, "For=198.51.100.7;proto=https;by=10.0.0.1")],
        &[(FWD, "proto=http; FOR=\"198.51.100.7:4711\"; host=\"a,b;c\\\"d\"")],
        &[(FWD, "for=203.0.113.9, for=198.51.100.7, for=10.3.3.3")],
        &[(FWD, "for=203.0.113.9"), (FWD, "for=198.51.100.7"), (FWD, "for=\"[fd00::1]\"")],
        &[(FWD, "what is this, for=198.51.100.7")],
        &[(FWD, "for=\"198.51.100.7:_secret\"")],
        &[(FWD, ";for=198.51.100.7; ;")],
        &[(FWD, "for=\""), (FWD, "for=198.51.100.7")],
    ] {
        assert_eq!(behind_modern_proxy(lines), client, "{lines:?}");
    }
    let quoted = "for=\"[2001:db8:cafe::17]:4711\"";
    assert_eq!(behind_modern_proxy(&[(FWD, quoted)]), ip("2001:db8:cafe::17"));
}

#[test]
fn a_hop_that_is_not_an_address_is_nobody() {
    for hop in [
        "unknown",
        "_hidden",
        "_SEVKISEK",
        "localhost",
        "198.51.100",
        "198.51.100.7.8",
        "198.51.100.07",
        "198.51.100.7:",
        "198.51.100.7:123456",
        "198.51.100.7:80:80",
        "198.51.100.7:_",
        "198.51.100.7:_a b",
        "[198.51.100.7]",
        "[2001:db8::7",
        "[2001:db8::7]80",
        "2001:db8::7]:80",
        "fe80::1%eth0",
        "\"198.51.100.7\"",
        "198.51.100.7 198.51.100.8",
        "198.51.100.7;",
        "\u{e9}",
    ] {
        assert_eq!(behind_proxy(&[(XFF, hop)]), NOBODY, "{hop}");
        let before_a_proxy = format!("198.51.100.7, {hop}, 10.1.1.1");
        assert_eq!(behind_proxy(&[(XFF, &before_a_proxy)]), NOBODY, "{hop}");
    }
    for line in [
        "for=unknown",
        "for=_hidden",
        "for=\"_gazonk\"",
        "for",
        "for=",
        "for=\"\"",
        "for=\"198.51.100.7",
        "for=198.51.100.7\"",
        "for=\"198.51.100.7\"x",
        "for=\"\\198.51.100.7\"",
        "for=198.51.100.7:80",
        "for=[2001:db8::7]",
        "for=198.51.100.7;for=203.0.113.9",
        "by=198.51.100.7",
        "198.51.100.7",
        "\u{e9}",
    ] {
        assert_eq!(behind_modern_proxy(&[(FWD, line)]), NOBODY, "{line}");
    }
}

#[test]
fn what_a_client_sends_does_not_spoil_what_the_proxy_appends_to_the_same_line() {
    let client = ip("198.51.100.7");
    for forged in ["\u{e9}", "1.2.3.4\u{a0}", "\"", "for=\"", ",\u{ff},"] {
        let appended = format!("{forged}, 198.51.100.7");
        assert_eq!(behind_proxy(&[(XFF, &appended)]), client, "{appended}");
        let appended = format!("{forged}, 198.51.100.7, 10.1.1.1");
        assert_eq!(behind_proxy(&[(XFF, &appended)]), client, "{appended}");
    }
    for forged in [
        "for=\"",
        "for=\"203.0.113.9, for=\"",
        "for=203.0.113.9;x=\"\\",
        "\\\"",
        "\u{e9}",
        "host=\"\u{e9}",
        "\",\",\"",
    ] {
        for own in [
            "for=198.51.100.7",
            "for=\"198.51.100.7:80\"",
            "for=198.51.100.7, for=\"[fd00::1]\"",
            "proto=http;for=198.51.100.7;host=\"a,b\\\",c\\\\\"",
        ] {
            let appended = format!("{forged}, {own}");
            assert_eq!(behind_modern_proxy(&[(FWD, &appended)]), client, "{appended}");
        }
    }
}

#[test]
fn no_value_inside_an_element_of_the_proxy_counts_as_an_element() {
    let client = ip("198.51.100.7");
    for host in [
        ",for=203.0.113.9",
        "a, for=203.0.113.9;x=",
        ",for=203.0.113.9;x=\\\"y",
        ",for=203.0.113.9;x=\\\"",
        ",for=\\\"203.0.113.9\\\"",
        ",for=203.0.113.9\\\\",
    ] {
        for line in [
            format!("for=198.51.100.7;host=\"{host}\""),
            format!("x=\", host=\"{host}\";for=\"198.51.100.7\""),
        ] {
            assert_eq!(behind_modern_proxy(&[(FWD, &line)]), client, "{line}");
        }
    }
}

#[test]
fn the_farthest_of_trusted_hops_is_the_client() {
    assert_eq!(behind_proxy(&[(XFF, "10.7.7.7, 10.8.8.8")]), ip("10.7.7.7"));
}

#[test]
fn the_header_that_is_not_configured_means_nothing() {
    for forged in ["for=10.0.0.1", "for=192.0.2.1", "for=unknown", "x", ""] {
        let lines = [(XFF, "198.51.100.7"), (FWD, forged)];
        assert_eq!(behind_proxy(&lines), ip("198.51.100.7"), "{forged}");
    }
    for forged in ["10.0.0.1", "192.0.2.1", "unknown", ""] {
        let lines = [(XFF, forged), (FWD, "for=198.51.100.7")];
        assert_eq!(behind_modern_proxy(&lines), ip("198.51.100.7"), "{forged}");
    }
}

#[test]
fn a_proxy_that_does_not_write_the_configured_header_passes_on_requests_of_nobody() {
    assert_eq!(behind_modern_proxy(&[(XFF, "198.51.100.7")]), NOBODY);
    for header in [FWD, "x-forwarded-host", "x-real-ip", "via"] {
        assert_eq!(behind_proxy(&[(header, "198.51.100.7")]), NOBODY, "{header}");
    }
}

#[test]
fn the_walk_is_bounded() {
    let hops = |proxies: usize| format!("198.51.100.7{}", ", 10.1.1.1".repeat(proxies));
    assert_eq!(behind_proxy(&[(XFF, &hops(MAX_HOPS - 1))]), ip("198.51.100.7"));
    assert_eq!(behind_proxy(&[(XFF, &hops(MAX_HOPS))]), NOBODY);
}

#[test]
fn a_mapped_peer_is_an_ipv4_peer() {
    let trusted = TrustedProxies::parse(&["10.0.0.0/8"]).unwrap();
    let forwarded = headers(&[(XFF, "198.51.100.7")]);
    let peer = ip("::ffff:10.0.0.1");
    assert_eq!(client_address(peer, &forwarded, &trusted), ip("198.51.100.7"));
    assert_eq!(client_address(peer, &HeaderMap::new(), &trusted), ip(PROXY));
}

#[test]
fn proxies_are_addresses_or_networks() {
    let proxies = TrustedProxies::parse(&["127.0.0.1", "::1", "10.0.0.0/8"]).unwrap();
    assert!(proxies.contains(ip("127.0.0.1")) && proxies.contains(ip("::1")));
    assert!(!proxies.contains(ip("127.0.0.2")) && !proxies.is_empty());
    for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"] {
        assert_eq!(TrustedProxies::parse(&[wrong]), Err(InvalidProxy(wrong.to_owned())));
    }
}
