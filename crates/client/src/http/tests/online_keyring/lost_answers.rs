//! Changes that are done, and whose answers do not come.

use super::*;

/// The connection ends.
const LOST: u16 = 0;

fn lose(kept: &Mutex<Kept>, answers: usize, status: u16) {
    kept.lock().unwrap().lost = (answers, status);
}

fn changes(server: &Server) -> Vec<Asked> {
    server.asked().into_iter().filter(|asked| asked.method == "PUT").collect()
}

/// The recovery code of a change of which it is not known whether it was done.
fn unconfirmed(made: Result<RecoveryCode, OnlineKeyringError>) -> RecoveryCode {
    let error = made.err().unwrap();
    let told = error.to_string();
    assert!(told.starts_with("it is not known whether the server has changed"), "{told}");
    assert!(!told.contains("another program"), "{told}");
    let shown = format!("{error:?}");
    let OnlineKeyringError::Unconfirmed { code: Some(code), .. } = error else { panic!("{shown}") };
    assert!(!shown.contains(std::str::from_utf8(code.as_password()).unwrap()), "{shown}");
    code
}

#[tokio::test]
async fn a_change_is_asked_for_again_with_the_same_bytes() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    let (old, new) = (password(GOOD), password("another horse"));
    let open = async |unlock| login.client().open_online_keyring(&key(), "alice", unlock).await;
    lose(&kept, 1, LOST);
    let code = login.make_online_keyring(&[entry("a")], &old).await.unwrap();
    let online = open(Unlock::RecoveryCode(&code)).await.unwrap();
    lose(&kept, 2, LOST);
    let code = login.change_online_password(&online, &new).await.unwrap();
    assert!(open(Unlock::RecoveryCode(&code)).await.is_ok());
    let online = open(Unlock::Password(&new)).await.unwrap();
    lose(&kept, 1, LOST);
    let code = login.change_recovery_code(&online).await.unwrap();
    assert!(open(Unlock::RecoveryCode(&code)).await.is_ok());
    lose(&kept, 1, LOST);
    let entries = [entry("b")];
    let pushed = login.push_entries(("alice", &new), &entries, OnDifference::Refuse).await;
    assert_eq!(pushed.unwrap().added, ["b".parse::<EntryName>().unwrap()]);
    assert_eq!(kept.lock().unwrap().revision, 4, "each change was done once");

    let asked = changes(&server);
    assert_eq!(asked.len(), 2 + 3 + 2 + 2);
    for (first, again) in [(0, 1), (2, 3), (2, 4), (5, 6), (7, 8)] {
        let (first, again) = (&asked[first], &asked[again]);
        assert_eq!((&first.path, &first.body), (&again.path, &again.body));
        for condition in ["if-match", "if-none-match"] {
            assert_eq!(first.header(condition), again.header(condition));
        }
        assert_ne!(first.proof()["jti"], again.proof()["jti"]);
    }
}

#[tokio::test]
async fn a_code_that_may_be_in_force_comes_with_the_error() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    let (old, new) = (password(GOOD), password("another horse"));
    let open = async |unlock| login.client().open_online_keyring(&key(), "alice", unlock).await;
    lose(&kept, 3, LOST);
    let code = unconfirmed(login.make_online_keyring(&[entry("a")], &old).await);
    assert_eq!(changes(&server).len(), 3, "no more than that");
    let online = open(Unlock::RecoveryCode(&code)).await.unwrap();
    lose(&kept, 3, LOST);
    let code = unconfirmed(login.change_online_password(&online, &new).await);
    assert!(open(Unlock::RecoveryCode(&code)).await.is_ok());
    let online = open(Unlock::Password(&new)).await.unwrap();
    lose(&kept, 3, LOST);
    let code = unconfirmed(login.change_recovery_code(&online).await);
    assert!(open(Unlock::RecoveryCode(&code)).await.is_ok());
    lose(&kept, 3, LOST);
    let entries = [entry("b")];
    let push = || login.push_entries(("alice", &new), &entries, OnDifference::Refuse);
    let lost = push().await.err().unwrap();
    assert!(matches!(lost, OnlineKeyringError::Unconfirmed { code: None, .. }), "{lost}");
    assert!(push().await.unwrap().is_unchanged(), "it is there");
}

#[tokio::test]
async fn a_server_that_takes_the_repetition_for_another_change_is_not_believed() {
    let (server, kept) = keeper();
    kept.lock().unwrap().knows_repeats = false;
    let login = logged_in(&server).await;
    let good = password(GOOD);
    lose(&kept, 1, LOST);
    let code = unconfirmed(login.make_online_keyring(&[entry("a")], &good).await);
    assert_eq!(opened(&login, Unlock::RecoveryCode(&code)).await.unwrap(), ["a"]);
    // Of entries it is found out: they are there when the keyring is opened again.
    lose(&kept, 1, LOST);
    let entries = [entry("b")];
    let pushed = login.push_entries(("alice", &good), &entries, OnDifference::Refuse).await;
    assert!(pushed.unwrap().is_unchanged());
    assert_eq!(opened(&login, Unlock::Password(&good)).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn an_answer_that_a_proxy_did_not_get_is_lost_too() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    let good = password(GOOD);
    login.make_online_keyring(&[entry("a")], &good).await.unwrap();
    for status in [502, 504] {
        let unlock = Unlock::Password(&good);
        let online = login.client().open_online_keyring(&key(), "alice", unlock).await.unwrap();
        lose(&kept, 2, status);
        login.store_online_content(&online).await.unwrap();
    }
    assert_eq!(kept.lock().unwrap().revision, 3);
    assert_eq!(changes(&server).len(), 1 + 3 + 3);
}

#[tokio::test]
async fn a_refusal_is_no_lost_answer() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    lose(&kept, 1, 429);
    let refused = login.make_online_keyring(&[entry("a")], &password(GOOD)).await.err().unwrap();
    assert!(matches!(refused, OnlineKeyringError::Request(ClientError::Refused(_))), "{refused}");
    assert_eq!(changes(&server).len(), 1);
}

#[tokio::test]
async fn what_is_gone_after_a_lost_answer_was_deleted() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    lose(&kept, 1, LOST);
    login.delete_online_keyring(&info(0)).await.unwrap();
    let none = login.delete_online_keyring(&info(1)).await.err().unwrap();
    assert!(matches!(none, OnlineKeyringError::None { .. }), "{none}");
}

#[tokio::test]
async fn going_back_is_asked_for_once() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    lose(&kept, 1, LOST);
    let lost = login.restore_online_keyring(&info(0), 1).await.err().unwrap();
    assert!(matches!(lost, OnlineKeyringError::Unconfirmed { code: None, .. }), "{lost}");
    let asked = server.asked().into_iter().filter(|asked| asked.method == "POST");
    assert_eq!(asked.count(), 1);
    assert!(login.restore_online_keyring(&info(1), 1).await.unwrap());
}
