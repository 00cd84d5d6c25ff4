//! The processes of one machine keep every rule for replay logs.

use std::{fs::File, sync::Arc};

use countersign_guard::ports::{Recording, ReplayLog};
use countersign_protocol::{
    ReplayEntry, UnixTime,
    replay::{FoundNew, LogEpoch, ReplayOwner},
};
use countersign_testkit::state_conformance::{
    CAPACITY, replay_epochs::ForgettingLogs,
    replay_outages::a_log_that_is_away_says_so_and_knows_its_epoch,
};

use super::{Machine, Room, Shared};

/// A process, and the machine for as long as it runs.
struct Process(Shared, #[expect(dead_code, reason = "held")] Arc<Machine>);

impl ReplayLog for Process {
    fn epoch(&self) -> LogEpoch {
        ReplayLog::epoch(&self.0)
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        self.0.check_and_insert(entry, found, owner, now)
    }
}

/// Two openings of one file of `machine`.
fn processes(machine: &Arc<Machine>) -> [Arc<dyn ReplayLog>; 2] {
    [0, 1].map(|_| Arc::new(Process(machine.process(), Arc::clone(machine))) as _)
}

fn machine() -> Arc<Machine> {
    let room = Room { entries: CAPACITY.used, share: CAPACITY.used_share };
    Arc::new(Machine { room, ..Machine::new() })
}

async fn fresh() -> [Arc<dyn ReplayLog>; 2] {
    processes(&machine())
}

/// The same, with a file that can be emptied.
async fn forgetting() -> ForgettingLogs {
    let machine = machine();
    let logs = processes(&machine);
    ForgettingLogs { logs, forget: Arc::new(move || drop(File::create(machine.file()).unwrap())) }
}

countersign_testkit::replay_log_conformance!(fresh);
countersign_testkit::replay_epoch_conformance!(forgetting);
countersign_testkit::replay_share_conformance!(fresh);

#[tokio::test(start_paused = true)]
async fn while_a_stopped_process_holds_the_lock_the_log_says_that_it_is_away() {
    let machine = machine();
    let logs = processes(&machine);
    let stopped = File::open(machine.file()).unwrap();
    stopped.lock().unwrap();
    a_log_that_is_away_says_so_and_knows_its_epoch(logs).await;
}
