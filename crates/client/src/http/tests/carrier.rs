//! Requests that somebody else sends: what may be sent, and what may come back, is decided here.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use http::HeaderMap;

use super::*;

/// Answers everything with a body of this many bytes.
struct Answers {
    bytes: usize,
    carried: AtomicUsize,
}

impl Carrier for Answers {
    fn carry(&self, _: Request) -> Carried<'_> {
        self.carried.fetch_add(1, SeqCst);
        let body = vec![b' '; self.bytes];
        let answer = Response { status: StatusCode::OK, headers: HeaderMap::new(), body };
        Box::pin(async move { Ok(answer) })
    }
}

async fn asked(issuer: &str, bytes: usize) -> (ClientError, usize) {
    let carrier = Arc::new(Answers { bytes, carried: AtomicUsize::new(0) });
    let transport = Transport::by(Arc::clone(&carrier) as Arc<dyn Carrier>);
    let error = Metadata::fetch(&transport, issuer).await.unwrap_err();
    (error, carrier.carried.load(SeqCst))
}

#[tokio::test]
async fn nothing_is_given_away_to_be_sent_in_the_clear() {
    let (error, carried) = asked("http://auth.example", 0).await;
    assert!(matches!(error, ClientError::Insecure { .. }), "{error}");
    assert_eq!(carried, 0);
}

#[tokio::test]
async fn what_comes_back_is_held_against_the_limits() {
    let (error, carried) = asked("https://auth.example", 2 * 1024 * 1024).await;
    assert!(matches!(error, ClientError::ResponseTooLarge { .. }), "{error}");
    assert_eq!(carried, 1);
    let (error, _) = asked("https://auth.example", 10).await;
    assert!(matches!(error, ClientError::NotAnAuthority { .. }), "{error}");
}
