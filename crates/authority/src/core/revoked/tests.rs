use std::time::Duration;

use super::*;
use crate::model::audit::EventKind;

const START: UnixTime = UnixTime::from_secs(1_800_000_000);
const LIFETIME: Duration = Duration::from_mins(15);

fn account(number: u64) -> AccountId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    AccountId::from_bytes(bytes)
}

/// The token of `account` that was issued `second` seconds after the start.
fn token(account_number: u64, second: u64) -> RevokedToken {
    let issued_at = START + Duration::from_secs(second);
    RevokedToken {
        token_id: format!("token {account_number}/{second}"),
        account_id: account(account_number),
        issued_at,
        expires_at: issued_at + LIFETIME,
    }
}

/// Revokes `token`, in memory and in the store, which tells it. Returns whether it was not revoked already.
fn stored(tokens: &RevokedTokens, token: RevokedToken) -> bool {
    let is_new = tokens.insert(token.clone());
    tokens.add(RevokedTokenList { tokens: vec![token], ..RevokedTokenList::default() });
    is_new
}

#[test]
fn a_token_is_listed_once_its_revocation_is_stored_or_could_not_be() {
    let tokens = RevokedTokens::default();
    assert!(tokens.insert(token(1, 0)));
    assert!(is_revoked(&tokens, &token(1, 0)), "it does not count from now on");
    assert_eq!(tokens.to_list(START, &[]), TokensToList::default());
    let event = AuditEvent::new(START, EventKind::TokenRevoked);
    tokens.write_later(LateRevocation { token: token(1, 0), event });
    let late = tokens.unwritten(START);
    assert_eq!(tokens.to_list(START, &late).tokens, [token(1, 0).token_id]);
    assert!(!stored(&tokens, token(1, 0)));
    assert_eq!(tokens.to_list(START, &[]).tokens, [token(1, 0).token_id]);
}

fn is_revoked(tokens: &RevokedTokens, token: &RevokedToken) -> bool {
    tokens.contains(&token.token_id, token.account_id, token.issued_at)
}

#[test]
fn many_revoked_tokens_of_one_account_become_one_moment_and_none_counts_again() {
    let tokens = RevokedTokens::default();
    let revoked: Vec<_> = (0..1000).map(|second| token(1, second)).collect();
    revoked.iter().cloned().for_each(|token| assert!(stored(&tokens, token)));
    assert!(revoked.iter().all(|token| is_revoked(&tokens, token)));
    let listed = tokens.to_list(START, &[]);
    assert_eq!(listed.tokens.len(), OF_ONE_ACCOUNT);
    let collapsed = u64::try_from(1000 - OF_ONE_ACCOUNT - 1).unwrap();
    let before = START + Duration::from_secs(collapsed);
    assert_eq!(listed.accounts_before, [(account(1), before)]);
    assert_eq!(listed.before, None);
    assert!(!is_revoked(&tokens, &token(1, 1000)), "a token of later is good");
    assert!(!is_revoked(&tokens, &token(2, 0)), "so are those of others");
}

#[test]
fn tokens_of_very_many_accounts_become_a_moment_for_all_and_none_counts_again() {
    let tokens = RevokedTokens::with_capacity(100);
    let revoked: Vec<_> = (0..1000).map(|number| token(number, number)).collect();
    for token in &revoked {
        stored(&tokens, token.clone());
        assert!(tokens.revoked.read().entries <= 100);
    }
    assert!(revoked.iter().all(|token| is_revoked(&tokens, token)));
    let listed = tokens.to_list(START, &[]);
    assert!(listed.tokens.len() >= 70, "no more than needed is given up");
    assert!(listed.before.unwrap() < START + Duration::from_secs(930));
    assert!(!is_revoked(&tokens, &token(5000, 1000)));
}

#[test]
fn accounts_that_revoke_many_tokens_lose_their_own_and_nobody_elses() {
    let tokens = RevokedTokens::with_capacity(100);
    let single = (100..150).map(|number| token(number, number));
    let many = (0..1000).map(|second| token(second % 20, second));
    let revoked: Vec<_> = single.chain(many).collect();
    for token in &revoked {
        stored(&tokens, token.clone());
        assert!(tokens.revoked.read().entries <= 100);
    }
    assert!(revoked.iter().all(|token| is_revoked(&tokens, token)));
    let listed = tokens.to_list(START, &[]);
    assert_eq!(listed.before, None);
    for number in 100..150 {
        assert!(listed.tokens.contains(&token(number, number).token_id), "{number}");
    }
    assert!(!is_revoked(&tokens, &token(5000, 0)), "a token of somebody else is good");
}

