//! Keeps other programs from reading the server's memory.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// From now on a crash leaves no image of the memory on the disk, and no program of the same user
/// can read the memory of this process (root still can).
pub(crate) fn keep_memory_private() {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, no_core);
    if let Err(error) = limited.and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
    {
        tracing::warn!(%error, "the memory of this process is not protected from core dumps");
    }
}
