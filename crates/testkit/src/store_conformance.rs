//! The rules that every durable store must keep, as tests that any backend can run.
//!
//! A backend says how to reach a fresh, empty database and calls the macro:
//!
//! ```text
//! async fn fresh() -> MyBackend { ... }    // MyBackend implements Backend
//! countersign_testkit::store_conformance!(fresh);
//! ```
//!
//! which makes one `#[tokio::test]` of each rule; the calling crate needs `tokio` with its macros.

use std::{ops::Deref, sync::Arc};

use countersign_authority::{
    model::audit::{AuditFilter, RecordedEvent},
    ports::{NewAccount, Store},
};

use crate::rules;

pub mod accounts;
pub mod audit;
pub mod browsers;
pub mod changes;
pub mod credentials;
pub mod invitations;
pub mod keyring_growth;
pub mod keyring_history;
pub mod keyrings;
pub mod logins;
pub mod passkeys;
pub mod passwords;
pub mod places;
pub mod pruning;
pub mod revocations;
pub mod signing_keys;
pub mod unproven;
pub mod unused;
pub mod upkeep;
pub mod vault;

/// Makes a test of every rule, against the backend that the async function `$factory` returns.
#[macro_export]
macro_rules! store_conformance {
    ($factory:path) => {
        $crate::store_conformance! { @modules $factory;
            accounts {
                a_name_is_taken_whatever_its_case
                a_refused_registration_leaves_nothing
                accounts_are_listed_by_name_in_pages
                an_account_is_found_by_id_and_by_name_in_any_case
                no_scope_is_lost_of_many_that_are_added_at_once
                reopening_keeps_accounts_keys_and_events
                scopes_are_replaced_with_their_event
                the_name_goes_to_one_of_many_at_once
                the_status_changes_with_its_event
            }
            audit {
                an_event_comes_back_as_it_was
                a_page_of_a_trail_looks_at_no_more_than_it_may
                a_trail_has_every_event_that_fits_once
                changes_and_logins_are_never_told_together
                events_are_filtered_by_every_condition
                events_are_read_newest_first_in_pages
                refusals_that_are_alike_are_one_entry_an_hour
                refused_changes_of_made_up_keys_are_one_entry
                uses_of_a_key_that_are_alike_are_one_entry_a_day
                what_many_count_at_once_in_another_order_is_all_counted
                what_the_schedule_did_can_be_left_out
            }
            browsers {
                a_browser_that_signs_in_again_lives_on_and_takes_no_room
                a_failed_login_remembers_no_browser
                a_key_that_was_revoked_or_belongs_to_others_is_no_browser
                a_login_puts_the_end_of_a_browser_off
                a_visit_may_end_though_it_is_the_last_key
                an_expired_key_does_nothing_and_takes_no_room
                each_kind_of_credential_has_a_limit_of_its_own
                expired_keys_are_revoked_at_their_end_with_an_event
                of_two_that_sign_in_with_one_browser_at_once_both_are_remembered_once
                the_browser_that_was_used_longest_ago_makes_room
                the_limit_of_browsers_holds_when_many_sign_in_at_once
                what_is_known_of_a_browser_comes_back
            }
            changes {
                a_memory_that_follows_is_never_behind
                every_change_by_others_is_told
                own_changes_are_not_everything
                what_was_told_is_told_again
            }
            credentials {
                a_change_is_signed_by_a_key_that_still_may
                a_key_is_revoked_once_and_by_its_own_account
                a_key_keeps_the_one_algorithm_it_is_for
                a_key_stays_taken_after_its_revocation
                a_refused_key_leaves_nothing
                a_rename_to_the_same_name_writes_nothing
                a_renamed_key_keeps_all_else
                every_kind_of_key_comes_back_whole
                keys_are_listed_oldest_first_live_and_revoked
                of_many_revoked_keys_the_thumbprints_stay_taken
                only_a_live_key_of_the_account_adds_another
                revoked_keys_are_no_live_ones
                revoked_keys_do_not_count_against_the_limit
                the_last_key_stays_when_it_must
                the_last_key_stays_when_two_are_revoked_at_once
                the_limit_of_keys_holds_when_many_are_added_at_once
                the_limit_of_revoked_keys_holds
                what_a_forgotten_key_has_added_is_told_of_the_key_before_it
                without_a_key_that_adds_it_one_of_many_is_the_first
            }
            places {
                a_key_that_comes_back_to_a_place_is_no_news
                a_new_place_is_told_once_and_the_first_is_none
                neighbours_in_one_network_are_one_place
                only_the_latest_places_of_a_key_are_remembered
                uses_without_a_login_count_too
            }
            invitations {
                a_failed_registration_does_not_use_up_the_invitation
                a_refused_recovery_leaves_everything
                a_recovery_code_is_good_for_one_account_and_registers_nobody
                an_account_has_one_unused_recovery_code
                a_used_invitation_cannot_be_withdrawn
                a_withdrawn_invitation_is_unusable
                an_invitation_admits_one_of_many_at_once
                an_invitation_can_be_for_one_name_only
                an_invitation_ends_at_its_moment
                invitations_are_listed_newest_first
                invitations_are_made_all_or_none
                the_invitation_is_checked_before_names_and_keys
                the_scopes_of_the_invitation_are_added
            }
            keyring_growth {
                a_clock_that_is_behind_makes_no_history_shorter
                a_young_account_has_a_small_keyring
                all_keyrings_together_have_a_bound
                an_account_may_always_have_what_it_has
                recent_accounts_have_half_together
            }
            keyring_history {
                a_clock_that_jumps_makes_no_content_old
                a_restored_content_is_still_kept
                earlier_contents_have_a_bound_in_bytes
                earlier_contents_stay_with_their_key
                no_content_that_was_replaced_lately_goes_by_itself
                no_earlier_content_comes_back_by_itself
                small_contents_do_not_go_for_the_bytes_of_long_ones
            }
            keyrings {
                a_change_that_comes_again_is_done_already
                a_deleted_keyring_is_gone
                a_touch_is_for_the_keyring_that_it_names
                a_keyring_comes_back_as_it_was
                a_keyring_replaces_what_it_names
                a_login_opens_a_keyring_once
                what_was_written_is_found_and_nothing_else
                a_slot_is_found_while_somebody_can_log_in
                a_slot_of_a_revoked_passkey_is_marked
                of_many_keyrings_at_once_one_is_stored
                slots_are_new_or_the_accounts_own
            }
            logins {
                a_disabled_account_cannot_log_in
                a_key_logs_in_to_its_own_account_only
                a_login_sets_the_times_of_last_use
                a_refused_login_leaves_nothing
                a_revoked_key_cannot_log_in
                an_assertion_stays_used_after_reopening
                an_assertion_works_for_one_of_many_at_once
                an_assertion_works_once_whatever_for
                a_login_says_the_scopes_of_its_moment
            }
            passkeys {
                a_change_spends_its_step_up_or_does_not_happen
                a_passkey_comes_back_whole_with_its_key_and_account
                a_passkey_is_added_with_its_challenge_or_not_at_all
                a_passkey_may_allow_its_own_revocation
                a_refused_change_uses_its_step_up_up_and_is_undone
                a_signature_counter_only_grows
                a_step_up_is_by_a_live_passkey_of_the_account
                an_account_comes_with_its_passkey_or_not_at_all
                live_passkeys_for_another_relying_party_are_found
                of_two_uses_with_one_counter_one_counts
            }
            passwords {
                a_login_with_a_password_is_recorded_with_its_event
                a_name_is_taken_once_and_an_address_keeps_nobody_out
                a_new_password_ends_the_tokens_of_all_logins_before_it
                a_password_that_was_replaced_while_it_was_compared_logs_nobody_in
                a_refused_login_with_a_password_leaves_nothing
                an_account_comes_back_with_what_is_kept_of_its_password
                an_account_whose_password_was_never_used_goes
                an_invitation_admits_one_account_with_a_password
                the_name_with_a_password_goes_to_one_of_many_at_once
            }
            pruning {
                changes_go_by_age_alone
                logins_beyond_the_largest_number_go_from_whoever_has_the_most
                no_kind_of_refusal_or_login_pushes_out_another
                of_more_accounts_than_entries_the_newest_keep_theirs
                old_events_go
                pruning_more_than_one_batch_removes_all
                refusals_push_out_refusals_alone_and_those_of_whoever_has_the_most
                tries_of_strangers_push_out_tries_alone
                uses_of_keys_push_out_uses_alone
                what_has_ended_goes_and_the_rest_stays
                a_used_assertion_that_was_forgotten_is_refused_when_the_clock_goes_back
            }
            revocations {
                a_disabled_account_is_shut_out_until_it_is_enabled
                a_revocation_is_known_until_the_token_ends
                a_revoked_key_is_shut_out_from_then_on
                no_more_are_shut_out_than_asked_for
                revoked_tokens_beyond_the_number_are_covered_by_a_moment
                revoking_twice_changes_nothing
                the_sequence_of_revocations_grows_with_each
                what_was_revoked_after_a_number_is_told_with_the_next
                who_is_enabled_again_has_no_token_of_before_by_any_clock
            }
            signing_keys {
                a_stale_change_of_signing_keys_leaves_nothing
                of_changes_on_one_version_at_once_one_is_made
                reopening_keeps_signing_keys
                signing_keys_are_put_replaced_and_removed
                signing_keys_come_by_time_of_activation
                starts_and_rotations_at_once_make_one_key_each
            }
            unproven {
                a_claim_counts_for_its_own_account_alone
                a_claimed_key_can_be_added_with_a_proof
                a_claimed_key_goes_to_one_of_many_at_once
                a_claimed_key_goes_to_whoever_proves_it
                a_crowd_of_claims_is_void_when_the_key_is_proven
                a_key_proves_itself_by_its_first_use
                a_revoked_claim_blocks_nobody
                an_account_is_found_by_its_other_name
                the_fingerprint_of_a_key_that_many_claim_names_nobody
                the_first_who_signs_gets_the_key
            }
            unused {
                an_account_that_is_of_use_stays
                an_account_that_nobody_used_goes_and_frees_its_name_and_key
                unused_accounts_go_in_batches
            }
            upkeep {
                the_check_passes
            }
            vault {
                a_key_pair_for_an_account_comes_with_the_account
                abandoning_the_vault_deletes_what_is_sealed
                changing_the_vault_leaves_what_is_sealed
                no_signing_key_that_was_put_meanwhile_is_lost_with_the_old_vault
                of_changes_of_one_vault_one_counts
                the_opaque_setup_is_created_once
                the_owners_of_key_pairs_are_counted_and_some_are_named
                the_registration_key_is_created_once
                the_vault_is_created_once
            }
        }
    };
    (@modules $factory:path; $($module:ident { $($rule:ident)+ })+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                $crate::store_conformance::$module::$rule(&$factory().await).await;
            })+
        })+
    };
}

