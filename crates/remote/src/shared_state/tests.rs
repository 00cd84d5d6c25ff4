//! Several of them in one directory stand for several processes: each opens the file itself.

mod conformance;
mod machine;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::unix::fs::{FileExt as _, PermissionsExt as _, symlink},
    path::Path,
    sync::atomic::AtomicUsize,
};

use countersign_protocol::AccountId;
use countersign_testkit::samples::NOW;

use self::machine::Machine;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

const ALICE: ReplayOwner = ReplayOwner::Account(AccountId::from_bytes([1; 16]));

fn by_alice(entry: ReplayEntry) -> Record {
    Record { entry, owner: ALICE }
}

/// What the process finds to be new in the epoch that it knows of.
fn found(process: &Shared) -> FoundNew {
    FoundNew::ByNonce(ReplayLog::epoch(process).id)
}

/// Uses `entry`, found to be new just now.
fn spend(process: &Shared, entry: ReplayEntry, now: UnixTime) -> Result<SpentReceipt, Trouble> {
    process.record(by_alice(entry), found(process), now)
}

fn used(result: Result<SpentReceipt, Trouble>) -> Result<(), String> {
    result.map(|_receipt| ()).map_err(|error| error.to_string())
}

fn is(result: Result<SpentReceipt, Trouble>, error: &Trouble) -> bool {
    used(result) == Err(error.to_string())
}

#[test]
fn what_one_process_has_used_another_refuses() {
    let machine = Machine::new();
    let [one, other] = [machine.process(), machine.process()];
    let entry = machine.entry(1);
    used(spend(&one, entry, machine.now())).unwrap();
    for process in [&other, &one, &machine.process()] {
        assert!(is(spend(process, entry, machine.now()), &Trouble::Used));
    }
    used(spend(&other, machine.entry(2), machine.now())).unwrap();
    assert!(is(spend(&one, machine.entry(2), machine.now()), &Trouble::Used));
}

#[test]
fn the_nonces_of_one_process_are_known_to_another_and_to_the_next() {
    let machine = Machine::new();
    let one = machine.process();
    let nonce = one.issue(machine.now());
    let other = machine.process();
    assert!(other.epoch_of(&nonce, machine.now()).is_some());
    assert!(one.epoch_of(&other.issue(machine.now()), machine.now()).is_some());
    drop((one, other));
    machine.clock.advance(SECOND);
    let next = machine.process();
    assert!(next.epoch_of(&nonce, machine.now()).is_some());
    assert_eq!(
        ReplayLog::epoch(&next).since,
        NOW,
        "it remembers what was used before it was started"
    );
}

#[test]
fn of_many_threads_and_processes_exactly_one_may_use_a_proof() {
    let machine = Machine::new();
    let processes: Vec<Shared> = (0..4).map(|_| machine.process()).collect();
    let accepted = AtomicUsize::new(0);
    thread::scope(|scope| {
        for process in processes.iter().flat_map(|process| [process, process]) {
            scope.spawn(|| {
                for number in 0..200 {
                    loop {
                        match spend(process, machine.entry(number), machine.now()) {
                            Ok(_receipt) => accepted.fetch_add(1, Relaxed),
                            Err(Trouble::Busy) => {
                                thread::yield_now();
                                continue;
                            }
                            Err(Trouble::Used) => 0,
                            Err(error) => panic!("{error}"),
                        };
                        break;
                    }
                }
            });
        }
    });
    assert_eq!(accepted.into_inner(), 200);
}

#[tokio::test(start_paused = true)]
async fn while_a_stopped_process_holds_the_lock_requests_are_refused() {
    let machine = Machine::new();
    let process = machine.process();
    let stopped = File::open(machine.file()).unwrap();
    stopped.lock().unwrap();
    let refused =
        process.check_and_insert(machine.entry(1), found(&process), ALICE, machine.now()).await;
    assert!(matches!(refused.unwrap_err(), ReplayError::Unavailable(_)));
    stopped.unlock().unwrap();
    let _: SpentReceipt = process
        .check_and_insert(machine.entry(1), found(&process), ALICE, machine.now())
        .await
        .unwrap();
}

#[test]
fn a_process_starts_while_a_stopped_one_holds_the_lock() {
    let machine = Machine::new();
    let first = machine.process();
    let stopped = File::open(machine.file()).unwrap();
    stopped.lock().unwrap();
    let second = machine.process();
    stopped.unlock().unwrap();
    assert!(second.epoch_of(&first.issue(machine.now()), machine.now()).is_some());
    used(spend(&second, machine.entry(1), machine.now())).unwrap();
}

