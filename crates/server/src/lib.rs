//! The HTTP surface of Countersign.
//!
//! `state` is what the handlers share and knows none of them, `router` puts everything together and
//! stands on top, and what lies between are `routes`, `forward_auth` and `dialects` (the endpoints),
//! `layers` (around every request), `http` (reading requests, writing answers) and `transport`
//! (connections). `web_app` is what people see in a browser.

mod dialects;
mod forward_auth;
mod guard_ports;
mod http;
mod layers;
mod metrics;
mod router;
mod routes;
mod state;
mod transport;
mod web_app;

pub use self::{
    dialects::switches::Dialects,
    http::address::{ForwardedHeader, InvalidProxy, PeerAddress, TrustedProxies, UnknownHeader},
    layers::{
        access_log::AccessLog,
        cors::{CorsOrigins, InvalidOrigin},
        limits::RequestLimits,
    },
    metrics::Metrics,
    router::router,
    state::{App, Settings, Shared},
    transport::{
        hosts::KnownHosts,
        limits::ConnectionLimits,
        listen::{ServeError, serve},
        listeners::Listeners,
        tls::{ServerTls, TlsError, TlsFiles},
    },
    web_app::{ImportError, LanguageError, ShellError, WebFiles, WebFilesError},
};
