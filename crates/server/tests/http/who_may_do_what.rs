//! Who may do what: every operation is tried with every kind of proof and every kind of token, and
//! what the server answers is the tables in `docs/who-may-do-what.md`.
//!
//! `COUNTERSIGN_WRITE_DOCS=1` writes the tables anew. Whoever does that reads what has changed.

mod bearers;
mod keyrings;
mod operations;

use std::{fmt::Write as _, path::Path};

use serde_json::Value;

use self::{bearers::Bearer, operations::Operation};
use crate::support::Answer;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/who-may-do-what.md");

/// What stands before each table in the document, and its operations, in the order of the document.
const TABLES: [(&str, &[Operation]); 2] = [
    ("<!-- The table is written by a test; see below. -->\n", Operation::ON_ACCOUNT),
    ("<!-- The table of the keyring is written by the same test. -->\n", Operation::ON_KEYRING),
];
const END: &str = "<!-- The end of the table. -->\n";

#[tokio::test]
async fn the_tables_of_who_may_do_what_say_what_the_server_does() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (mut found, mut rest) = (String::new(), &*document);
    for (begin, operations) in TABLES {
        let (before, table_and_rest) = rest.split_once(begin).unwrap();
        let (_, after) = table_and_rest.split_once(END).unwrap();
        let _ = write!(found, "{before}{begin}{}{END}", table(operations).await);
        rest = after;
    }
    found.push_str(rest);
    if std::env::var_os("COUNTERSIGN_WRITE_DOCS").is_some() {
        std::fs::write(Path::new(DOCUMENT), found).unwrap();
        return;
    }
    let differing = found.lines().zip(document.lines()).find(|(found, written)| found != written);
    assert_eq!(document, found, "the first line that differs: {differing:#?}");
}

#[tokio::test]
async fn keys_change_only_by_a_signature_of_a_live_key_over_the_request() {
    for bearer in Bearer::ALL {
        let mut client = bearer.start().await;
        for operation in Operation::ON_KEYS {
            let allowed = client.try_to(*operation).await.status < 300;
            assert_eq!(allowed, bearer.may(*operation), "{}: {}", bearer.name(), operation.name());
        }
    }
}

/// The answers, as a table of Markdown with one line for each bearer.
async fn table(operations: &[Operation]) -> String {
    let mut table = String::from("\n| proof | token |");
    for operation in operations {
        let _ = write!(table, " {} |", operation.name());
    }
    table.push_str("\n|---|---|");
    table.extend(operations.iter().map(|_| "---|"));
    table.push('\n');
    for bearer in Bearer::ALL {
        let mut client = bearer.start().await;
        let _ = write!(table, "| {} |", bearer.name());
        for operation in operations {
            let answer = client.try_to(*operation).await;
            let _ = write!(table, " {} |", cell(&answer));
        }
        table.push('\n');
    }
    table.push('\n');
    table
}

/// The status, and for a refusal the shortest name of its reason.
fn cell(answer: &Answer) -> String {
    if answer.status < 300 {
        return format!("**{}**", answer.status);
    }
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let problem = body["type"].as_str().and_then(|uri| uri.rsplit('/').next());
    let told = answer.headers.get("www-authenticate").and_then(|value| value.to_str().ok());
    let told = told.and_then(|told| told.split("error=\"").nth(1)?.split('"').next());
    let reason = body["lack"].as_str().or(body["error"].as_str()).or(told).or(problem);
    format!("{} {}", answer.status, reason.unwrap_or_default())
}
