//! Databases with many accounts, written into SQLite and PostgreSQL directly: a million registrations would take
//! minutes, and measure nothing that a thousand do not.

pub(crate) mod postgres;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use countersign_protocol::{
    digest::sha256,
    keys::{Algorithm, KeyPolicy, PrivateKey, Thumbprint},
};
use rusqlite::{Connection, Transaction, params};

use crate::{
    bench::Bench,
    identity::{Identity, prepare},
    process::Place,
    product::Product,
};

const DATABASE: &str = "countersign.db";
/// 2023-11-14T22:13:20Z in milliseconds, and as the table `users` writes it.
const REGISTERED: (i64, &str) = (1_700_000_000_000, "2023-11-14 22:13:20");
/// Accounts whose first key anybody can have; more keys would only take longer to make.
const USABLE: u32 = 20_000;
/// A PKCS#8 Ed25519 key up to its 32 bytes, and such a public key (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// A data directory with `accounts` accounts of two Ed25519 keys each, to be copied.
///
/// It is kept in the cache between runs, under a name that has the version of the schema.
pub(crate) fn data_directory(bench: &Bench, accounts: u32) -> anyhow::Result<PathBuf> {
    let product = Product::start(bench, "seed", Place::AllCores)?;
    let directory = product.data_dir().to_owned();
    drop(product);
    let mut database = Connection::open(directory.join(DATABASE))?;
    let version: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let kept = bench.cache_dir.join(format!("accounts-{accounts}-schema-{version}"));
    if !kept.exists() {
        bench.say(&format!("making a database of {accounts} accounts, once"));
        fill(bench, &mut database, accounts)?;
        drop(database);
        fs::rename(&directory, &kept)?;
    }
    Ok(kept)
}

/// Copies a data directory.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// `count` of the accounts whose first key can be had, from the `first` of these on, in an order
/// that jumps to and fro in the database.
pub(crate) fn identities(
    bench: &Bench,
    accounts: u32,
    first: usize,
    count: usize,
) -> anyhow::Result<Vec<Identity>> {
    let usable = accounts.min(USABLE);
    prepare(&bench.cores, count, |index| {
        // 7919 is prime and no divisor of `usable`, so nothing comes twice before all have come.
        let position = u32::try_from((first + index) * 7919 % usize::try_from(usable)?)?;
        let number = position * (accounts / usable);
        Ok(Identity::with_key(name(number), key(number)?, Algorithm::EdDsa))
    })
}

fn name(number: u32) -> String {
    format!("account-{number}")
}

fn key(number: u32) -> anyhow::Result<PrivateKey> {
    let secret = sha256(&[b"key of a benchmark", &number.to_be_bytes()]);
    let der = [PKCS8.as_slice(), &secret].concat();
    Ok(PrivateKey::from_pkcs8_der(&der, &KeyPolicy::default())?)
}

/// A public key: its thumbprint and its SPKI.
type Key = (Thumbprint, Vec<u8>);

/// The keys that anybody can have, and of how many accounts one has such a key.
struct Usable {
    keys: Vec<Key>,
    every: u32,
}

impl Usable {
    fn new(bench: &Bench, accounts: u32) -> anyhow::Result<Self> {
        let count = accounts.min(USABLE);
        let every = accounts / count;
        let keys = prepare(&bench.cores, count.try_into()?, |position| {
            let key = key(u32::try_from(position)? * every)?;
            Ok((key.public_key().thumbprint(), key.public_key().to_spki_der()))
        })?;
        Ok(Self { keys, every })
    }

    /// The first key of an account.
    fn first(&self, number: u32) -> Key {
        let position = usize::try_from(number / self.every).ok();
        let usable = position.filter(|_| number.is_multiple_of(self.every));
        let usable = usable.and_then(|position| self.keys.get(position));
        usable.cloned().unwrap_or_else(|| unusable_key(number, 0))
    }
}

fn fill(bench: &Bench, database: &mut Connection, accounts: u32) -> anyhow::Result<()> {
    let usable = Usable::new(bench, accounts)?;
    // Nobody else has it open, and what is half done is thrown away.
    database.pragma_update(None, "synchronous", "off")?;
    database.pragma_update(None, "cache_size", -(1 << 20))?;
    let transaction = database.transaction()?;
    for number in 0..accounts {
        insert_account(&transaction, number)?;
        insert_key(&transaction, number, &usable.first(number))?;
        insert_key(&transaction, number, &unusable_key(number, 1))?;
    }
    transaction.commit()?;
    let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
    database.query_row(truncate, [], |_| Ok(())).context("checkpoint")?;
    Ok(())
}

fn insert_account(database: &Transaction<'_>, number: u32) -> rusqlite::Result<()> {
    let name = name(number);
    let user = "INSERT INTO users(id, username, password_hash, date_registered)
        VALUES (?, ?, '!', ?)";
    database.prepare_cached(user)?.execute(params![number + 1, name, REGISTERED.1])?;
    let account = "INSERT INTO
        accounts(user_id, account_id, username_folded, status, scopes, registered_at)
        VALUES (?, ?, ?, 'active', '', ?)";
    let values = params![number + 1, account_id(number), name, REGISTERED.0];
    database.prepare_cached(account)?.execute(values)?;
    Ok(())
}

/// A UUID of version 7 and of that time.
fn account_id(number: u32) -> [u8; 16] {
    (0x018b_cfe5_6800_7000_8000_0000_0000_0000 | u128::from(number)).to_be_bytes()
}

/// A key that nobody has: its point is a hash.
fn unusable_key(number: u32, slot: u8) -> Key {
    let point = sha256(&[b"no key", &number.to_be_bytes(), &[slot]]);
    let jwk = format!(
        "{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{}\"}}",
        BASE64_URL_SAFE_NO_PAD.encode(point)
    );
    let spki = [SPKI.as_slice(), &point].concat();
    (Thumbprint::from_bytes(sha256(&[jwk.as_bytes()])), spki)
}

fn insert_key(
    database: &Transaction<'_>,
    number: u32,
    (thumbprint, spki): &Key,
) -> rusqlite::Result<()> {
    let key = "INSERT INTO credentials(thumbprint, user_id, spki, algorithms, label, created_at)
        VALUES (?, ?, ?, 'EdDSA', 'laptop', ?)";
    let values = params![thumbprint.as_bytes(), number + 1, spki, REGISTERED.0];
    database.prepare_cached(key)?.execute(values)?;
    Ok(())
}
