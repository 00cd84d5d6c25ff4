//! The kinds of operation whose durations are reported apart.

/// A kind of operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A query.
    Read,
    /// A change, until it is durable.
    Write,
}

impl Operation {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}
