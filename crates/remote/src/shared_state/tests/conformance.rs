//! The processes of one machine keep every rule for replay logs.

use std::sync::Arc;

use countersign_guard::ports::{Recording, ReplayLog};
use countersign_protocol::{ReplayEntry, UnixTime, replay::ReplayOwner};
use countersign_testkit::state_conformance::CAPACITY;

use super::{Machine, Room, Shared};

/// A process, and the machine for as long as it runs.
struct Process(Shared, #[expect(dead_code, reason = "held")] Arc<Machine>);

impl ReplayLog for Process {
    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        self.0.check_and_insert(entry, owner, now)
    }
}

/// Two openings of one file.
async fn fresh() -> [Arc<dyn ReplayLog>; 2] {
    let room = Room { entries: CAPACITY.used, share: CAPACITY.used_share };
    let machine = Arc::new(Machine { room, ..Machine::new() });
    [0, 1].map(|_| Arc::new(Process(machine.process(), Arc::clone(&machine))) as _)
}

countersign_testkit::replay_log_conformance!(fresh);
countersign_testkit::replay_share_conformance!(fresh);
