//! Who acts on the database directly.

/// The administrator who acts on the database directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// The name that was given, and the user of the system: `erika (uid 0)`.
    pub name: String,
    /// Why, in the administrator's words.
    pub reason: Option<String>,
}
