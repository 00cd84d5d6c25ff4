//! What the tests share.

mod key_store;
mod world;

pub(crate) use self::{
    key_store::{CLOCK_TOLERANCE, KeyStore},
    world::{ADDRESS, ISSUER, Login, World, uri},
};
