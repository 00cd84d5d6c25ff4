//! The names of problem types (RFC 9457 §3.1.1), which servers and guards write and clients compare.

/// What every problem type of this product begins with. They never change, so what comes before the
/// name is an address of the project and not of a server. Nothing needs to be fetched from it.
pub const TYPES: &str = "https://github.com/countersign/countersign/problems/";

/// The type that is called `name`.
pub fn type_uri(name: &str) -> String {
    [TYPES, name].concat()
}
