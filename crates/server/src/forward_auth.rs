//! The endpoint for proxies that ask, before they let a request pass to a resource of others,
//! whether it is proven.

pub(crate) mod forwarded;
pub(crate) mod protected_origins;
pub(crate) mod route;
