//! How many connections a client has, and under which name it may call the server.

use super::*;
use crate::transport::hosts::KnownHosts;

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = Running::start(ConnectionLimits { connections: 1, ..LIMITS.clone() }, None).await;
    let mut first = server.connect().await;
    first.exchange().await;
    let mut second = server.connect().await;
    second.send(REQUEST).await;
    for _ in 0..10 {
        first.exchange().await;
        assert!(second.0.try_read(&mut [0; 1]).is_err());
    }
    drop(first);
    second.read_until("over HTTP/1.1").await;
}

#[tokio::test]
async fn one_client_cannot_take_all_connections() {
    let few = ConnectionLimits { connections: 10, connections_each: 2, ..LIMITS.clone() };
    let server = Running::start(few, None).await;
    let mut held = [server.connect().await, server.connect().await];
    for client in &mut held {
        client.exchange().await;
    }
    for client in &mut held {
        client.exchange().await;
        let mut beyond = server.connect().await;
        assert!(beyond.read_to_end().await.starts_with("HTTP/1.1 429 "));
        let mut elsewhere = server.connect_from("127.0.0.2").await;
        elsewhere.exchange().await;
        client.exchange().await;
    }
}

#[tokio::test]
async fn the_streams_of_a_connection_take_its_one_place_and_are_so_many_at_once() {
    let few = ConnectionLimits { connections_each: 1, streams: 2, ..LIMITS.clone() };
    let server = Running::start(few, None).await;
    let stream = TokioIo::new(server.connect().await.0);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, connection) = handshake.await.unwrap();
    let driver = tokio::spawn(connection);
    let mut get = |path: &str| {
        let request = Request::get(format!("http://localhost{path}"));
        sender.send_request(request.body(Empty::<Bytes>::new()).unwrap())
    };
    get("/peer").await.unwrap(); // what the server allows is known from now on
    let slow = [get("/slow"), get("/slow")].map(tokio::spawn);
    server.arrived.notified().await;
    // The second may have arrived with the first.
    let mut third = pin!(get("/peer"));
    timeout(A_MOMENT, third.as_mut()).await.unwrap_err();
    let mut beyond = server.connect().await;
    assert!(beyond.read_to_end().await.starts_with("HTTP/1.1 429 "));
    server.connect_from("127.0.0.2").await.exchange().await;
    server.release.notify_one();
    assert_eq!(third.await.unwrap().status(), StatusCode::OK);
    slow.iter().for_each(JoinHandle::abort);
    driver.abort();
}

#[tokio::test]
async fn connections_of_a_trusted_proxy_have_no_share() {
    let proxies = Arc::new(TrustedProxies::parse(&["127.0.0.1"]).unwrap());
    let few = ConnectionLimits { connections_each: 1, proxies, ..LIMITS.clone() };
    let server = Running::start(few, None).await;
    let mut clients = [server.connect().await, server.connect().await, server.connect().await];
    for client in &mut clients {
        client.exchange().await;
    }
}

#[tokio::test]
async fn a_request_for_a_foreign_host_is_misdirected_unless_a_proxy_sends_it() {
    let foreign = "GET /peer HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    let hosts = Some(Arc::new(KnownHosts::new([], [])));
    let proxies = Arc::new(TrustedProxies::parse(&["127.0.0.2"]).unwrap());
    let server = Running::start(ConnectionLimits { proxies, hosts, ..LIMITS.clone() }, None).await;
    let mut browser = server.connect().await;
    browser.send(foreign).await;
    assert!(browser.read_until("}").await.starts_with("HTTP/1.1 421 "));
    browser.exchange().await;
    let mut proxy = server.connect_from("127.0.0.2").await;
    proxy.send(foreign).await;
    proxy.read_until("over HTTP/1.1").await;
}

#[tokio::test]
async fn every_misdirected_request_is_logged_and_counted_and_the_first_is_explained() {
    let (lines, _capturing) = Lines::capture();
    let hosts = Some(Arc::new(KnownHosts::new([], ["box.lan"])));
    let server = Running::start(ConnectionLimits { hosts, ..LIMITS.clone() }, None).await;
    let mut client = server.connect().await;
    for _ in 0..2 {
        client.send("GET /peer HTTP/1.1\r\nhost: evil.example:80\r\n\r\n").await;
        let answer = client.read_until("}").await;
        assert!(answer.contains("\r\nx-request-id: "), "{answer}");
    }
    let counted = server.metrics.encode().unwrap();
    assert!(counted.contains("refusals_total{reason=\"misdirected-request\"} 2\n"), "{counted}");
    let of_level = |level: &str| {
        let lines = lines.values().into_iter().filter(|line| line["level"] == level);
        lines.collect::<Vec<_>>()
    };
    let requests = of_level("INFO");
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests.iter().all(|line| line["status"] == 421 && line["client"] == "127.0.0.1"));
    let warnings = of_level("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["host"], "evil.example:80");
    assert_eq!(warnings[0]["known"], "[\"box.lan\"]");
    let text = warnings[0]["message"].as_str().unwrap();
    assert!(text.contains("allowed_hosts") && text.contains("trusted_proxies"), "{text}");
}

#[tokio::test]
async fn what_is_no_http_is_counted_and_explained_once() {
    let (lines, _capturing) = Lines::capture();
    let server = Running::start(LIMITS.clone(), None).await;
    for (start, told) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n", "send-proxy"),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\r\n\r\n", "tls.cert"),
    ] {
        for _ in 0..3 {
            let mut client = server.connect().await;
            client.send(start).await;
            client.read_to_end().await;
        }
        let warnings: Vec<_> =
            lines.values().into_iter().filter(|line| line["level"] == "WARN").collect();
        let explained =
            |line: &&serde_json::Value| line["message"].as_str().unwrap().contains(told);
        assert_eq!(warnings.iter().filter(explained).count(), 1, "{told}: {warnings:?}");
    }
    let counted = server.metrics.encode().unwrap();
    assert!(counted.contains("refusals_total{reason=\"not-http\"} 6\n"), "{counted}");

    let fixture = Fixture::new();
    let tls = ServerTls::load(fixture.files()).unwrap();
    let server = Running::start(LIMITS.clone(), Some(tls.acceptor())).await;
    let mut plain = server.connect().await;
    plain.send(REQUEST).await;
    plain.read_to_end().await;
    let explained = lines.values().into_iter().rfind(|line| line["level"] == "WARN");
    let explained = explained.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(explained.contains("use https://"), "{explained}");
}

#[tokio::test]
async fn the_question_of_a_proxy_is_answered_under_any_host() {
    let hosts = Some(Arc::new(KnownHosts::new([], [])));
    let server = Running::start(ConnectionLimits { hosts, ..LIMITS.clone() }, None).await;
    for (path, status) in [
        ("/forward-auth", 404),
        ("/forward-auth?scope=a", 404),
        ("/forward-auth/v1", 404),
        ("/forward-authority", 421),
        ("/peer/forward-auth", 421),
    ] {
        let mut nginx = server.connect().await;
        nginx.send(&format!("GET {path} HTTP/1.1\r\nhost: countersign\r\n\r\n")).await;
        let answer = nginx.read_until("\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}
