//! Both sides together.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use countersign_protocol::ports::Random;
use countersign_testkit::random::SeededRandom;

use super::{
    Malformed, ServerName,
    client::{self, ExportKey, NotOpened},
    server::{LoginRequest, LoginState, Record, ServerSetup, UserIdentifier, WrongPassword},
};

const HERE: ServerName<'_> = ServerName("https://id.example.com");
const ELSEWHERE: ServerName<'_> = ServerName("https://id.example.org");
const PASSWORD: &[u8] = b"correct horse battery staple";

fn user(number: u8) -> UserIdentifier {
    UserIdentifier([number; 32])
}

fn registered(setup: &ServerSetup, random: &dyn Random) -> (Vec<u8>, ExportKey) {
    let (client, request) = client::Registration::begin(PASSWORD, random).unwrap();
    let response = setup.register(&request, &user(1)).unwrap();
    let (upload, key) = client.finish(PASSWORD, &response, HERE, random).unwrap();
    (Record::from_upload(&upload).unwrap().to_bytes(), key)
}

/// A login as the client sees it; the state has been bytes in between.
fn log_in(
    setup: &ServerSetup,
    record: Option<&[u8]>,
    (user, name): (&UserIdentifier, ServerName<'_>),
    password: &[u8],
    random: &dyn Random,
) -> Result<(Result<(), WrongPassword>, ExportKey), NotOpened> {
    let (client, request) = client::Login::begin(password, random).unwrap();
    let record = record.map(|record| Record::from_bytes(record).unwrap());
    let request = LoginRequest::from_bytes(&request).unwrap();
    let (response, state) = setup.begin_login(record, request, user, HERE, random).unwrap();
    let state = LoginState::from_bytes(&state.reveal()).unwrap();
    let (finalization, key) = client.finish(password, &response, name, random)?;
    Ok((state.finish(&finalization, HERE), key))
}

#[test]
fn the_password_opens_the_same_key_each_time() {
    let random = SeededRandom::new(1);
    let setup = ServerSetup::generate(&random);
    let (record, key) = registered(&setup, &random);
    let setup = ServerSetup::from_bytes(&setup.reveal()).unwrap();
    for _ in 0..2 {
        let (verdict, again) =
            log_in(&setup, Some(&record), (&user(1), HERE), PASSWORD, &random).unwrap();
        assert_eq!(verdict, Ok(()));
        assert_eq!(*again, *key);
    }
}

#[test]
fn nothing_else_opens_it() {
    let random = SeededRandom::new(2);
    let setup = ServerSetup::generate(&random);
    let (record, _) = registered(&setup, &random);
    let record = Some(&record[..]);
    let other = ServerSetup::generate(&random);
    let tries = [
        ("another password", log_in(&setup, record, (&user(1), HERE), b"wrong", &random)),
        ("another user", log_in(&setup, record, (&user(2), HERE), PASSWORD, &random)),
        ("another name", log_in(&setup, record, (&user(1), ELSEWHERE), PASSWORD, &random)),
        ("another secret", log_in(&other, record, (&user(1), HERE), PASSWORD, &random)),
        ("no record", log_in(&setup, None, (&user(1), HERE), PASSWORD, &random)),
    ];
    for (what, result) in tries {
        assert_eq!(result.map(|_| ()), Err(NotOpened::WrongPassword), "{what}");
    }
}

/// The answer has the same length, and its first part, which depends on the server's secret and the
/// identifier only, is the same for the same request each time.
#[test]
fn an_answer_without_a_record_looks_like_one_with_it() {
    let random = SeededRandom::new(3);
    let setup = ServerSetup::generate(&random);
    let (record, _) = registered(&setup, &random);
    let (_, request) = client::Login::begin(PASSWORD, &random).unwrap();
    let answer = |record: Option<&[u8]>| {
        let record = record.map(|record| Record::from_bytes(record).unwrap());
        let request = LoginRequest::from_bytes(&request).unwrap();
        setup.begin_login(record, request, &user(1), HERE, &random).unwrap().0
    };
    let (with, without, again) = (answer(Some(&record)), answer(None), answer(None));
    assert_eq!(with.len(), without.len());
    assert_eq!(with[..32], without[..32]);
    assert_eq!(without[..32], again[..32]);
    assert_ne!(without[32..], again[32..]);
}

/// Randomness that counts what is drawn of it.
struct Counted(SeededRandom, AtomicUsize);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        self.1.fetch_add(bytes.len(), Relaxed);
        self.0.fill(bytes);
    }
}

/// The group operations are the library's, and the same in both cases. The rest is compared here.
#[test]
fn an_answer_without_a_record_takes_the_work_of_one_with_it() {
    let random = Counted(SeededRandom::new(4), AtomicUsize::new(0));
    let setup = ServerSetup::generate(&random);
    let (stored, _) = registered(&setup, &random);
    let (_, request) = client::Login::begin(PASSWORD, &random).unwrap();
    let drawn = |stored: Option<&[u8]>| {
        // A record is read in either case, or this would fail where none is stored.
        let record = Record::of_user(stored).unwrap();
        assert_eq!(record.is_some(), stored.is_some());
        let request = LoginRequest::from_bytes(&request).unwrap();
        let before = random.1.load(Relaxed);
        setup.begin_login(record, request, &user(1), HERE, &random).unwrap();
        random.1.load(Relaxed) - before
    };
    assert_eq!(drawn(Some(&stored)), drawn(None));
    assert_eq!(Record::of_user(Some(&stored[1..])).err(), Some(Malformed("registration record")));
}

#[test]
fn a_state_finishes_no_other_login() {
    let random = SeededRandom::new(4);
    let setup = ServerSetup::generate(&random);
    let (record, _) = registered(&setup, &random);
    let begin = || {
        let (client, request) = client::Login::begin(PASSWORD, &random).unwrap();
        let record = Some(Record::from_bytes(&record).unwrap());
        let request = LoginRequest::from_bytes(&request).unwrap();
        let begun = setup.begin_login(record, request, &user(1), HERE, &random).unwrap();
        (client, begun)
    };
    let (_, (_, first)) = begin();
    let (client, (response, _)) = begin();
    let (finalization, _) = client.finish(PASSWORD, &response, HERE, &random).unwrap();
    assert_eq!(first.finish(&finalization, HERE), Err(WrongPassword));
}

#[test]
fn what_is_no_message_is_refused() {
    let random = SeededRandom::new(5);
    let setup = ServerSetup::generate(&random);
    for bytes in [&[][..], &[0; 31], &[0xff; 32], &[0; 32], &[0; 96], &[0xff; 96], &[1; 500]] {
        assert!(setup.register(bytes, &user(1)).is_err(), "{bytes:?}");
        assert!(LoginRequest::from_bytes(bytes).is_err(), "{bytes:?}");
        assert!(Record::from_upload(bytes).is_err(), "{bytes:?}");
        assert!(ServerSetup::from_bytes(bytes).is_err(), "{bytes:?}");
    }
}
