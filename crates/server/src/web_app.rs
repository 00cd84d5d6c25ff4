//! The account app: the files of `web/`, checked, and its pages, filled in.
//!
//! There is no build step. The files are served as they lie in the repository, below a path that has
//! their hash in it. A page is a file of `web/pages` whose placeholders are filled at the start, once
//! for each language. `web/README.md` says what a file may contain.

mod accept;
mod embedded;
mod encoded;
mod files;
mod languages;
mod listing;
mod media_types;
mod modules;
mod shell;
mod site;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    accept::{accepts_gzip, preferred},
    encoded::Encoded,
    site::{Document, PasskeysHere, ServedFile, Site},
};
pub use self::{
    files::{WebFiles, WebFilesError},
    languages::LanguageError,
    modules::ImportError,
    shell::ShellError,
};
