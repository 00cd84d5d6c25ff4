//! A store: the rules, over an engine.

use std::ops::Deref;

/// The durable store over one engine.
pub struct Stored<E> {
    engine: E,
}

impl<E> Stored<E> {
    /// The store over `engine`.
    pub(crate) const fn over(engine: E) -> Self {
        Self { engine }
    }
}

impl<E> Deref for Stored<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.engine
    }
}
