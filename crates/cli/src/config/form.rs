//! How settings are written outside of the file, where everything is text.

use std::{fmt, path::PathBuf};

use countersign_protocol::Scopes;
use toml::Value;

use super::listen::Listen;

/// How the text of a variable becomes a value.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Flag,
    List,
    Number(Bounds),
    /// A text that no message may show.
    Secret,
    Text,
}

/// The least and the largest value of a number.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) least: i64,
    pub(super) most: i64,
}

impl Bounds {
    pub(super) const fn new(least: i64, most: i64) -> Self {
        Self { least, most }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.least, self.most)
    }
}

impl Kind {
    /// Why the setting `path` cannot be `value`, which is of another type. `reason` is what the reader of
    /// TOML says.
    pub(super) fn refusal(self, path: &str, value: &Value, reason: &str) -> String {
        match self {
            Self::Flag => format!("{path} is true or false, not {value}"),
            Self::List => format!("{path} is a list of texts, not {value}"),
            Self::Number(bounds) => {
                format!("{path} is a whole number, {bounds}{}, not {value}", unit(path))
            }
            Self::Secret => format!("{path} is a text"),
            Self::Text => format!("{path} cannot be {value}: {reason}"),
        }
    }
}

/// The unit of the number at `path`, after a space, as its name says it.
pub(super) fn unit(path: &str) -> &'static str {
    let (section, name) = path.rsplit_once('.').unwrap_or_default();
    let is = |end| name.ends_with(end);
    match section {
        "rate_limits" if name.contains("_kib_") => " KiB a day",
        "rate_limits" if is("_per_day") => " a day",
        "rate_limits" if name.starts_with("keyring_tries") => " an hour",
        "rate_limits" => " a minute",
        _ if is("lifetime") || is("proof_max_age") || is("_seconds") || is("drain_delay") => {
            " seconds"
        }
        _ if is("_hours") => " hours",
        _ if is("_days") => " days",
        _ if is("bytes_per_second") => " bytes a second",
        _ if name.contains("bytes") => " bytes",
        _ if is("_bits") => " bits",
        _ if is("client_share") => " percent",
        _ => "",
    }
}

/// What stands under a name in the file.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Value(Kind),
    /// Settings with names of their own.
    Section(&'static [(&'static str, Form)]),
}

impl Form {
    /// The path of every setting under `path`, and its kind.
    pub(super) fn settings(self, path: &str) -> Vec<(String, Kind)> {
        match self {
            Self::Value(kind) => vec![(path.to_owned(), kind)],
            Self::Section(fields) => {
                let dot = if path.is_empty() { "" } else { "." };
                let fields = fields.iter();
                fields.flat_map(|(name, form)| form.settings(&[path, dot, name].concat())).collect()
            }
        }
    }

    /// The same with bounds, if it is a number.
    pub(super) const fn within(self, least: i64, most: i64) -> Self {
        match self {
            Self::Value(Kind::Number(_)) => Self::Value(Kind::Number(Bounds::new(least, most))),
            Self::Value(Kind::Flag | Kind::List | Kind::Secret | Kind::Text) | Self::Section(_) => {
                self
            }
        }
    }
}

/// The type of a setting, or of a section.
pub(super) trait Setting {
    /// What it is in the file.
    const FORM: Form;

    /// Refuses what is out of its bounds, in the section whose path, with a dot at its end, is `path`.
    fn check(&self, _: &str) -> anyhow::Result<()> {
        Ok(())
    }
}

macro_rules! written {
    ($($kind:expr => $($type:ty),+;)+) => {
        $($(impl Setting for $type { const FORM: Form = Form::Value($kind); })+)+
    };
}

written! {
    Kind::Flag => bool;
    Kind::List => Vec<String>;
    Kind::Number(Bounds::new(0, 0xff)) => u8;
    Kind::Number(Bounds::new(0, 0xffff_ffff)) => u32;
    // TOML has no larger numbers.
    Kind::Number(Bounds::new(0, i64::MAX)) => u64, usize;
    Kind::Text => Listen, PathBuf, Scopes, String;
}

impl<T: Setting> Setting for Option<T> {
    const FORM: Form = T::FORM;
}
