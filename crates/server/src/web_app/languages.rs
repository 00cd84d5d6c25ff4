//! The texts of the app in its languages: `web/lang/TAG.js`, and `web/lang/TAG/PART.js` for texts that
//! only some pages need.

use std::{collections::BTreeMap, iter};

use countersign_protocol::strict::json;
use serde_json::Value;

/// The texts of one language, by their keys.
pub(super) struct Language {
    /// The language's tag (RFC 5646), such as `de`.
    pub(super) tag: String,
    /// All texts, whichever file they are in.
    pub(super) texts: BTreeMap<String, String>,
    /// The names of the files with texts that only some pages need, without directory and ending.
    parts: Vec<String>,
}

/// The language in which the app speaks to clients that ask for none of the others.
pub(super) const DEFAULT: &str = "en";

/// The key of the text `ltr` or `rtl`.
const DIRECTION: &str = "language.direction";

/// What is wrong with a file of texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LanguageError {
    /// Around the texts stands something else than `export default` and comments.
    #[error(
        "a language is `export default {{`, texts as strict JSON, `}};`, below comments of whole lines"
    )]
    Form,
    /// The texts are no JSON, or a key is there twice.
    #[error("the texts are not strict JSON: {0}")]
    Json(String),
    /// Two files of one language have the same key.
    #[error("{0:?} is in another file of this language too")]
    Twice(String),
    /// A value is not a text.
    #[error("{0:?} is not a text")]
    NotText(String),
    /// The text is missing, or says something else.
    #[error("language.direction is \"ltr\" or \"rtl\"")]
    Direction,
}

impl Language {
    /// Reads `web/lang/TAG.js`.
    ///
    /// # Errors
    /// A text that is not such a module.
    pub(super) fn parse(tag: &str, text: &str) -> Result<Self, LanguageError> {
        let language = Self { tag: tag.to_owned(), texts: texts(text)?, parts: Vec::new() };
        let direction = language.direction();
        let is_known = direction == "ltr" || direction == "rtl";
        if is_known { Ok(language) } else { Err(LanguageError::Direction) }
    }

    /// Adds the texts of `web/lang/TAG/PART.js`.
    ///
    /// # Errors
    /// A text that is not such a module, or a key that the language has already.
    pub(super) fn add(&mut self, part: &str, text: &str) -> Result<(), LanguageError> {
        for (key, text) in texts(text)? {
            if self.texts.contains_key(&key) {
                return Err(LanguageError::Twice(key));
            }
            self.texts.insert(key, text);
        }
        self.parts.push(part.to_owned());
        Ok(())
    }

    /// The files with the texts of a page that has these modules. The texts of a part are for pages with
    /// modules of `js/lib/PART/`.
    pub(super) fn files(&self, modules: &[String]) -> Vec<String> {
        let is_needed = |part: &&String| {
            let directory = ["js/lib/", part, "/"].concat();
            modules.iter().any(|module| module.starts_with(&directory))
        };
        let parts = self.parts.iter().filter(is_needed);
        let parts = parts.map(|part| format!("lang/{}/{part}.js", self.tag));
        iter::once(format!("lang/{}.js", self.tag)).chain(parts).collect()
    }

    /// `ltr` or `rtl`: the direction in which it is written.
    pub(super) fn direction(&self) -> &str {
        self.texts.get(DIRECTION).map_or("", String::as_str)
    }
}

/// The texts of a module that has nothing else, by their keys.
fn texts(text: &str) -> Result<BTreeMap<String, String>, LanguageError> {
    let mut body = text.trim();
    while body.starts_with("//") {
        body = body.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    let object = body.strip_prefix("export default").and_then(|body| body.strip_suffix(';'));
    let object = object.ok_or(LanguageError::Form)?.trim();
    let object = json::parse_object(object.as_bytes())
        .map_err(|error| LanguageError::Json(error.to_string()))?;
    let texts = object.into_iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        _ => Err(LanguageError::NotText(key)),
    });
    texts.collect()
}
