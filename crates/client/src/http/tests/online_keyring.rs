//! Online keyrings at a server that keeps one, tells the truth or does not, and is overtaken.

use countersign_opaque::ServerName;
use countersign_opaque::server::{LoginRequest, LoginState, Record, ServerSetup, UserIdentifier};
use countersign_protocol::strict::base64url;

use super::*;
use crate::keyring::{Entry, EntryName, OnDifference, Passphrase};
use crate::online_keyring::{Document, RecoveryCode};

mod lost_answers;

/// What the server keeps.
struct Kept {
    setup: ServerSetup,
    random: CountingRandom,
    records: BTreeMap<String, String>,
    document: Option<Value>,
    revision: u64,
    /// How many requests for a change come too late.
    overtaken: usize,
    is_deleted: bool,
    /// The condition and the body of the last change.
    last: Option<(String, String)>,
    /// Whether it answers the last change once more as it did at first.
    knows_repeats: bool,
    /// How many answers to changes are replaced, and by which status.
    lost: (usize, u16),
}

impl Kept {
    fn answer(&mut self, origin: &str, asked: &Asked) -> Answer {
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
        let bytes = |member: &str| base64url::decode(&text(member)).unwrap();
        match (&*asked.method, &*asked.path) {
            ("POST", "/v1/keyring/slots") => {
                let response = self.setup.register(&bytes("request"), &user(&text("kind")));
                let response = base64url::encode(&response.unwrap());
                let id = base64url::encode(&user(&text("kind")).0[..16]);
                answer_json(200, &json!({ "id": id, "ticket": text("kind"), "response": response }))
            }
            ("PUT", "/v1/keyring" | "/v1/keyring/content") => self.put(asked, &body),
            ("GET", "/v1/keyring/revisions") => {
                let earlier =
                    json!({ "revision": 1, "updated_at": 1, "replaced_at": 2, "size": 3 });
                answer_json(200, &json!({ "revisions": [earlier] }))
            }
            ("DELETE", "/v1/keyring") if self.is_deleted => {
                problem(404, "no-keyring", "There is no online keyring.")
            }
            ("POST", "/v1/keyring/revisions/1/restore") | ("DELETE", "/v1/keyring") => {
                let present = format!("\"{}\"", self.revision);
                match asked.header("if-match") {
                    None => problem(428, "precondition-required", "Send If-Match."),
                    Some(tag) if tag == present => {
                        self.is_deleted = asked.method == "DELETE";
                        self.changed()
                    }
                    Some(_) => problem(412, "keyring-changed", "The keyring has changed."),
                }
            }
            ("POST", "/v1/keyring/open") => {
                let record = self.records.get(&text("kind")).map(|record| {
                    Record::from_upload(&base64url::decode(record).unwrap()).unwrap()
                });
                let (name, user) = (ServerName(origin), user(&text("kind")));
                let request = LoginRequest::from_bytes(&bytes("request")).unwrap();
                let begun = self.setup.begin_login(record, request, &user, name, &self.random);
                let (response, state) = begun.unwrap();
                let (state, response) =
                    (base64url::encode(&state.reveal()), base64url::encode(&response));
                answer_json(200, &json!({ "state": state, "response": response }))
            }
            ("POST", "/v1/keyring/open/finish") => {
                let state = LoginState::from_bytes(&bytes("state")).unwrap();
                if state.finish(&bytes("finalization"), ServerName(origin)).is_err() {
                    return problem(401, "keyring-not-opened", "The keyring was not opened.");
                }
                let (revision, document) = (self.revision, &self.document);
                answer_json(200, &json!({ "revision": revision, "document": document }))
            }
            _ => problem(404, "not-found", "There is nothing here."),
        }
    }

    fn put(&mut self, asked: &Asked, body: &Value) -> Answer {
        let condition = asked.header("if-match").or_else(|| asked.header("if-none-match"));
        let change = (condition.unwrap().to_owned(), asked.body.clone());
        if self.knows_repeats && self.last.as_ref() == Some(&change) {
            return self.told();
        }
        if let Some(left) = self.overtaken.checked_sub(1) {
            self.overtaken = left;
            self.revision += 1;
        }
        let present = self.document.as_ref().map(|_| format!("\"{}\"", self.revision));
        if change.0 != present.as_deref().unwrap_or("*") {
            return problem(412, "keyring-changed", "The keyring has changed.");
        }
        if asked.path == "/v1/keyring" {
            for record in body["records"].as_array().unwrap() {
                let part = |member: &str| record[member].as_str().unwrap().to_owned();
                self.records.insert(part("ticket"), part("record"));
            }
            self.document = Some(body["document"].clone());
        } else {
            let document = self.document.as_mut().unwrap();
            document["nonce"] = body["nonce"].clone();
            document["ciphertext"] = body["ciphertext"].clone();
        }
        self.last = Some(change);
        self.changed()
    }

