use std::{
    collections::{HashMap, HashSet},
    sync::Barrier,
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::{ids::AccountId, replay::ShareHolder, test_support::EPOCH};

const START: UnixTime = UnixTime::from_secs(1_700_000_000);

fn entry(number: u64, forget_at: UnixTime) -> ReplayEntry {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    ReplayEntry { digest, forget_at }
}

fn memory(capacity: u64) -> MemoryReplayLog {
    MemoryReplayLog::new(EPOCH, capacity, capacity, RandomState::new())
}

fn owner(number: u8) -> ReplayOwner {
    ReplayOwner::Account(AccountId::from_bytes([number; 16]))
}

fn record(memory: &MemoryReplayLog, entry: ReplayEntry, now: UnixTime) -> Result<(), NotRecorded> {
    let by_time = FoundNew::ByTime(memory.epoch().id);
    memory.record(entry, by_time, owner(1), now).map(|_receipt| ())
}

fn is_used(result: Result<(), NotRecorded>) -> bool {
    matches!(result, Err(NotRecorded::Used))
}

fn is_unavailable(result: Result<(), NotRecorded>) -> bool {
    matches!(result, Err(NotRecorded::Full | NotRecorded::Forgotten))
}

#[test]
fn of_many_threads_exactly_one_gets_the_receipt() {
    let log = memory(1000);
    let end = START + Duration::from_mins(1);
    for round in 0..50 {
        let barrier = Barrier::new(8);
        let attempt = || {
            barrier.wait();
            record(&log, entry(round, end), START).is_ok()
        };
        let receipts: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(attempt)).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!(receipts, 1);
    }
    assert_eq!(log.len(), 50);
}

#[test]
fn a_full_log_refuses_until_something_has_ended() {
    let log = memory(100);
    let end = START + Duration::from_mins(1);
    for number in 0..100 {
        record(&log, entry(number, end), START).unwrap();
    }
    assert!(is_unavailable(record(&log, entry(100, end), START)));
    assert!(is_used(record(&log, entry(7, end), START)));
    assert_eq!(log.len(), 100);

    let later = end + Duration::from_secs(20);
    let next_end = later + Duration::from_mins(1);
    record(&log, entry(100, next_end), later).unwrap();
    assert_eq!(log.len(), 1);
    let no_room = memory(0);
    assert!(is_unavailable(record(&no_room, entry(1, end), START)));
}

#[test]
fn an_entry_is_remembered_to_its_end_and_freed_soon_after() {
    let log = memory(100);
    let end = START + Duration::from_mins(5);
    record(&log, entry(1, end), START).unwrap();
    let just_before = end - Duration::from_millis(1);
    assert!(is_used(record(&log, entry(1, end), just_before)));
    // Two more spans of 16 s, and any call frees it.
    let later = end + Duration::from_secs(32);
    record(&log, entry(2, later + Duration::from_secs(1)), later).unwrap();
    assert_eq!(log.len(), 1);
}

#[test]
fn entries_with_far_ends_need_no_bucket_each() {
    let log = memory(10_000);
    for hours in 1..1000 {
        let mut far = entry(hours << 16, START + Duration::from_hours(hours));
        // All in one shard.
        far.digest[0] = 0;
        record(&log, far, START).unwrap();
        assert!(is_used(record(&log, far, START + Duration::from_mins(30))));
    }
    assert_eq!(lock(&log.shards[0]).buckets.len(), 1);
    record(&log, entry(1, UnixTime::from_millis(u64::MAX)), START).unwrap();
    assert!(is_used(record(&log, entry(1, UnixTime::from_millis(u64::MAX)), START)));
}

#[test]
fn what_was_forgotten_is_refused_when_the_clock_goes_back() {
    let log = memory(100);
    let used = entry(1, START + Duration::from_mins(1));
    record(&log, used, START).unwrap();
    let leap = START + Duration::from_hours(1);
    record(&log, entry(2, leap + Duration::from_mins(1)), leap).unwrap();
    assert!(is_unavailable(record(&log, used, START)));
}

#[test]
fn what_carries_a_nonce_of_a_new_epoch_is_recorded_after_the_clock_was_set_back() {
    let log = memory(100);
    let (end, leap) = (START + Duration::from_mins(1), START + Duration::from_hours(1));
    let with_nonce = |epoch: LogEpoch, number, forget_at, now| {
        let found = FoundNew::ByNonce(epoch.id);
        log.record(entry(number, forget_at), found, owner(1), now).map(|_receipt| ())
    };
    record(&log, entry(1, end), START).unwrap();
    record(&log, entry(2, leap + Duration::from_mins(1)), leap).unwrap();
    let before = log.epoch();
    assert!(is_unavailable(with_nonce(before, 3, end, START)), "it may have been forgotten");
    log.clock_was_set_back(START);
    let after = log.epoch();
    assert_ne!(before.id, after.id);
    assert_eq!(with_nonce(before, 3, end, START), Err(NotRecorded::OtherEpoch));
    with_nonce(after, 3, end, START).unwrap();
    assert!(is_used(with_nonce(after, 3, end, START)));
    for forgotten in [entry(1, end), entry(4, end)] {
        assert!(is_unavailable(record(&log, forgotten, START)), "it may have been used before");
    }
    let kept = leap + Duration::from_mins(1);
    assert!(is_used(with_nonce(after, 2, kept, START)), "nothing was forgotten by that");
    let later = end + Duration::from_secs(20);
    with_nonce(after, 5, later + Duration::from_mins(1), later).unwrap();
    assert!(is_unavailable(with_nonce(after, 3, end, later)), "it has ended");
    assert_eq!(log.len(), 2, "its room was given back");
}

