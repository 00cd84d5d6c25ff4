//! `admin backup`, and what a restored backup is worth.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::sync::mpsc;

use super::{Person, Server, admin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_while_people_register_holds_all_who_were_registered_before() {
    let server = Server::start(&[]);
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = elsewhere.path().join("backup.db");
    let (done, mut registered) = mpsc::unbounded_channel();
    let is_over = AtomicBool::new(false);
    let register_many = async |series: char| {
        let mut number = 0;
        while !is_over.load(Relaxed) {
            let person = Person::registered(&server, &format!("{series}{number}")).await;
            done.send(person).unwrap();
            number += 1;
        }
    };
    let back_up = async {
        let mut before = Vec::new();
        registered.recv_many(&mut before, 10).await;
        let (data_dir, backup) = (server.data_dir().to_owned(), backup.clone());
        let backing_up = move || admin(&data_dir, &["backup", backup.to_str().unwrap()]);
        let said = tokio::task::spawn_blocking(backing_up).await.unwrap();
        is_over.store(true, Relaxed);
        assert!(said.remark().contains("the master key is not in it"));
        before
    };
    let (before, (), ()) = tokio::join!(back_up, register_many('a'), register_many('b'));
    let after = registered.recv().await.expect("some registered during the backup");

    let new = elsewhere.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::copy(server.data_dir().join("master.key"), new.join("master.key")).unwrap();
    drop(server);
    admin(&new, &["restore", backup.to_str().unwrap()]).result();
    let sound = admin(&new, &["check"]).result();
    assert!(!sound.contains("FAILED"), "{sound}");
    let server = Server::start_in(&new, &[]);
    for person in before {
        person.at(&server).await.login(None).await.unwrap();
    }
    let known = admin(&new, &["accounts", "show", &after.name]).succeeded;
    assert_eq!(after.at(&server).await.login(None).await.is_ok(), known);
}

#[test]
fn a_backup_is_for_its_owner_only_and_never_overwrites() {
    let dir = super::used_data_dir();
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = elsewhere.path().join("backup.db");
    let path = backup.to_str().unwrap();
    let said = admin(dir.path(), &["backup", path]);
    assert!(said.stderr.contains("master.key, elsewhere"), "{}", said.stderr);
    let holds = said.result();
    assert!(holds.contains("0 accounts, 0 keys, 0 invitations, 3 signing keys, "), "{holds}");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);

    let before = fs::read(&backup).unwrap();
    let refusal = admin(dir.path(), &["backup", path]).refusal();
    assert!(refusal.contains("the file exists already"), "{refusal}");
    assert_eq!(fs::read(&backup).unwrap(), before);
}

#[test]
fn a_backup_says_which_variable_holds_the_master_key() {
    let dir = super::used_data_dir();
    let key = fs::read_to_string(dir.path().join("master.key")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = elsewhere.path().join("backup.db");
    let args = ["backup", backup.to_str().unwrap()];
    let said = super::admin_with(dir.path(), ("NOT_MY_KEY", key.trim()), &args).remark();
    assert!(said.contains("keep a copy of NOT_MY_KEY, elsewhere"), "{said}");
}

#[test]
fn a_backup_to_nowhere_leaves_nothing() {
    let dir = super::used_data_dir();
    let nowhere = Path::new("no/such/directory/backup.db");
    let refusal = admin(dir.path(), &["backup", nowhere.to_str().unwrap()]).refusal();
    assert!(refusal.contains("there is no backup"), "{refusal}");
    assert!(refusal.contains("No such file or directory"), "{refusal}");
}
