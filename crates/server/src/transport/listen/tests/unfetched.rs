//! HTTP/2 connections whose client does not fetch its answers.

use super::*;

/// The beginning of a connection whose client is ready to receive nothing.
const NOTHING_WANTED: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";

/// HEADERS: GET `path` over http, authority "x".
fn get_frame(stream: u8, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    let mut frame = vec![0, 0, length + 7, 1, 5, 0, 0, 0, stream, 0x82, 0x86, 0x04, length];
    frame.extend(path.as_bytes());
    frame.extend(b"\x41\x01x");
    frame
}

/// Neither more requests nor a PING that it never answers keep such a connection open.
#[tokio::test(start_paused = true)]
async fn a_connection_with_unfetched_answers_ends_although_a_request_is_always_under_way() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut client = server.connect().await;
    client.0.write_all(NOTHING_WANTED).await.unwrap();
    client.0.write_all(&get_frame(1, "/peer")).await.unwrap();
    client.0.write_all(&get_frame(3, "/slow")).await.unwrap();
    server.arrived.notified().await;
    let most = LIMITS.idle_time * 4;
    timeout(most, client.read_to_end()).await.unwrap();
}
