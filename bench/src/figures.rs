//! The figures, one file for each group.

mod before;
mod engines;
mod flood;
mod keys;
mod measuring;
mod passkeys;
mod passwords;
mod peers;
mod population;
mod protected;
mod refusals;
mod registration;
mod scale;
mod shared_scale;
mod token;
mod turns;
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
    /// PostgreSQL against SQLite; needs --postgres
    Engines,
    /// Many accounts on PostgreSQL; needs --postgres
    SharedScale,
    /// An earlier version; needs --before
    Before,
    /// Others that do the same; needs --python
    Peers,
}

impl Group {
    /// Whether everything is there that it needs.
    pub(crate) fn can_be_measured(self, bench: &Bench) -> bool {
        match self {
            Self::Engines | Self::SharedScale => bench.postgres.is_some(),
            Self::Before => bench.before.is_some(),
            Self::Peers => bench.python.is_some(),
            _ => true,
        }
    }

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
            Self::Engines => engines::measure(bench),
            Self::SharedScale => shared_scale::measure(bench),
            Self::Before => before::measure(bench),
            Self::Peers => peers::measure(bench),
        }
    }
}
