//! The figures, one file for each group.

mod flood;
mod keys;
mod measuring;
mod passkeys;
mod passwords;
mod peers;
mod protected;
mod refusals;
mod registration;
mod scale;
mod token;
mod work;

pub(crate) use self::flood::flood_replay_log;
use crate::{bench::Bench, table::Row};

/// Figures that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// `/v1/whoami` with DPoP, for each algorithm
    Whoami,
    /// `/protected` of signjwt
    Signjwt,
    /// `/oauth/token`
    Token,
    /// `/oauth/token` with a passkey, against one with an assertion
    Passkeys,
    /// Durable registrations
    Registration,
    /// `jwks.json`
    Jwks,
    /// `/auth`, and the others while it is saturated
    Auth,
    /// What is refused cheaply
    Refusals,
    /// The most that one request can cost
    Work,
    /// Memory under floods
    Flood,
    /// Many accounts
    Scale,
    /// Others that do the same; needs --python
    Peers,
}

impl Group {
    /// Measures the figures of this group.
    pub(crate) fn measure(self, bench: &Bench) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Whoami => protected::whoami(bench),
            Self::Signjwt => protected::signjwt(bench),
            Self::Token => token::measure(bench),
            Self::Passkeys => passkeys::measure(bench),
            Self::Registration => registration::measure(bench),
            Self::Jwks => keys::measure(bench),
            Self::Auth => passwords::measure(bench),
            Self::Refusals => refusals::measure(bench),
            Self::Work => work::measure(bench),
            Self::Flood => flood::measure(bench),
            Self::Scale => scale::measure(bench),
            Self::Peers => peers::measure(bench),
        }
    }
}
