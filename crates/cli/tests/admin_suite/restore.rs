//! `admin restore`.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{
    Person, Server, admin, admin_with, event_kinds, is_accepted, json_lines, snapshot,
    used_data_dir,
    user::{Said, User, write_private},
};

/// A data directory in which a server has run, and a backup of it.
struct Backed {
    data_dir: TempDir,
    _elsewhere: TempDir,
    backup: PathBuf,
}

impl Backed {
    fn up(data_dir: TempDir) -> Self {
        let elsewhere = tempfile::tempdir().unwrap();
        let backup = elsewhere.path().join("backup.db");
        admin(data_dir.path(), &["backup", backup.to_str().unwrap()]).result();
        Self { data_dir, _elsewhere: elsewhere, backup }
    }

    fn path(&self) -> &str {
        self.backup.to_str().unwrap()
    }
}

#[tokio::test]
async fn a_restore_brings_the_past_back_and_says_what_that_means() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(data_dir.path(), &[]);
    let alice = Person::registered(&server, "alice").await;
    let carol = Person::registered(&server, "carol").await;
    Person::registered(&server, "erin").await;
    let backed = Backed::up(data_dir);
    let dir = backed.data_dir.path();
    let thumbprint = alice.thumbprint().to_string();
    admin(dir, &["keys", "revoke", "alice", &thumbprint]).result();
    admin(dir, &["accounts", "disable", "carol"]).result();
    for act in ["disable", "enable"] {
        admin(dir, &["accounts", act, "erin"]).result();
    }
    let late = Person::registered(&server, "late").await;
    let refusal = admin(dir, &["restore", backed.path(), "--yes"]).refusal();
    assert!(refusal.contains("stop the server first"), "{refusal}");
    assert!(refusal.contains("a server is already running"), "{refusal}");
    server.kill();

    let said = admin(dir, &["restore", backed.path(), "--yes"]);
    let remarks = said.stderr.clone();
    assert!(remarks.contains("passwords, keys and tokens too, is in force again"), "{remarks}");
    assert!(remarks.contains(&format!("key {thumbprint} of alice, revoked at 2")), "{remarks}");
    assert!(remarks.contains("account carol, disabled at 2"), "{remarks}");
    assert!(!remarks.contains("account erin"), "it was enabled again: {remarks}");
    assert!(said.result().contains("3 accounts, 3 keys, "));
    assert_eq!(event_kinds(dir).last().unwrap(), "database.restored");
    let restored = admin(dir, &["audit", "--event", "database.restored", "--json"]).result();
    let detail = json_lines(&restored)[0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("backup.db, whose newest event is of 2"), "{detail}");

    let server = Server::start_in(dir, &[]);
    let login = alice.at(&server).await.login(None).await.unwrap();
    assert!(is_accepted(&login).await);
    carol.at(&server).await.login(None).await.unwrap();
    assert!(late.at(&server).await.login(None).await.is_err());
    assert!(!dir.join("restore-rehearsal").exists());
}

#[tokio::test]
async fn a_restore_withdraws_every_recovery_code_that_may_have_been_used_since() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(data_dir.path(), &[]);
    Person::registered(&server, "alice").await;
    let code = admin(data_dir.path(), &["invite", "alice", "--recover"]).result();
    admin(data_dir.path(), &["invite"]).result();
    let backed = Backed::up(data_dir);
    let dir = backed.data_dir.path();
    let recover = ["recover", "alice", "--code", code.trim()];
    User::of(server.url()).does(&recover);
    server.kill();

    let remarks = admin(dir, &["restore", backed.path(), "--yes"]).stderr;
    assert!(remarks.contains("used since are withdrawn, of alice: "), "{remarks}");
    let server = Server::start_in(dir, &[]);
    let refused = User::of(server.url()).fails(&recover);
    assert!(refused.contains("recovery-code"), "{refused}");
    let left = json_lines(&admin(dir, &["invitations", "list", "--json"]).result());
    assert_eq!(left.len(), 1, "enrolment codes stay: {left:?}");
    assert_eq!(left[0]["purpose"], "register");
}

