use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

const LOGIN: RateLimit = RateLimit { name: "login", burst: 3, period: Duration::from_secs(30) };
const START: Duration = Duration::from_hours(1);

fn client(number: u32) -> LimitKey {
    LimitKey::Network(IpAddr::V4(Ipv4Addr::from_bits(number)).into())
}

fn address(text: &str) -> LimitKey {
    LimitKey::Network(text.parse::<IpAddr>().unwrap().into())
}

async fn exhaust(limiter: &MemoryRateLimiter, limit: &RateLimit, key: LimitKey) {
    while limiter.take(limit, key, START).await.is_ok() {}
}

#[tokio::test]
async fn an_ipv6_client_is_its_network_and_a_mapped_address_is_ipv4() {
    let limiter = MemoryRateLimiter::new(100);
    exhaust(&limiter, &LOGIN, address("2001:db8:1:2::1")).await;
    limiter.take(&LOGIN, address("2001:db8:1:2:ffff::2"), START).await.unwrap_err();
    limiter.take(&LOGIN, address("2001:db8:1:3::1"), START).await.unwrap();
    exhaust(&limiter, &LOGIN, address("::ffff:192.0.2.1")).await;
    limiter.take(&LOGIN, address("192.0.2.1"), START).await.unwrap_err();
    limiter.take(&LOGIN, address("::ffff:192.0.2.2"), START).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_keys_takes_no_more_room_and_frees_no_exhausted_key() {
    let limiter = MemoryRateLimiter::new(64);
    assert_eq!(limiter.sets.len(), 8);
    exhaust(&limiter, &LOGIN, client(0)).await;
    for number in 1..10_000 {
        limiter.take(&LOGIN, client(number), START).await.unwrap();
    }
    let held: usize = limiter.sets.iter().map(|set| set.lock().iter().flatten().count()).sum();
    assert!(held <= 64);
    limiter.take(&LOGIN, client(0), START).await.unwrap_err();
}

#[test]
fn a_key_takes_the_memory_that_is_stated() {
    assert!(size_of::<Mutex<[Option<Allowance>; WAYS]>>() <= 65 * WAYS);
}

proptest! {
    #[test]
    fn no_span_of_time_sees_more_than_burst_and_refill(
        burst in 1..20_u32,
        period_millis in 1..5000_u64,
        steps in proptest::collection::vec(0..400_u64, 1..300),
    ) {
        let period = Duration::from_millis(period_millis);
        let limit = RateLimit { name: "any", burst, period };
        let (mut now, mut full_at, mut allowed) = (0, 0, Vec::new());
        for step in steps {
            now += step * 1_000_000;
            if let Ok(next) = super::take(&limit, full_at, 1, now) {
                full_at = next;
                allowed.push(now);
            }
        }
        for (at, start) in allowed.iter().enumerate() {
            for (count, end) in allowed[at..].iter().enumerate() {
                let span = u128::from(end - start);
                // One nanosecond of each interval is lost to rounding.
                let refill = span * u128::from(burst) / u128::from(nanos(period) - u64::from(burst));
                prop_assert!((count + 1) as u128 <= u128::from(burst) + refill + 1);
            }
        }
    }
}