    fn changed(&mut self) -> Answer {
        self.revision += 1;
        self.told()
    }

    fn told(&mut self) -> Answer {
        match self.lost {
            (0, _) => answer_json(200, &json!({ "revision": self.revision })),
            (left, status) => {
                self.lost = (left - 1, status);
                Answer(status, Vec::new(), String::new())
            }
        }
    }
}

fn user(kind: &str) -> UserIdentifier {
    let mut user = [b'-'; 32];
    user[..kind.len()].copy_from_slice(kind.as_bytes());
    UserIdentifier(user)
}

/// A server of online keyrings, and what it keeps.
fn keeper() -> (Server, Arc<Mutex<Kept>>) {
    let random = CountingRandom::default();
    let kept = Kept {
        setup: ServerSetup::generate(&random),
        random,
        records: BTreeMap::new(),
        document: None,
        revision: 0,
        overtaken: 0,
        is_deleted: false,
        last: None,
        knows_repeats: true,
        lost: (0, 0),
    };
    let kept = Arc::new(Mutex::new(kept));
    let shared = Arc::clone(&kept);
    let server = Server::start(move |origin, asked| match asked.path.as_str() {
        "/.well-known/oauth-authorization-server" => answer_json(200, &metadata(origin)),
        _ => shared.lock().unwrap().answer(origin, asked),
    });
    (server, kept)
}

fn entry(name: &str) -> Entry {
    Entry::new(name.parse().unwrap(), "https://auth.example", "alice", &key(), NOW)
}

fn password(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name().as_str()).collect()
}

async fn opened(login: &Login, unlock: Unlock<'_>) -> Result<Vec<String>, OnlineKeyringError> {
    let opened = login.client().open_online_keyring(&key(), "alice", unlock).await?;
    Ok(names(opened.entries()).into_iter().map(str::to_owned).collect())
}

const GOOD: &str = "correct horse";

#[tokio::test]
async fn password_and_recovery_code_open_what_was_made_and_nothing_else_does() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    let mut with_token = entry("a");
    with_token.set_token(&saved(&[]));
    let code = login.make_online_keyring(&[with_token], &password(GOOD)).await.unwrap();

    assert_eq!(opened(&login, Unlock::Password(&password(GOOD))).await.unwrap(), ["a"]);
    assert_eq!(opened(&login, Unlock::RecoveryCode(&code)).await.unwrap(), ["a"]);
    let other = RecoveryCode::generate(&CountingRandom::default());
    for (unlock, told) in [
        (Unlock::Password(&password("wrong horse")), "the password is not right"),
        (Unlock::RecoveryCode(&other), "the recovery code is not right"),
    ] {
        let error = opened(&login, unlock).await.unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
    // What crossed the wire says nothing of either, nor of the token that the entry has here.
    let said: String = server.asked().into_iter().map(|asked| asked.body).collect();
    for secret in [GOOD, &*code.reveal(), std::str::from_utf8(code.as_password()).unwrap()] {
        assert!(!said.contains(secret));
    }
    let unlock = Unlock::RecoveryCode(&code);
    let online = login.client().open_online_keyring(&key(), "alice", unlock).await.unwrap();
    assert!(online.entries()[0].token().is_none());
    drop(kept);
}

#[tokio::test]
async fn a_push_that_is_overtaken_begins_anew_and_gives_up_in_the_end() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    let (old, new) = (entry("old"), entry("new"));
    let good = password(GOOD);
    login.make_online_keyring(std::slice::from_ref(&old), &good).await.unwrap();
    kept.lock().unwrap().overtaken = 3;
    let entries = [old, new];
    let pushed = login.push_entries(("alice", &good), &entries, OnDifference::Refuse).await;
    assert_eq!(pushed.unwrap().added, ["new".parse::<EntryName>().unwrap()]);
    assert_eq!(opened(&login, Unlock::Password(&good)).await.unwrap(), ["old", "new"]);

    kept.lock().unwrap().overtaken = 100;
    let pushed = login.push_entries(("alice", &good), &[entry("x")], OnDifference::Refuse).await;
    assert!(matches!(pushed, Err(OnlineKeyringError::Changed)));
    let put = server.asked().into_iter().rfind(|asked| asked.method == "PUT");
    assert!(put.unwrap().header("if-match").is_some_and(|tag| tag.starts_with('"')));
}

/// What a server says about a keyring of that revision.
fn info(revision: u64) -> OnlineKeyringInfo {
    OnlineKeyringInfo { revision, updated_at: NOW, size: 3, slots: Vec::new() }
}

