//! Writing: alone and together, interrupted, and where something else is in the way.

use std::io;
use std::thread;

use super::*;

#[test]
fn concurrent_writers_lose_nothing() {
    let (keyring, directory, path) = keyring();
    drop(keyring);
    let handles: Vec<_> = (0..8).map(|_| open(&path).unwrap()).collect();
    thread::scope(|scope| {
        for (writer, mut keyring) in handles.into_iter().enumerate() {
            scope.spawn(move || {
                for i in 0..5 {
                    keyring.add(entry(&format!("{writer}.{i}"))).unwrap();
                    // A reader never sees half a file.
                    Envelope::parse(&file::read(keyring.path()).unwrap()).unwrap();
                }
                keyring.remove(&format!("{writer}.0")).unwrap();
            });
        }
    });
    let keyring = open(&path).unwrap();
    let mut found = names(&keyring);
    found.sort_unstable();
    let expected: Vec<_> =
        (0..8).flat_map(|writer| (1..5).map(move |i| format!("{writer}.{i}"))).collect();
    assert_eq!(found, expected);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the keyring and its lock");
}

#[test]
fn only_one_of_many_creates_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let created = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let create = || Keyring::create(&path, &passphrase("secret"), CHEAP, random());
                scope.spawn(create)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(created.iter().filter(|result| result.is_ok()).count(), 1);
    for refused in created.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, KeyringError::AlreadyExists(_)), "{refused}");
    }
    assert!(open(&path).is_ok());
}

#[cfg(unix)]
#[test]
fn the_file_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (mut keyring, directory, path) = keyring();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&directory.path().join("keys.lock")), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    keyring.add(entry("a")).unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[cfg(unix)]
#[test]
fn a_link_to_the_file_stays_a_link() {
    use std::os::unix::fs::symlink;

    let (mut keyring, directory, path) = keyring();
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    keyring.add(entry("a")).unwrap();
    open(&link).unwrap().add(entry("b")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(names(&open(&path).unwrap()), ["a", "b"]);

    let broken = directory.path().join("broken");
    symlink(directory.path().join("nowhere"), &broken).unwrap();
    let refused = Keyring::create(&broken, &passphrase("x"), CHEAP, random()).err();
    assert!(matches!(refused, Some(KeyringError::AlreadyExists(_))));
}

#[test]
fn what_a_killed_writer_left_is_cleared_away() {
    let (mut keyring, directory, path) = keyring();
    let left = directory.path().join("keys.tmp");
    fs::write(&left, b"half a file").unwrap();
    keyring.add(entry("a")).unwrap();
    assert!(!left.exists());
    assert_eq!(names(&open(&path).unwrap()), ["a"]);
}

#[test]
fn a_failed_write_changes_nothing() {
    let (mut keyring, directory, path) = keyring();
    keyring.add(entry("a")).unwrap();
    let before = fs::read(&path).unwrap();
    fs::create_dir(directory.path().join("keys.tmp")).unwrap();

    let failed = keyring.add(entry("b")).unwrap_err();
    assert!(matches!(failed, KeyringError::Io { action: "write", .. }), "{failed}");
    assert!(before == fs::read(&path).unwrap());
    assert_eq!(names(&keyring), ["a"]);

    fs::remove_dir(directory.path().join("keys.tmp")).unwrap();
    keyring.add(entry("b")).unwrap();
    assert_eq!(names(&open(&path).unwrap()), ["a", "b"]);
}

#[test]
fn a_file_that_changed_hands_is_not_overwritten() {
    let (mut keyring, _directory, path) = keyring();
    for content in [&b"something else"[..], b"", PYTHON] {
        fs::write(&path, content).unwrap();
        assert!(keyring.add(entry("a")).is_err());
        assert!(content == fs::read(&path).unwrap());
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(keyring.add(entry("a")), Err(KeyringError::NotFound(_))));
    assert!(!path.exists());
}

#[test]
fn a_file_that_could_not_be_read_is_not_written() {
    let (mut keyring, _directory, path) = keyring();
    let before = fs::read(&path).unwrap();
    let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
    let huge = "x".repeat(error::MAX_BYTES);
    let huge = Entry::new("a".parse().unwrap(), ISSUER, &huge, &key, NOW);
    assert!(matches!(keyring.add(huge), Err(KeyringError::TooLarge)));
    assert!(before == fs::read(&path).unwrap());

    fs::write(&path, vec![b' '; error::MAX_BYTES + 1]).unwrap();
    assert!(matches!(open(&path).err(), Some(KeyringError::TooLarge)));
}

#[test]
fn paths_that_are_no_files_are_named_in_the_error() {
    let directory = tempfile::tempdir().unwrap();
    let refused = open(directory.path()).err().unwrap();
    assert_eq!(refused.to_string(), format!("{} is not a file", directory.path().display()));
    let missing = directory.path().join("missing");
    assert!(matches!(open(&missing).err(), Some(KeyringError::NotFound(path)) if path == missing));

    let create = |path: &Path| Keyring::create(path, &passphrase("x"), CHEAP, random()).err();
    let nowhere = create(&missing.join("keys"));
    assert!(matches!(nowhere, Some(KeyringError::NotFound(path)) if path == missing));
    assert!(matches!(create(directory.path()), Some(KeyringError::AlreadyExists(_))));
    assert!(matches!(create(Path::new("..")), Some(KeyringError::NotAFile(_))));
    if cfg!(target_os = "linux") {
        assert!(matches!(open(Path::new("/dev/zero")).err(), Some(KeyringError::NotAFile(_))));
    }
}

#[test]
fn every_write_takes_a_fresh_nonce() -> io::Result<()> {
    let (mut keyring, _directory, path) = keyring();
    let first = fs::read_to_string(&path)?;
    keyring.add(entry("a")).unwrap();
    let second = fs::read_to_string(&path)?;
    let nonce = |text: &str| text.split("\"nonce\":").nth(1).map(|rest| rest[..18].to_owned());
    assert_ne!(nonce(&first), nonce(&second));
    Ok(())
}