#[test]
fn whoever_sets_the_clock_back_at_the_same_time_all_parts_are_in_the_last_epoch() {
    let log = memory(1000);
    let mut epochs = HashSet::from([log.epoch().id]);
    for round in 1..=50 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| log.clock_was_set_back(START));
            }
        });
        assert!(epochs.insert(log.epoch().id));
        for shard in &log.shards {
            assert_eq!(lock(shard).set_backs, round * 4);
        }
    }
}

/// It began while the clock was ahead, and is recorded after the clock was set right.
#[test]
fn a_late_request_makes_the_log_forget_nothing_of_its_time() {
    let log = memory(1000);
    let ahead = START + Duration::from_hours(1);
    let of_before = FoundNew::ByNonce(log.epoch().id);
    let end = |now: UnixTime| now + Duration::from_mins(1);
    log.record(entry(1, end(ahead)), of_before, owner(1), ahead).map(drop).unwrap();
    log.clock_was_set_back(START);
    let late = log.record(entry(2, end(ahead)), of_before, owner(1), ahead);
    assert!(matches!(late, Err(NotRecorded::OtherEpoch)));
    record(&log, entry(3, end(ahead)), ahead).unwrap();
    let by_nonce = FoundNew::ByNonce(log.epoch().id);
    log.record(entry(4, end(START)), by_nonce, owner(1), START).map(drop).unwrap();
}

#[test]
fn an_owner_beyond_its_share_is_refused_and_nobody_else() {
    let log = MemoryReplayLog::new(EPOCH, 1000, 50, RandomState::new());
    let end = START + Duration::from_mins(1);
    let by_time = FoundNew::ByTime(log.epoch().id);
    let used_by =
        |number, by| log.record(entry(number, end), by_time, owner(by), START).map(|_| ());
    for number in 0..50 {
        used_by(number, 1).unwrap();
    }
    let share = NotRecorded::ShareUsedUp(ReplayShareUsedUp { by: ShareHolder::Account, share: 50 });
    assert_eq!(used_by(50, 1), Err(share));
    assert_eq!(used_by(7, 1), Err(NotRecorded::Used));
    assert_eq!(log.len(), 50, "what is refused takes no room");
    used_by(50, 2).unwrap();

    let later = end + Duration::from_secs(20);
    let next = entry(51, later + Duration::from_mins(1));
    let _: SpentReceipt = log.record(next, by_time, owner(1), later).unwrap();
}

#[test]
fn what_another_memory_recorded_is_used_here_and_counts_against_its_share() {
    let log = MemoryReplayLog::new(EPOCH, 2, 2, RandomState::new());
    let end = START + Duration::from_mins(1);
    for number in [1, 2, 3, 3] {
        log.learn(entry(number, end), owner(1), START);
    }
    assert!(is_used(record(&log, entry(3, end), START)));
    assert!(is_unavailable(record(&log, entry(4, end), START)));
    let roomy = MemoryReplayLog::new(EPOCH, 100, 2, RandomState::new());
    for number in [1, 2] {
        roomy.learn(entry(number, end), owner(1), START);
    }
    let refused = record(&roomy, entry(3, end), START);
    assert!(matches!(refused, Err(NotRecorded::ShareUsedUp(_))));
}

/// One use: how far the clock moves first, in milliseconds, which entry, and for how long it is
/// to be remembered, in seconds.
type Use = (i64, u64, u64);

fn uses(steps: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Use>> {
    proptest::collection::vec((steps, 0..12_u64, 1..400_u64), 1..200)
}

fn moved(now: UnixTime, step: i64) -> UnixTime {
    let by = Duration::from_millis(step.unsigned_abs());
    if step < 0 { now - by } else { now + by }
}

proptest! {
    #[test]
    fn it_agrees_with_a_log_that_forgets_nothing(uses in uses(0..60_000_i64)) {
        let log = memory(1000);
        let mut model = HashMap::<u64, UnixTime>::new();
        let mut now = START;
        for (step, number, seconds) in uses {
            now = moved(now, step);
            let forget_at = now + Duration::from_secs(seconds);
            let result = record(&log, entry(number, forget_at), now);
            match model.get(&number) {
                Some(end) if *end > now => prop_assert!(is_used(result)),
                // It may still be remembered, for the rest of its bucket.
                Some(_) => prop_assert!(result.is_ok() || is_used(result)),
                None => prop_assert!(result.is_ok()),
            }
            if result.is_ok() {
                model.insert(number, forget_at);
            }
        }
    }

    #[test]
    fn nothing_is_accepted_twice_whatever_the_clock_does(uses in uses(-90_000..120_000_i64)) {
        let log = memory(1000);
        let mut accepted = HashSet::new();
        let mut now = START;
        for (step, number, seconds) in uses {
            now = moved(now, step);
            // Few different ends, so that the same entry comes again.
            let forget_at = START + Duration::from_secs(seconds / 100 * 100);
            let again = entry(number, forget_at);
            if record(&log, again, now).is_ok() {
                prop_assert!(accepted.insert(again));
            }
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded(uses in uses(0..60_000_i64)) {
        let log = memory(5);
        let mut now = START;
        for (step, number, seconds) in uses {
            now = moved(now, step);
            let _: Result<_, _> = record(&log, entry(number, now + Duration::from_secs(seconds)), now);
            let held: usize = log
                .shards
                .iter()
                .map(|shard| lock(shard).buckets.values().map(|b| b.keys.len()).sum::<usize>())
                .sum();
            prop_assert!(held <= 5);
            prop_assert_eq!(held as u64, log.len());
        }
    }
}