#[tokio::test]
async fn what_has_changed_meanwhile_is_neither_deleted_nor_restored() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    kept.lock().unwrap().revision = 7;
    for late in [6, 8] {
        let restored = login.restore_online_keyring(&info(late), 1).await;
        assert!(matches!(restored, Err(OnlineKeyringError::Changed)));
        let deleted = login.delete_online_keyring(&info(late)).await;
        assert!(matches!(deleted, Err(OnlineKeyringError::Changed)));
    }
    assert!(login.restore_online_keyring(&info(7), 1).await.unwrap());
    assert!(!login.restore_online_keyring(&info(8), 2).await.unwrap());
    login.delete_online_keyring(&info(8)).await.unwrap();
}

#[tokio::test]
async fn entries_that_differ_change_nothing_unless_they_are_to() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    let good = password(GOOD);
    login.make_online_keyring(&[entry("a")], &good).await.unwrap();
    let others = [entry("a"), entry("b")];
    let push = |on_difference| login.push_entries(("alice", &good), &others, on_difference);
    let before = kept.lock().unwrap().revision;
    assert!(matches!(push(OnDifference::Refuse).await, Err(OnlineKeyringError::Differing(_))));
    assert_eq!(kept.lock().unwrap().revision, before);
    let merged = push(OnDifference::Replace).await.unwrap();
    assert_eq!((merged.replaced.len(), merged.added.len()), (1, 1));
    let merged = push(OnDifference::Refuse).await.unwrap();
    assert!(merged.is_unchanged());
    assert_eq!(kept.lock().unwrap().revision, before + 1, "nothing to store");
}

#[tokio::test]
async fn another_password_leaves_nothing_to_the_old_one() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    let (old, new) = (password(GOOD), password("another horse"));
    let old_code = login.make_online_keyring(&[entry("a")], &old).await.unwrap();
    let open = async |unlock| login.client().open_online_keyring(&key(), "alice", unlock).await;
    let before = open(Unlock::RecoveryCode(&old_code)).await.unwrap();
    let short = login.change_online_password(&before, &password("7 bytes")).await;
    assert!(matches!(short, Err(OnlineKeyringError::TooShort(_))));
    let code = login.change_online_password(&before, &new).await.unwrap();
    assert!(open(Unlock::Password(&old)).await.is_err());
    assert!(open(Unlock::RecoveryCode(&old_code)).await.is_err());
    assert!(open(Unlock::RecoveryCode(&code)).await.is_ok());

    // Another recovery code leaves the password, in its slot, and has a new content key too.
    let now = open(Unlock::Password(&new)).await.unwrap();
    let newest = login.change_recovery_code(&now).await.unwrap();
    assert!(open(Unlock::RecoveryCode(&code)).await.is_err());
    assert!(open(Unlock::RecoveryCode(&newest)).await.is_ok());
    let after = open(Unlock::Password(&new)).await.unwrap();
    assert_eq!((after.slots()[0].id, names(after.entries())), (now.slots()[0].id, vec!["a"]));
    assert_ne!(after.slots()[0], now.slots()[0]);
    drop(kept);
}

#[tokio::test]
async fn a_server_that_swaps_or_damages_what_it_keeps_is_found_out() {
    let (server, kept) = keeper();
    let login = logged_in(&server).await;
    let good = password(GOOD);
    login.make_online_keyring(&[entry("a")], &good).await.unwrap();
    let change = |change: &dyn Fn(&mut Value)| {
        let mut kept = kept.lock().unwrap();
        change(kept.document.as_mut().unwrap());
    };
    let told = async || opened(&login, Unlock::Password(&good)).await.unwrap_err().to_string();
    let original = kept.lock().unwrap().document.clone().unwrap();
    change(&|document| document["ciphertext"] = base64url::encode(&[7; 40]).into());
    assert!(told().await.contains("its content does not open"));
    change(&|document| {
        *document = original.clone();
        document["slots"][0]["wrapped"] = document["slots"][1]["wrapped"].clone();
    });
    assert!(told().await.contains("its slot does not open"));
    change(&|document| document["slots"] = json!([original["slots"][1]]));
    assert!(told().await.contains("no slot of the kind password"));
    change(&|document| document["more"] = 1.into());
    assert!(told().await.starts_with("this is not an online keyring"));
    assert!(Document::parse(original.to_string().as_bytes()).is_ok());
}

#[tokio::test]
async fn a_server_without_online_keyrings_is_called_that() {
    let server = authority(|_| problem(404, "not-found", "There is nothing here."));
    let login = logged_in(&server).await;
    for error in [
        login.online_keyring().await.unwrap_err(),
        opened(&login, Unlock::Password(&password(GOOD))).await.unwrap_err(),
        login.delete_online_keyring(&info(1)).await.unwrap_err(),
    ] {
        assert!(error.to_string().ends_with("does not support online keyrings"), "{error}");
    }
    let server = authority(|_| problem(404, "no-keyring", "There is no online keyring."));
    assert!(logged_in(&server).await.online_keyring().await.unwrap().is_none());
}