#[test]
fn what_has_ended_is_forgotten_also_where_it_became_a_moment() {
    let tokens = RevokedTokens::with_capacity(100);
    (0..1000).for_each(|number| assert!(stored(&tokens, token(number / 50, number))));
    let last = START + Duration::from_secs(999) + LIFETIME;
    assert_ne!(tokens.to_list(last - Duration::from_millis(1), &[]), TokensToList::default());
    assert_eq!(tokens.to_list(last, &[]), TokensToList::default());
    tokens.forget_ended(last);
    let revoked = tokens.revoked.read();
    assert_eq!((revoked.entries, revoked.accounts.len()), (0, 0));
    assert!(revoked.before.is_none());
}

#[test]
fn a_token_that_falls_under_a_moment_does_so_until_it_ends() {
    let tokens = RevokedTokens::default();
    (0..100).for_each(|second| assert!(stored(&tokens, token(1, second))));
    let long = RevokedToken { expires_at: START + Duration::from_hours(1), ..token(1, 5) };
    stored(&tokens, long.clone());
    tokens.forget_ended(long.expires_at - Duration::from_millis(1));
    assert!(is_revoked(&tokens, &long));
}

#[test]
fn revoking_twice_takes_one_entry() {
    let tokens = RevokedTokens::default();
    let is_new: Vec<_> = (0..3).map(|_| stored(&tokens, token(1, 0))).collect();
    assert_eq!(is_new, [true, false, false]);
    assert_eq!(tokens.revoked.read().entries, 1);
}

#[test]
fn what_a_store_cannot_list_counts_as_revoked() {
    let tokens = RevokedTokens::default();
    let others = RevokedBefore { issued_at: START, expires_at: START + LIFETIME };
    let tokens_of_store = vec![token(1, 5)];
    tokens.add(RevokedTokenList {
        tokens: tokens_of_store,
        others: Some(others),
        ..RevokedTokenList::default()
    });
    assert!(is_revoked(&tokens, &token(2, 0)) && is_revoked(&tokens, &token(1, 5)));
    assert!(!is_revoked(&tokens, &token(2, 1)));
    assert_eq!(tokens.to_list(START, &[]).before, Some(START));
}

#[test]
fn the_tokens_of_an_account_that_were_ended_stay_so_when_the_clock_is_set_back() {
    let tokens = RevokedTokens::default();
    (0..3).for_each(|second| assert!(stored(&tokens, token(1, second))));
    let before =
        RevokedBefore { issued_at: START + Duration::from_secs(1), expires_at: START + LIFETIME };
    let ended =
        || RevokedTokenList { accounts: vec![(account(1), before)], ..RevokedTokenList::default() };
    let are_ended = || {
        assert!(tokens.contains("unknown", account(1), before.issued_at));
        let later = before.issued_at + Duration::from_secs(1);
        assert!(!tokens.contains("unknown", account(1), later), "one of later is good");
        assert!(!tokens.contains("unknown", account(2), before.issued_at), "others are");
    };
    tokens.add(ended());
    are_ended();
    assert_eq!(tokens.revoked.read().entries, 2, "a token of later, and a moment");
    tokens.clock_was_set_back(START - LIFETIME, ended());
    are_ended();
}

#[test]
fn a_clock_that_is_set_back_makes_no_new_token_revoked() {
    let tokens = RevokedTokens::default();
    let revoked: Vec<_> = (0..1000).map(|number| token(number / 50, number)).collect();
    revoked.iter().cloned().for_each(|token| assert!(stored(&tokens, token)));
    let now = START - Duration::from_hours(1);
    let stored = RevokedTokenList { tokens: revoked, ..RevokedTokenList::default() };
    tokens.clock_was_set_back(now, stored);
    for number in [0, 19, 1000] {
        let issued_at = now + Duration::from_secs(1);
        assert!(!tokens.contains("new", account(number), issued_at), "{number}");
    }
}

#[test]
fn a_clock_that_is_set_back_and_right_again_revives_no_revoked_token() {
    for (capacity, accounts) in [(CAPACITY, 1), (CAPACITY, 20), (100, 1000)] {
        let tokens = RevokedTokens::with_capacity(capacity);
        let all: Vec<_> = (0..1000).map(|second| token(second % accounts, second)).collect();
        all.iter().cloned().for_each(|token| {
            stored(&tokens, token);
        });
        let now = START + Duration::from_mins(15);
        for _ in 0..2 {
            let stored = RevokedTokenList { tokens: all.clone(), ..RevokedTokenList::default() };
            tokens.clock_was_set_back(now, stored);
            assert!(all.iter().all(|token| is_revoked(&tokens, token)), "{accounts}");
        }
        assert!(tokens.revoked.read().entries <= capacity);
    }
}
