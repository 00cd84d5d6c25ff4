//! What the tests share.

mod key_store;
mod world;

pub(crate) use self::{
    key_store::KeyStore,
    world::{ADDRESS, ISSUER, Login, World, uri},
};