#[test]
fn a_restore_names_the_online_keyrings_that_open_by_a_replaced_password_again() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(data_dir.path(), &[]);
    let url = server.url().to_owned();
    let online = |user: &User, args: &[&str]| {
        let mut command = user.command(&[&["keyring"], args].concat());
        command.env("COUNTERSIGN_ONLINE_PASSWORD", "online battery staple");
        let said = Said::of(command);
        assert_eq!(said.status, 0, "{args:?}\n{}", said.stderr);
    };
    let owner = |name: &str| {
        let user = User::of(&url);
        user.does(&["register", name]);
        online(&user, &["push"]);
        user
    };
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(owner);
    let backed = Backed::up(data_dir);
    let dir = backed.data_dir.path();
    write_private(&alice.path("new"), "a better password 2");
    online(&alice, &["online", "password", "--new-password-file", "new"]);
    online(&bob, &["online", "delete", "--yes"]);
    carol.openssl("genpkey -algorithm ED25519 -out spare.pem");
    write_private(&carol.path("spare.pem"), &fs::read_to_string(carol.path("spare.pem")).unwrap());
    let import =
        ["keyring", "import", "spare", "spare.pem", "--server", "https://elsewhere.example"];
    carol.does(&import);
    online(&carol, &["push", "--as", "carol"]);
    server.kill();

    let remarks = admin(dir, &["restore", backed.path(), "--yes"]).stderr;
    assert!(remarks.contains("online keyring of alice, stored anew at 2"), "{remarks}");
    assert!(remarks.contains("online keyring of bob, deleted at 2"), "{remarks}");
    assert!(!remarks.contains("of carol"), "its password is the same: {remarks}");
    assert!(remarks.contains("countersign keyring online password"), "{remarks}");
}

#[tokio::test]
async fn the_database_that_was_there_is_kept_and_can_be_restored_itself() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(data_dir.path(), &[]);
    let backed = Backed::up(data_dir);
    let dir = backed.data_dir.path();
    Person::registered(&server, "alice").await;
    server.kill();
    let remark = admin(dir, &["restore", backed.path(), "--yes"]).remark();
    let previous = dir.join("countersign.db.before-restore-1");
    let expected = format!("the database that was there is {} now", previous.display());
    assert!(remark.contains(&expected), "{remark}");
    assert!(!remark.contains("shut out again"), "nothing was revoked: {remark}");
    assert!(admin(dir, &["accounts", "list", "--json"]).result().is_empty());

    admin(dir, &["restore", previous.to_str().unwrap(), "--yes"]).result();
    assert_eq!(json_lines(&admin(dir, &["accounts", "list", "--json"]).result()).len(), 1);
}

#[test]
fn a_restore_names_the_withdrawn_signing_keys_that_sign_again() {
    let backed = Backed::up(used_data_dir());
    let dir = backed.data_dir.path();
    let keys = |state: &str| {
        let listed = json_lines(&admin(dir, &["signing-keys", "list", "--json"]).result());
        let mut kids: Vec<_> = listed
            .iter()
            .filter(|key| key["state"] == state)
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect();
        kids.sort();
        kids
    };
    let signing = keys("active");
    assert!(!signing.is_empty());
    admin(dir, &["signing-keys", "rotate", "--withdraw"]).result();
    let said = admin(dir, &["restore", backed.path(), "--yes"]).remark();
    assert_eq!(keys("active"), signing, "they are back");
    for kid in signing {
        assert!(said.contains(&format!("signing key {kid}, withdrawn at 2")), "{said}");
    }
    assert!(said.contains("signing-keys rotate --withdraw"), "{said}");

    admin(dir, &["signing-keys", "rotate", "--withdraw"]).result();
    let again = dir.join("again.db");
    admin(dir, &["backup", again.to_str().unwrap()]).result();
    let said = admin(dir, &["restore", again.to_str().unwrap(), "--yes"]).remark();
    assert!(!said.contains("signing key "), "nothing was withdrawn since: {said}");
}

#[test]
fn a_database_is_replaced_only_by_who_says_so() {
    let backed = Backed::up(used_data_dir());
    let dir = backed.data_dir.path();
    let before = snapshot(dir);
    let refusal = admin(dir, &["restore", backed.path()]).refusal();
    assert!(refusal.contains("say --yes"), "{refusal}");
    assert_eq!(snapshot(dir), before);
}

#[test]
fn a_backup_that_the_master_key_does_not_open_is_not_restored() {
    let backed = Backed::up(used_data_dir());
    let other = used_data_dir();
    let before = snapshot(other.path());
    let refusal = admin(other.path(), &["restore", backed.path(), "--yes"]).refusal();
    assert!(refusal.contains("nothing was restored or changed"), "{refusal}");
    assert!(refusal.contains("wrong master key in"), "{refusal}");
    assert!(refusal.contains("set COUNTERSIGN_MASTER_KEY to it"), "{refusal}");
    assert_eq!(snapshot(other.path()), before);

    let key = fs::read_to_string(backed.data_dir.path().join("master.key")).unwrap();
    let key = ("COUNTERSIGN_MASTER_KEY", key.trim());
    let said = admin_with(other.path(), key, &["restore", backed.path(), "--yes"]).remark();
    assert!(said.contains("it opens with the master key in COUNTERSIGN_MASTER_KEY"), "{said}");
    admin_with(other.path(), key, &["check"]).result();
}

