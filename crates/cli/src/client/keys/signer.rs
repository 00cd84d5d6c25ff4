//! Who signs the requests about the keys of an account.

use clap::Args;
use countersign_client::TransportOptions;

use crate::client::{
    actor::{Actor, ActorOptions},
    entry_choice::Naming,
};

#[derive(Args)]
pub(super) struct Signer {
    /// The entry of the keyring to sign with [default: the only one that fits]
    #[arg(long = "as", value_name = "ENTRY")]
    entry: Option<String>,

    #[command(flatten)]
    actor: ActorOptions,
}

impl Signer {
    /// The account and the key to sign with.
    pub(super) async fn open(&self) -> anyhow::Result<Actor> {
        let entry = Naming::Option(self.entry.as_deref());
        self.actor.open(entry, None, TransportOptions::default()).await
    }
}