/// A database under test.
pub trait Backend: Send + Sync {
    /// Opens another handle on it, as another process would.
    fn open(&self) -> impl Future<Output = Stores> + Send;
}

/// One handle on a durable store.
#[derive(Clone)]
pub struct Stores(Arc<dyn Store>);

impl Deref for Stores {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Stores {
    /// A handle on `store`.
    pub fn of(store: impl Store + 'static) -> Self {
        Self(Arc::new(store))
    }

    /// Creates an account, which must succeed.
    async fn create(&self, new: &NewAccount) {
        self.create_account(new.clone()).await.unwrap();
    }

    /// All events that there are, oldest first.
    async fn trail(&self) -> Vec<RecordedEvent> {
        let mut events = self.events(&AuditFilter::default(), u32::MAX).await.unwrap();
        events.reverse();
        events
    }
}

/// Runs `attempts` calls of `attempt` at once, at two handles in turn, and returns what each of them
/// returned.
async fn at_once<F>(
    backend: &impl Backend,
    attempts: u64,
    attempt: impl Fn(u64, Stores) -> F,
) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let handles = [backend.open().await, backend.open().await];
    rules::at_once(attempts, |number| {
        attempt(number, handles[usize::from(number % 2 == 0)].clone())
    })
    .await
}

#[cfg(test)]
mod tests {
    /// A rule that is written but not listed would never run.
    #[test]
    fn every_rule_is_listed() {
        let list = include_str!("store_conformance.rs");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store_conformance");
        crate::rules::assert_listed(list, folder);
    }
}
