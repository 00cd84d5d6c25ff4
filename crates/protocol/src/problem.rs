//! The names of problem types (RFC 9457 §3.1.1), which servers and guards write and clients compare.

/// The prefix of every problem type of this product. It is an address of the project, not of a
/// server, so that types never change. Nothing needs to be fetched from it.
pub const TYPES: &str = "https://github.com/countersign/countersign/problems/";

/// The type that is called `name`.
pub fn type_uri(name: &str) -> String {
    [TYPES, name].concat()
}
