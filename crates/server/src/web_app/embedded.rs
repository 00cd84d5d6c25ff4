//! The files of `web/` as they were when this binary was built.

/// Their names, sorted, and their contents.
pub(super) const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/web_files.rs"));