#[test]
fn a_backup_is_restored_on_a_new_machine() {
    let backed = Backed::up(used_data_dir());
    let machine = tempfile::tempdir().unwrap();
    let dir = machine.path().join("data");
    let refusal = admin(&dir, &["restore", backed.path()]).refusal();
    assert!(refusal.contains("there is no master key: put back"), "{refusal}");
    assert!(!dir.exists());

    let key = fs::read_to_string(backed.data_dir.path().join("master.key")).unwrap();
    let key = ("COUNTERSIGN_MASTER_KEY", key.trim());
    admin_with(&dir, key, &["restore", backed.path()]).result();
    admin_with(&dir, key, &["check"]).result();
}

#[tokio::test]
async fn a_backup_whose_master_key_is_lost_is_restored_without_what_only_that_opens() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(data_dir.path(), &[]);
    let alice = Person::registered(&server, "alice").await;
    let backed = Backed::up(data_dir);
    server.kill();
    let restore = ["restore", backed.path(), "--yes"];
    let abandon = ["restore", backed.path(), "--yes", "--abandon-signing-keys"];
    let refusal = admin(backed.data_dir.path(), &abandon).refusal();
    assert!(refusal.contains("the master key is not lost"), "{refusal}");

    let new_machine = tempfile::tempdir().unwrap();
    let dir = new_machine.path();
    let refusal = admin(dir, &restore).refusal();
    assert!(refusal.contains("restore FILE --abandon-signing-keys"), "{refusal}");
    assert!(!refusal.contains("rekey --abandon"), "{refusal}");
    let said = admin(dir, &abandon);
    assert!(said.stderr.contains("signing keys: every token"), "{}", said.stderr);
    assert!(said.stderr.contains("the new master key is in "), "{}", said.stderr);
    assert!(said.result().contains("1 account, "));
    let server = Server::start_in(dir, &[]);
    alice.at(&server).await.login(None).await.unwrap();
    let kinds = event_kinds(dir);
    assert!(kinds.contains(&"master-key.abandoned".to_owned()), "{kinds:?}");
    assert!(kinds.contains(&"database.restored".to_owned()), "{kinds:?}");
}

#[test]
fn a_backup_from_before_a_change_of_the_master_key_asks_for_the_key_of_that_time() {
    let backed = Backed::up(used_data_dir());
    let dir = backed.data_dir.path();
    admin(dir, &["rekey", "--yes"]).result();
    let refusal = admin(dir, &["restore", backed.path(), "--yes"]).refusal();
    assert!(refusal.contains("--keep-old has kept"), "{refusal}");
    admin(dir, &["restore", backed.path(), "--yes", "--abandon-signing-keys"]).result();
    admin(dir, &["check"]).result();
}

#[test]
fn a_damaged_database_does_not_stand_in_the_way() {
    let backed = Backed::up(used_data_dir());
    let dir = backed.data_dir.path();
    fs::write(dir.join("countersign.db"), "no database at all, but a text").unwrap();
    admin(dir, &["restore", backed.path(), "--yes"]).result();
    admin(dir, &["check"]).result();
}

#[test]
fn what_is_no_whole_backup_is_refused_and_changes_nothing() {
    let directory = used_data_dir();
    let named = ["restore", directory.path().to_str().unwrap()];
    assert!(admin(directory.path(), &named).refusal().contains("is a directory: name the file"));
    let backed = Backed::up(used_data_dir());
    let dir = backed.data_dir.path();
    let before = snapshot(dir);
    let whole = fs::read(&backed.backup).unwrap();
    let broken = backed.backup.with_file_name("broken.db");
    let in_middle = 2 * 4096;
    let mut damaged = whole.clone();
    damaged[in_middle..in_middle + 4096].fill(0xa5);
    for (content, reason) in [
        (b"a text".to_vec(), "this is not a SQLite database"),
        (whole[..whole.len() / 2].to_vec(), "the database is damaged"),
        (damaged, "the database is damaged"),
        (newer(whole), "use a newer program"),
    ] {
        fs::write(&broken, content).unwrap();
        let refusal = admin(dir, &["restore", broken.to_str().unwrap(), "--yes"]).refusal();
        assert!(refusal.contains(reason), "{refusal}");
    }
    let refusal = admin(dir, &["restore", "no-such-file", "--yes"]).refusal();
    assert!(refusal.contains("no-such-file"), "{refusal}");
    assert_eq!(snapshot(dir), before);
}

/// The same database, as if a later version of the program had written it.
fn newer(mut database: Vec<u8>) -> Vec<u8> {
    database[60..64].copy_from_slice(&1000_u32.to_be_bytes());
    database
}
