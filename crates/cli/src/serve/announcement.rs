//! What the start of a server says to the person who started it.

use std::path::Path;

use countersign_store::sqlite::Disk;

use crate::{
    config::{Listen, Settings, StatePlace},
    database::Place,
    master_key::Source,
    output,
};

/// A server that has begun to listen.
pub(crate) struct Started {
    /// Where it listens.
    pub(crate) bound: Listen,
    /// Its issuer identifier.
    pub(crate) issuer: String,
    /// Where its database is.
    pub(crate) place: Place,
    /// Where its master key came from.
    pub(crate) master_key: Source,
    /// Whether its database was made just now.
    pub(crate) is_new: bool,
    /// SHA-256 over the files of its account app, if it has one.
    pub(crate) web_hash: Option<String>,
}

/// A few lines for the person who started the server.
pub(super) fn announce(settings: &Settings, started: &Started) {
    for line in beginning(started) {
        output::remark(line);
    }
    output::remark(whereabouts(settings, started));
    if let Some(hash) = &started.web_hash {
        output::remark(format!("account app at {}, its files: sha256 {hash}", started.issuer));
    }
    for origin in &settings.forward_auth.origins {
        output::remark(format!(
            "protecting {origin} for proxies at {}",
            settings.trusted_proxies.join(", ")
        ));
    }
    warn(settings, &started.place);
    output::remark(first_step(&settings.enrolment, &started.issuer));
}

/// Whether the database was made or opened, in words.
fn beginning(started: &Started) -> Vec<String> {
    let place = &started.place;
    let made = format!("made {place}, a database and signing keys");
    let opened = format!("opened {place}");
    let done = if started.is_new { made } else { opened };
    match &started.master_key {
        Source::NewFile(path) => vec![
            done,
            format!(
                "made the master key {}: keep a copy elsewhere, a backup is worth nothing without it",
                path.display()
            ),
        ],
        Source::File(_) => vec![done],
        Source::Interrupted(_) => {
            vec![format!("{done} and finished an interrupted change of its master key")]
        }
        Source::Environment(variable) => vec![format!("{done}, with the master key in {variable}")],
    }
}

/// Where the server listens, and its issuer if that is different.
fn whereabouts(settings: &Settings, Started { bound, issuer, .. }: &Started) -> String {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let listens = format!("{scheme}://{bound}");
    let called =
        if listens == *issuer { String::new() } else { format!(", clients call it {issuer}") };
    format!("listening on {listens}{called}, enrolment is {}", settings.enrolment)
}

fn warn(settings: &Settings, place: &Place) {
    if !settings.rate_limits.enabled {
        output::remark(
            "WARNING: rate limits are OFF; every client may do everything as often as it likes",
        );
        tracing::warn!("rate limits are off");
    }
    if settings.insecure_http && settings.tls.is_none() {
        output::remark("WARNING: plain HTTP; whoever is in between reads along");
    }
    match place {
        Place::DataDir(path) => warn_of_full_disk(settings, path),
        Place::Postgres(_) => warn_of_own_state(settings),
    }
}

fn warn_of_own_state(settings: &Settings) {
    if settings.cluster.state == Some(StatePlace::Memory) {
        output::remark(
            "WARNING: used proofs, sessions and rate limits are in the memory of this server: where there are \
             several, the load balancer must send each client to the same one, by its Authorization or its \
             address",
        );
    }
}

fn warn_of_full_disk(settings: &Settings, data_dir: &Path) {
    let reserve = settings.limits.disk_reserve_bytes;
    if let Ok(Disk { free_bytes: free, .. }) = Disk::of(data_dir)
        && free < reserve
    {
        output::remark(format!(
            "WARNING: {free} bytes are free on the disk of {}, less than limits.disk_reserve_bytes \
             ({reserve}): nobody can register until there is more",
            data_dir.display()
        ));
        tracing::warn!(free, reserve, "the disk is nearly full: registrations are refused");
    }
}

/// Suggests the next command.
fn first_step(enrolment: &str, issuer: &str) -> String {
    let register = format!("countersign register alice --server {issuer}");
    match enrolment {
        "closed" => "nobody can register: enrolment is closed".to_owned(),
        "invited" => format!("try: countersign admin invite alice, then: {register} --code CODE"),
        _ => format!("try: {register}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(bound: &str, issuer: &str, master_key: Source, is_new: bool) -> Started {
        let bound = bound.parse().unwrap();
        let place = Place::DataDir("data".into());
        Started { bound, issuer: issuer.to_owned(), place, master_key, is_new, web_hash: None }
    }

    #[test]
    fn the_start_says_where_it_listens_and_what_clients_call_it() {
        let settings = Settings::default();
        let key = || Source::File("k".into());
        for alone in ["localhost:8080", "127.0.0.1:8080"] {
            let issuer = format!("http://{alone}");
            assert_eq!(
                whereabouts(&settings, &started(alone, &issuer, key(), false)),
                format!("listening on {issuer}, enrolment is open")
            );
        }
        let behind = started("127.0.0.1:8080", "https://auth.example.com", key(), false);
        assert_eq!(
            whereabouts(&settings, &behind),
            "listening on http://127.0.0.1:8080, clients call it https://auth.example.com, enrolment \
             is open"
        );
    }

    #[test]
    fn what_was_made_is_not_called_opened() {
        let said = |key: Source, is_new| {
            beginning(&started("127.0.0.1:1", "http://a", key, is_new)).concat()
        };
        let environment = Source::Environment("NOT_MY_KEY");
        assert_eq!(
            said(environment.clone(), true),
            "made the data directory data, a database and signing keys, with the master key in \
             NOT_MY_KEY"
        );
        assert_eq!(
            said(environment, false),
            "opened the data directory data, with the master key in NOT_MY_KEY"
        );
        assert_eq!(said(Source::File("k".into()), false), "opened the data directory data");
    }

    #[test]
    fn the_first_step_is_one_that_works() {
        let issuer = "https://auth.example.com";
        let step = |enrolment| first_step(enrolment, issuer);
        assert_eq!(
            step("open"),
            "try: countersign register alice --server https://auth.example.com"
        );
        assert!(step("invited").contains("admin invite alice"), "{}", step("invited"));
        assert!(step("invited").ends_with("--code CODE"), "{}", step("invited"));
        assert!(!step("closed").contains("countersign register"), "{}", step("closed"));
    }
}
