//! Arguments that several commands take.

use clap::Args;
use countersign_protocol::Scopes;

/// How many entries of a list to show.
#[derive(Args)]
pub(super) struct Limit {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Limit {
    /// One more than wanted, to see whether there are more.
    pub(super) const fn and_one(&self) -> u32 {
        self.limit.saturating_add(1)
    }

    /// Cuts `items` to the wanted number, and says whether there were more.
    pub(super) fn cut<T>(&self, items: &mut Vec<T>) -> bool {
        let limit = self.limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        more
    }
}

/// The union of the sets that the command line gives.
pub(super) fn union(scopes: &[Scopes]) -> anyhow::Result<Scopes> {
    let empty = Scopes::none();
    Ok(scopes.iter().try_fold(empty, |all, scopes| all.union(scopes))?)
}
