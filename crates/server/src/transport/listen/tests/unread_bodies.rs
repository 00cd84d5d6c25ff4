//! What is answered although its body, or the rest of its connection, never comes.

use super::*;

#[tokio::test]
async fn a_client_that_has_sent_all_and_closes_its_side_is_answered() {
    let server = Running::start(LIMITS.clone(), None).await;
    for _ in 0..20 {
        let mut client = server.connect().await;
        client.send(REQUEST).await;
        client.0.shutdown().await.unwrap();
        let answer = client.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
    let mut client = server.connect().await;
    client.send(SLOW_REQUEST).await;
    client.0.shutdown().await.unwrap();
    server.arrived.notified().await;
    server.release.notify_one();
    assert!(client.read_to_end().await.ends_with("\r\n\r\nfinished"));
}

/// Heads that announce a body, which nobody reads at `/peer`.
const WITH_BODY: [&str; 3] = [
    "content-length: 77",
    "transfer-encoding: chunked",
    "content-length: 77\r\nexpect: 100-continue",
];

#[tokio::test]
async fn a_request_whose_body_nobody_reads_is_answered_at_once_and_the_last_one() {
    let server = Running::start(LIMITS.clone(), None).await;
    for field in WITH_BODY {
        let mut client = server.connect().await;
        client.send(&format!("GET /peer HTTP/1.1\r\nhost: localhost\r\n{field}\r\n\r\n")).await;
        let answer = client.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{field}: {answer:?}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{field}: {answer:?}");
    }
}

#[tokio::test]
async fn what_follows_a_body_that_nobody_reads_is_never_a_request() {
    let server = Running::start(LIMITS.clone(), None).await;
    for field in WITH_BODY {
        // As much as the body would have, or a whole chunked body; then a request.
        for between in [String::new(), "x".repeat(77), "0\r\n\r\n".to_owned()] {
            let mut client = server.connect().await;
            let head = format!("GET /peer HTTP/1.1\r\nhost: localhost\r\n{field}\r\n\r\n");
            client.send(&format!("{head}{between}{REQUEST}{REQUEST}")).await;
            let answers = client.read_to_end().await;
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{field}: {answers:?}");
        }
    }
}

#[tokio::test]
async fn whoever_still_sends_what_nobody_reads_gets_the_answer() {
    let server = Running::start(LIMITS.clone(), None).await;
    for _ in 0..20 {
        let mut client = server.connect().await;
        let head = "GET /peer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n";
        client.send(head).await;
        client.send(&"x".repeat(900_000)).await;
        client.0.shutdown().await.unwrap();
        let mut answer = String::new();
        client.0.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("over HTTP/1.1"), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_closes_holds_its_connection_for_a_bounded_time() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut client = server.connect().await;
    client.send("GET /peer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n").await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 200 "));
    server.stop.send(()).unwrap();
    let ended = timeout(crate::transport::unread::PATIENCE + A_MOMENT, server.ended).await.unwrap();
    assert_eq!(ended.unwrap(), Ok(()));
    drop(client);
}
