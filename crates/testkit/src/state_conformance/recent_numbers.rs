//! The numbers that clients asked for lately are known at all handles.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use countersign_authority::ports::{NUMBERS_OF_EACH_CLIENT, RecentNumbers};
use countersign_protocol::{
    ClientNetwork,
    challenges::mutual::{MutualChallenges, Number},
    envelope::aes_gcm::SealingKey,
};

use crate::{
    rules::at_once,
    samples::{EPOCH, NOW, account_id},
};

type Numbers = [Arc<dyn RecentNumbers>; 2];

fn number(salt: u8) -> Number {
    let challenges = MutualChallenges::new(SealingKey::from_bytes(&[1; 32]));
    challenges.issue(account_id(0), [0, 0, salt], EPOCH.id, NOW)
}

fn network(number: u16, host: u16) -> ClientNetwork {
    IpAddr::from([0x2001, 0xdb8, 0, number, host, 0, 0, 1]).into()
}

/// Remembers the number of that salt for account `of`, which asked from the network of that number.
async fn remember(numbers: &Arc<dyn RecentNumbers>, of: u64, from: u16, salt: u8) {
    numbers.remember(account_id(of), network(from, 0), number(salt), NOW).await;
}

/// What both handles know.
async fn recent(numbers: &Numbers, of: u64, from: ClientNetwork) -> Vec<Number> {
    let [here, there] = numbers;
    let recent = here.recent(account_id(of), from).await;
    assert_eq!(there.recent(account_id(of), from).await, recent);
    recent
}

/// The latest numbers of each client are remembered, the latest first; one /64 is one client.
pub async fn the_latest_numbers_of_each_client_are_remembered(numbers: Numbers) {
    remember(&numbers[0], 1, 1, 0).await;
    for salt in 1..=20 {
        remember(&numbers[usize::from(salt % 2)], 1, 2, salt).await;
    }
    assert_eq!(recent(&numbers, 1, network(1, 0)).await, [number(0)]);
    let latest: Vec<_> = (1..=20).rev().take(NUMBERS_OF_EACH_CLIENT).map(number).collect();
    assert_eq!(recent(&numbers, 1, network(2, 0)).await, latest);
    assert_eq!(recent(&numbers, 2, network(1, 0)).await, []);
    assert_eq!(recent(&numbers, 1, network(1, 9)).await, [number(0)]);
}

/// However many networks ask for one account, and accounts from one network, what a client asked for
/// stays, and others have room.
pub async fn a_flood_of_networks_pushes_out_no_number(numbers: Numbers) {
    remember(&numbers[0], 0, 0, 0).await;
    for from in 1..1_000 {
        remember(&numbers[usize::from(from % 2)], 0, from, 1).await;
    }
    for of in 1..1_000 {
        remember(&numbers[usize::from(of % 2 == 0)], of, 1, 1).await;
    }
    assert_eq!(recent(&numbers, 0, network(0, 0)).await, [number(0)]);
    remember(&numbers[1], 5_000, 5_000, 2).await;
    assert_eq!(recent(&numbers, 5_000, network(5_000, 0)).await, [number(2)]);
}

/// As many as are remembered may be asked for at once, at both handles.
pub async fn no_number_is_lost_when_many_are_asked_for_at_once(numbers: Numbers) {
    at_once(NUMBERS_OF_EACH_CLIENT as u64, |salt| {
        let numbers = Arc::clone(&numbers[usize::from(salt % 2 == 0)]);
        async move { remember(&numbers, 1, 1, u8::try_from(salt).unwrap()).await }
    })
    .await;
    let known = recent(&numbers, 1, network(1, 0)).await;
    let texts = |numbers: &[Number]| -> HashSet<String> {
        numbers.iter().map(|number| number.as_str().to_owned()).collect()
    };
    let all: Vec<_> = (0..u8::try_from(NUMBERS_OF_EACH_CLIENT).unwrap()).map(number).collect();
    assert_eq!(texts(&known), texts(&all));
}
