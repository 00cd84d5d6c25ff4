//! State in memory keeps every rule for short-lived state.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use countersign_authority::ports::State;
use countersign_memory::Capacity;
use countersign_testkit::state_conformance::CAPACITY;

/// Two handles on one state: what is in memory is shared by reference.
async fn fresh() -> [State; 2] {
    let usize = |number: u64| usize::try_from(number).unwrap();
    let state = countersign_memory::state(&Capacity {
        limited: usize(CAPACITY.limited),
        used_proofs: CAPACITY.used,
        used_proofs_share: CAPACITY.used_share,
        sessions: usize(CAPACITY.sessions),
        sessions_share: usize(CAPACITY.sessions_share),
    });
    [state.clone(), state]
}

countersign_testkit::state_conformance!(fresh);
