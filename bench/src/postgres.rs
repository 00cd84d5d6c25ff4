//! The PostgreSQL server that products work on, as `scripts/with-postgres` starts it.

use std::{fs, time::Duration};

use anyhow::Context as _;
use nix::{
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

/// Of the times that the kernel writes into `/proc`, so many are a second.
const TICKS: u32 = 100;

/// A server.
pub(crate) struct Postgres {
    /// Its URL up to the name of the database.
    server: String,
    runtime: Runtime,
    /// The process whose children do all work for clients.
    parent: i32,
}

impl Postgres {
    /// The one with a database at `url`.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        let (server, database) = url.rsplit_once('/').context("no URL of a database")?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut postgres = Self { server: server.to_owned(), runtime, parent: 0 };
        postgres.parent = postgres.with(database, async |client| {
            let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
            // As long as the connection is there, so is its process.
            let stat = Stat::of(row.try_get(0)?).context("the server runs elsewhere")?;
            Ok(stat.parent)
        })?;
        Ok(postgres)
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.server)
    }

    /// Does something on a connection to a database.
    pub(crate) fn with<T>(
        &self,
        database: &str,
        work: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let url = self.url(database);
        self.runtime.block_on(async {
            let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            let driver = tokio::spawn(connection);
            let done = work(&mut client).await;
            drop(client);
            driver.await??;
            done
        })
    }

    /// Runs statements that belong to no database.
    pub(crate) fn run(&self, statements: &[&str]) -> anyhow::Result<()> {
        self.with("postgres", async |client| {
            for statement in statements {
                client.batch_execute(statement).await.with_context(|| (*statement).to_owned())?;
            }
            Ok(())
        })
    }

    /// Makes an empty database in place of one of that name, and returns its URL.
    pub(crate) fn new_database(&self, name: &str) -> anyhow::Result<String> {
        let drop = format!("DROP DATABASE IF EXISTS bench_{name} WITH (FORCE)");
        self.run(&[&drop, &format!("CREATE DATABASE bench_{name} TEMPLATE template0")])?;
        Ok(self.url(&format!("bench_{name}")))
    }

    /// User and system time of all its processes so far, also of those that have ended.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let parent = Stat::of(self.parent).context("the server has ended")?;
        let mut sum = Duration::from_secs(parent.ticks_of_ended) / TICKS;
        for entry in fs::read_dir("/proc")? {
            let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let is_ours = Stat::of(process).is_some_and(|stat| stat.parent == self.parent);
            if process == self.parent || is_ours {
                // One that has ended meanwhile is among those that have ended the next time.
                sum += cpu_time(process).unwrap_or_default();
            }
        }
        Ok(sum)
    }
}

fn cpu_time(process: i32) -> nix::Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(process))?;
    clock_gettime(clock).map(Into::into)
}

/// Some of what `/proc/PID/stat` says.
struct Stat {
    parent: i32,
    /// User and system time of children that have ended.
    ticks_of_ended: u64,
}

impl Stat {
    /// `None` if there is no such process here.
    fn of(process: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name of the program is in parentheses, and may have spaces.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let parent = fields.get(1)?.parse().ok()?;
        Some(Self { parent, ticks_of_ended: number(13)? + number(14)? })
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn a_process_knows_its_parent() {
        let own = i32::try_from(process::id()).unwrap();
        let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
        assert_eq!(Stat::of(own).unwrap().parent, parent);
        assert!(cpu_time(own).unwrap() > Duration::ZERO);
    }
}
