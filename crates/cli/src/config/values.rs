//! Types of settings that are no plain texts, numbers or lists.

use std::{fmt, path::PathBuf};

use serde::Deserialize;

use super::form::{Form, Kind, Setting};

/// A text that no message shows.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Setting for Secret {
    const FORM: Form = Form::Value(Kind::Secret);
}

/// Certificate chain and private key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSettings {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Setting for TlsSettings {
    const FORM: Form =
        Form::Section(&[("cert", <PathBuf as Setting>::FORM), ("key", <PathBuf as Setting>::FORM)]);
}

/// Where short-lived state is: used proofs, limits, sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatePlace {
    /// In the memory of each server, for itself.
    Memory,
    /// In the PostgreSQL database, for all servers together.
    Postgres,
}

impl StatePlace {
    /// As the setting names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Postgres => "postgres",
        }
    }
}

impl Setting for StatePlace {
    const FORM: Form = Form::Value(Kind::Text);
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Setting for LogFormat {
    const FORM: Form = Form::Value(Kind::Text);
}