/// Destroys the memory of two processes in some way: nothing that was used works again, both go on
/// together, and that with at most one repetition of a request.
fn nothing_works_again_after(destroy: impl FnOnce(&Machine)) {
    let machine = Machine::new();
    let [one, other] = [machine.process(), machine.process()];
    let (entry, nonce) = (machine.entry(1), one.issue(machine.now()));
    let found_before = found(&other);
    used(spend(&one, entry, machine.now())).unwrap();
    destroy(&machine);
    machine.clock.advance(SECOND);
    while !other.look() {}
    // A request that began before and is still on its way.
    let on_its_way = other.record(by_alice(entry), found_before, machine.now());
    assert!(is(on_its_way, &Trouble::BegunAnew));
    assert!(other.epoch_of(&nonce, machine.now()).is_none());
    let fresh = other.issue(machine.now());
    used(spend(&other, machine.entry(2), machine.now())).unwrap();
    assert_eq!(ReplayLog::epoch(&other).since, NOW + SECOND);
    while !one.look() {}
    assert!(one.epoch_of(&fresh, machine.now()).is_some());
    assert!(one.epoch_of(&nonce, machine.now()).is_none());
    assert!(one.epoch_of(&one.issue(machine.now()), machine.now()).is_some());
    machine.clock.advance(SECOND);
    assert!(is(spend(&one, machine.entry(2), machine.now()), &Trouble::Used));
}

#[test]
fn nothing_works_again_after_the_directory_was_removed() {
    nothing_works_again_after(|machine| fs::remove_dir_all(&machine.path).unwrap());
}

#[test]
fn nothing_works_again_after_the_file_was_replaced_by_a_copy() {
    nothing_works_again_after(|machine| {
        let copy = machine.path.join("copy");
        fs::copy(machine.file(), &copy).unwrap();
        fs::rename(copy, machine.file()).unwrap();
    });
}

#[test]
fn nothing_works_again_after_the_file_was_emptied() {
    nothing_works_again_after(|machine| {
        File::create(machine.file()).unwrap();
    });
}

#[test]
fn nothing_works_again_after_the_file_was_cut_off() {
    nothing_works_again_after(|machine| {
        let length = machine.length();
        OpenOptions::new().write(true).open(machine.file()).unwrap().set_len(length - 1).unwrap();
    });
}

#[test]
fn a_record_that_nobody_wrote_makes_all_begin_anew() {
    let machine = Machine::new();
    let [one, other] = [machine.process(), machine.process()];
    let entry = machine.entry(1);
    used(spend(&one, entry, machine.now())).unwrap();
    let file = OpenOptions::new().write(true).open(machine.file()).unwrap();
    file.write_all_at(&[0; 64], machine.length() - 64).unwrap();
    let nonce = one.issue(machine.now());
    assert!(is(spend(&other, entry, machine.now()), &Trouble::BegunAnew));
    assert!(other.epoch_of(&nonce, machine.now()).is_none());
}

#[test]
fn an_entry_that_a_dying_process_left_unfinished_does_not_count() {
    let machine = Machine::new();
    let [one, other] = [machine.process(), machine.process()];
    used(spend(&one, machine.entry(1), machine.now())).unwrap();
    // It died after half of the entry, before the place was moved on.
    let file = OpenOptions::new().write(true).open(machine.file()).unwrap();
    file.write_all_at(&[0xff; 30], machine.length()).unwrap();
    let nonce = one.issue(machine.now());
    used(spend(&other, machine.entry(2), machine.now())).unwrap();
    assert!(other.epoch_of(&nonce, machine.now()).is_some());
    assert!(is(spend(&one, machine.entry(2), machine.now()), &Trouble::Used));
    assert!(is(spend(&one, machine.entry(1), machine.now()), &Trouble::Used));
}

#[test]
fn after_a_start_of_the_machine_the_nonces_of_before_are_unknown() {
    let mut machine = Machine::new();
    let before = machine.process();
    let nonce = before.issue(machine.now());
    drop(before);
    machine.boot_id = [2; 16];
    machine.clock.advance(SECOND);
    let after = machine.process();
    assert!(after.epoch_of(&nonce, machine.now()).is_none());
    assert_eq!(ReplayLog::epoch(&after).since, machine.now());
}

#[test]
fn the_file_is_as_long_as_there_are_entries_that_have_not_ended() {
    let machine = Machine::new();
    let [one, other] = [machine.process(), machine.process()];
    let mut longest = 0;
    for number in 0..2_000 {
        let entry = machine.entry(number);
        used(spend(&one, entry, machine.now())).unwrap();
        if number % 7 == 0 {
            assert!(is(spend(&other, entry, machine.now()), &Trouble::Used));
        }
        if number % 10 == 0 {
            let late = machine.entry_for(1_000_000 + number, 3 * MINUTE);
            used(spend(&other, late, machine.now())).unwrap();
            assert!(is(spend(&one, late, machine.now()), &Trouble::Used));
        }
        machine.clock.advance(SECOND);
        longest = longest.max(machine.length());
    }
    assert!(longest < 64 * 200, "60 and 18 of them have not ended at any time: {longest}");
    machine.clock.advance(4 * MINUTE);
    used(spend(&other, machine.entry(9_999_999), machine.now())).unwrap();
    assert_eq!(machine.length(), 192 + 64, "it gives memory back");
    assert!(is(spend(&one, machine.entry(9_999_999), machine.now()), &Trouble::Used));
}

