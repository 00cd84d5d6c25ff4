//! Databases at the server that `scripts/with-postgres` starts.

use std::{
    env,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const VARIABLE: &str = "COUNTERSIGN_TEST_POSTGRES";

/// A database of one test, which goes with it.
pub(super) struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    /// A database without tables.
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = env::var(VARIABLE).unwrap_or_else(|_| {
            panic!("{VARIABLE} names no server: run `scripts/with-postgres cargo nextest run -p countersign-cli`")
        });
        let name = format!("cli_{}_{}", process::id(), COUNT.fetch_add(1, Relaxed));
        psql(&server, &format!("CREATE DATABASE {name}"));
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        Self { server, name, url }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Runs a statement, as another program may.
    pub(super) fn run(&self, statement: &str) {
        psql(&self.url, statement);
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        psql(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn psql(url: &str, statement: &str) {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--dbname", url, "--command", statement]);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{statement}: {}", String::from_utf8_lossy(&ran.stderr));
}
