//! The rules that every engine of short-lived state must keep, as tests that any of them can run.
//!
//! An engine says how to make fresh, empty state with the room of [`CAPACITY`], gives two handles on
//! it, as two nodes would have them, and calls the macro:
//!
//! ```text
//! async fn fresh() -> [State; 2] { ... }
//! countersign_testkit::state_conformance!(fresh);
//! ```
//!
//! which makes one `#[tokio::test]` of each rule; the calling crate needs `tokio` with its macros.
//! What is a replay log alone calls `replay_log_conformance!` with a function that returns two
//! handles on it, in an array. `replay_share_conformance!` is for two handles that count together, as those of
//! one node do.

use std::time::Duration;

pub use countersign_protocol::ports::ReplayLog;

pub mod rate_limiter;
pub mod recent_numbers;
pub mod replay_epochs;
pub mod replay_log;
pub mod replay_outages;
pub mod replay_shares;
pub mod session_nonces;
pub mod window_limiter;

/// How much there is room for.
pub struct Capacity {
    /// Used values.
    pub used: u64,
    /// Used values of one owner.
    pub used_share: u64,
    /// Sessions.
    pub sessions: u64,
    /// Sessions of one client network.
    pub sessions_share: u64,
    /// Keys of each limiter.
    pub limited: u64,
}

/// The room that the rules expect.
pub const CAPACITY: Capacity =
    Capacity { used: 200, used_share: 20, sessions: 3_200, sessions_share: 5, limited: 1_000 };

/// A moment of the monotonic clock.
const MONOTONIC: Duration = Duration::from_hours(1);

/// Makes a test of every rule, against the state that the async function `$fresh` returns.
#[macro_export]
macro_rules! state_conformance {
    ($fresh:path) => {
        mod replay_logs {
            use super::*;
            async fn logs() -> [std::sync::Arc<dyn $crate::state_conformance::ReplayLog>; 2] {
                $fresh().await.map(|state| state.replay_log)
            }
            $crate::replay_log_conformance!(logs);
        }
        $crate::state_conformance! { @modules $fresh;
            rate_limiter {
                a_burst_is_allowed_and_then_one_per_interval
                an_allowance_of_none_allows_nothing
                limits_and_keys_are_counted_apart
                no_more_than_the_burst_pass_of_many_at_once
                refusals_cost_nothing
                what_costs_more_takes_more_or_nothing
                what_is_given_back_is_there_again
            }
            recent_numbers {
                a_flood_of_networks_pushes_out_no_number
                no_number_is_lost_when_many_are_asked_for_at_once
                the_latest_numbers_of_each_client_are_remembered
            }
            session_nonces {
                a_network_beyond_its_share_gets_no_session_and_takes_nobody_elses
                a_new_nonce_takes_the_place_of_the_one_before
                a_nonce_expires
                a_nonce_is_exchanged_once
                a_nonce_of_another_session_is_none
                of_concurrent_exchanges_one_succeeds
                of_concurrent_logins_no_more_than_the_share_get_a_session
            }
            window_limiter {
                a_place_is_held_until_a_second_after_the_answer
                after_ten_in_a_row_the_eleventh_is_refused_however_long_answers_take
                keys_are_counted_apart
                ten_pass_of_many_at_once
                the_eleventh_within_a_second_is_refused_and_told_when_to_come
            }
        }
    };
    (@modules $fresh:path; $($module:ident { $($rule:ident)+ })+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                let handles = $fresh().await.map(|state| state.$module);
                $crate::state_conformance::$module::$rule(handles).await;
            })+
        })+
    };
}

/// Makes a test of every rule for replay logs that forget nothing before its time.
#[macro_export]
macro_rules! replay_log_conformance {
    ($fresh:path) => {
        $crate::replay_log_conformance! { @module replay_log $fresh;
            a_used_value_stays_used_when_the_clock_goes_back
            a_value_is_used_once
            of_concurrent_uses_one_succeeds
            values_are_told_apart
            what_was_found_new_in_another_epoch_is_not_recorded
        }
    };
    (@module $module:ident $fresh:path; $($rule:ident)+) => {
        mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                $crate::state_conformance::$module::$rule($fresh().await).await;
            })+
        }
    };
}

/// Makes a test of every rule for replay logs that may forget. `$fresh` returns two handles, and what
/// makes their engine forget what it may (`ForgettingLogs`).
#[macro_export]
macro_rules! replay_epoch_conformance {
    ($fresh:path) => {
        $crate::replay_log_conformance! { @module replay_epochs $fresh;
            after_an_epoch_the_next_one_is_known_and_records
            an_epoch_that_ends_between_finding_and_recording_is_noticed
            nothing_is_recorded_twice_in_one_epoch_while_epochs_end
        }
    };
}

/// Makes a test of every rule for replay logs whose engine is away. `$away` returns two handles on one
/// that is.
#[macro_export]
macro_rules! replay_outage_conformance {
    ($away:path) => {
        $crate::replay_log_conformance! { @module replay_outages $away;
            a_log_that_is_away_says_so_and_knows_its_epoch
        }
    };
}

/// Makes a test of every rule for replay logs with shares and bounded room.
#[macro_export]
macro_rules! replay_share_conformance {
    ($fresh:path) => {
        $crate::replay_log_conformance! { @module replay_shares $fresh;
            a_full_log_refuses_everybody_and_forgets_nothing
            an_owner_beyond_its_share_is_refused_and_others_are_not
            of_concurrent_uses_no_more_than_the_share_succeed
            what_has_ended_makes_room
        }
    };
}

#[cfg(test)]
mod tests {
    /// A rule that is written but not listed would never run.
    #[test]
    fn every_rule_is_listed() {
        let list = include_str!("state_conformance.rs");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/state_conformance");
        crate::rules::assert_listed(list, folder);
    }
}