#[test]
fn who_missed_a_whole_lap_reads_all_that_has_not_ended() {
    let machine = Machine::new();
    let [one, late] = [machine.process(), machine.process()];
    used(spend(&late, machine.entry(0), machine.now())).unwrap();
    for number in 1..400 {
        machine.clock.advance(SECOND);
        used(spend(&one, machine.entry(number), machine.now())).unwrap();
        if number % 97 == 0 {
            for known in (number - 50)..=number {
                assert!(is(spend(&late, machine.entry(known), machine.now()), &Trouble::Used));
            }
        }
    }
}

#[test]
fn a_full_file_refuses_until_an_entry_has_ended() {
    let machine = Machine { room: Room { entries: 10, share: 10 }, ..Machine::new() };
    let process = machine.process();
    for number in 0..10 {
        used(spend(&process, machine.entry(number), machine.now())).unwrap();
    }
    assert!(is(spend(&process, machine.entry(10), machine.now()), &Trouble::Full(10)));
    machine.clock.advance(2 * MINUTE);
    used(spend(&process, machine.entry(10), machine.now())).unwrap();
}

#[test]
fn a_share_counts_what_was_used_at_every_process() {
    let machine = Machine { room: Room { entries: 100, share: 10 }, ..Machine::new() };
    let processes = [machine.process(), machine.process()];
    for number in 0..10 {
        let process = &processes[usize::from(number % 2 == 1)];
        used(spend(process, machine.entry(number), machine.now())).unwrap();
    }
    for process in &processes {
        let refused = spend(process, machine.entry(10), machine.now());
        assert!(matches!(refused, Err(Trouble::ShareUsedUp(_))));
        let owner = ReplayOwner::Account(AccountId::from_bytes([2; 16]));
        let number = 20 + u64::from(std::ptr::eq(process, &raw const processes[0]));
        let entry = machine.entry(number);
        used(process.record(Record { entry, owner }, found(process), machine.now())).unwrap();
    }
}

#[test]
fn what_was_overwritten_is_refused_when_the_clock_goes_back() {
    let machine = Machine::new();
    let process = machine.process();
    let entry = machine.entry(1);
    used(spend(&process, entry, machine.now())).unwrap();
    machine.clock.advance(2 * MINUTE);
    used(spend(&process, machine.entry(2), machine.now())).unwrap();
    let next = machine.process();
    assert!(is(spend(&next, entry, NOW), &Trouble::Forgotten));
}

#[test]
fn a_secret_of_several_machines_makes_their_nonces_known() {
    let secret: &[u8] = &[7; 32];
    let (here, there) = (Machine::new(), Machine::new());
    let [one, other] = [&here, &there].map(|machine| machine.try_process(Some(secret)).unwrap());
    here.clock.advance(SECOND);
    there.clock.advance(SECOND);
    assert!(one.epoch_of(&other.issue(there.now()), here.now()).is_some());
    // What was used here is forgotten, so the nonces of then are too.
    let nonce = one.issue(here.now());
    fs::remove_dir_all(&here.path).unwrap();
    here.clock.advance(SECOND);
    let next = here.try_process(Some(secret)).unwrap();
    assert!(next.epoch_of(&nonce, here.now()).is_none());
    assert!(other.epoch_of(&nonce, here.now()).is_some());
}

#[test]
fn a_look_at_a_directory_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new");
    look_at(&new).unwrap();
    assert!(!new.exists());
    let deeper = look_at(&new.join("deeper")).unwrap_err();
    assert!(matches!(deeper, SharedStateError::Io { .. }), "{deeper}");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = look_at(&file).unwrap_err();
    assert!(matches!(refused, SharedStateError::NotADirectory { .. }), "{refused}");
}

#[test]
fn a_directory_that_others_could_change_is_refused() {
    let machine = Machine::new();
    drop(machine.process());
    fs::set_permissions(&machine.path, Permissions::from_mode(0o777)).unwrap();
    let refused = machine.try_process(None).err().unwrap();
    assert!(matches!(refused, SharedStateError::WritableByOthers { .. }), "{refused}");
    assert!(!refused.to_string().contains("chmod"), "the directory may be one of the system");
    let refused = look_at(&machine.path).unwrap_err();
    assert!(matches!(refused, SharedStateError::WritableByOthers { .. }), "{refused}");
    fs::set_permissions(&machine.path, Permissions::from_mode(0o755)).unwrap();
    drop(machine.process());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&machine.file()), 0o600);

    let elsewhere = machine.temporary.path().join("elsewhere");
    fs::rename(&machine.path, &elsewhere).unwrap();
    symlink(elsewhere, &machine.path).unwrap();
    let refused = machine.try_process(None).err().unwrap();
    assert!(matches!(refused, SharedStateError::NotADirectory { .. }), "{refused}");
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let found = fs::metadata("/proc/self").unwrap();
    directory::check(Path::new("x"), &found).unwrap();
    let foreign = directory::check_owner(Path::new("/dev/shm/x"), 1001, 1000).unwrap_err();
    assert!(foreign.to_string().contains("belongs to user 1001"), "{foreign}");
}
