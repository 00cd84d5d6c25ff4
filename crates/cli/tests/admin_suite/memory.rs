//! What lies in the memory of a running server, and who can see it.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::{
        fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
};

use countersign_authority::ports::{VaultRecord, VaultStore as _};
use countersign_protocol::{
    envelope::aes_gcm::{RootKey, SecretBytes},
    strict::base64,
};
use countersign_store::sqlite::{SqliteOptions, SqliteStore};

use super::Server;
use crate::support::countersign;

/// A user who is neither root nor the owner of anything else.
const SOMEBODY: u32 = 65_534;

/// A file about the process of `server`.
fn proc_file(server: &Server, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{name}", server.pid()))
}

/// How often `secret` lies in the memory of `server`; `None` for whoever may not look, which is
/// everybody but root.
fn copies(server: &Server, secret: &[u8]) -> Option<usize> {
    let memory = match File::open(proc_file(server, "mem")) {
        Ok(memory) => memory,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        Err(error) => panic!("{error}"),
    };
    let maps = fs::read_to_string(proc_file(server, "maps")).unwrap();
    let writable = maps.lines().filter(|line| line.contains(" rw"));
    let copies = writable.map(|line| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut region = vec![0; usize::try_from(to - from).unwrap()];
        // A region that is gone since has no copies.
        let read = memory.read_at(&mut region, from).unwrap_or(0);
        copies_in(&region[..read], secret)
    });
    Some(copies.sum())
}

/// How often `secret` lies in `region`. Most pages are empty, and are passed over.
fn copies_in(region: &[u8], secret: &[u8]) -> usize {
    const PAGE: usize = 4096;
    let begins_here = |at: &usize| region[*at..].starts_with(secret);
    let pages = (0..region.len()).step_by(PAGE).map(|from| from..region.len().min(from + PAGE));
    let used = pages.filter(|page| region[page.clone()] != [0; PAGE][..page.len()]);
    used.map(|page| page.filter(begins_here).count()).sum()
}

/// The root of the vault in `dir`, which `master` opens.
async fn root(dir: &Path, master: &[u8]) -> Vec<u8> {
    let store = SqliteStore::open(&dir.join("countersign.db"), &SqliteOptions::default()).unwrap();
    let VaultRecord { salt, nonce, sealed_roots } = store.vault().await.unwrap().unwrap();
    let master = RootKey::new(SecretBytes::filled(|place| place.copy_from_slice(master)));
    master.derive("vault roots").open(nonce, &salt, &sealed_roots).unwrap().to_vec()
}

fn assert_copies(server: &Server, [root, master]: [&[u8]; 2], how: &str) {
    if let Some(of_root) = copies(server, root) {
        assert_eq!((of_root, copies(server, master)), (1, Some(0)), "{how}");
    }
}

#[tokio::test]
async fn the_root_lies_in_one_place_of_the_memory_and_the_master_key_in_none() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir.path(), &[]);
    let text = fs::read_to_string(dir.path().join("master.key")).unwrap();
    let key = base64::decode(text.trim()).unwrap();
    let root = root(dir.path(), &key).await;
    assert_eq!(root.len(), 32);
    let secrets = [root.as_slice(), key.as_slice()];
    assert_copies(&server, secrets, "made by the first start");
    drop(server);
    assert_copies(&Server::start_in(dir.path(), &[]), secrets, "read from the file");
    let mut command = countersign(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    let hex = key.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    command.arg(dir.path()).env("COUNTERSIGN_MASTER_KEY", hex);
    let server = Server::start_command(command, dir.path());
    assert_copies(&server, secrets, "given in the environment");
}

#[test]
fn a_server_writes_no_core_and_shows_its_memory_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = countersign(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    let data_dir = dir.path().join("data");
    command.arg(&data_dir);
    if chown(dir.path(), Some(SOMEBODY), Some(SOMEBODY)).is_ok() {
        // Root may look at everybody's memory, and so the server must not be root here.
        command = as_somebody(dir.path(), &data_dir);
    }
    let server = Server::start_command(command, &data_dir);
    let limits = fs::read_to_string(proc_file(&server, "limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let core: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"]);
    let owner = fs::metadata(proc_file(&server, "mem")).unwrap().uid();
    assert_eq!(owner, 0, "the system keeps the memory from the user of the process");
}

/// A start by another user, of a copy of the program that this user can read.
fn as_somebody(dir: &Path, data_dir: &Path) -> std::process::Command {
    let program = dir.join("countersign");
    fs::copy(env!("CARGO_BIN_EXE_countersign"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir).env_clear();
    command.current_dir(dir).uid(SOMEBODY).gid(SOMEBODY);
    command
}
