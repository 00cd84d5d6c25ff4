//! How settings are written outside of the file, where everything is text.

use std::path::PathBuf;

use countersign_protocol::Scopes;

use super::listen::Listen;

/// How the text of a variable becomes a value.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Flag,
    List,
    Number,
    Text,
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
    ($($kind:ident: $($type:ty),+;)+) => {
        $($(impl Setting for $type { const FORM: Form = Form::Value(Kind::$kind); })+)+
    };
}

written! {
    Flag: bool;
    List: Vec<String>;
    Number: u8, u32, u64, usize;
    Text: Listen, PathBuf, Scopes, String;
}

impl<T: Setting> Setting for Option<T> {
    const FORM: Form = T::FORM;
}
