//! The line between what was parsed and what was proven.

/// Something that was parsed but whose signature nobody has checked.
///
/// The content is reachable only through methods of the concrete `Unverified<…>`, which expose what
/// one needs to find the key and nothing else; only a `verify` function takes it out.
#[derive(Debug)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// Wraps freshly parsed content.
    pub(crate) const fn new(content: T) -> Self {
        Self(content)
    }

    /// A look inside, for the methods of concrete `Unverified<…>` and for `verify` functions.
    pub(crate) const fn content(&self) -> &T {
        &self.0
    }

    /// The content, for `verify` functions that have just verified it.
    pub(crate) fn into_verified(self) -> T {
        self.0
    }
}
