//! Time passes: whatever happens to a server, somebody can verify every token until its end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use countersign_authority::{
    keys::signing::SigningKeys,
    model::key_life::{
        KeySchedule,
        KeyState::{Active, Next},
        SealedSigningKey,
    },
};
use countersign_protocol::{
    UnixTime,
    keys::{Algorithm, Thumbprint},
    ports::{Random, random_bytes},
    tokens::verify::AccessToken,
};
use countersign_testkit::{random::SeededRandom, samples::NOW};

use crate::{
    signing_keys::{claims, published, sign_claims, states, verifies},
    support::KeyStore,
};

const HOUR: Duration = Duration::from_hours(1);
const MILLI: Duration = Duration::from_millis(1);

/// A token that has not ended.
struct Token {
    text: String,
    kid: Thumbprint,
    ends: UnixTime,
}

/// A server and the clients that hold its tokens.
struct Simulation {
    schedule: KeySchedule,
    store: Arc<KeyStore>,
    keys: SigningKeys,
    now: UnixTime,
    random: SeededRandom,
    tokens: Vec<Token>,
    /// When each key was first seen in the JWKS.
    first_seen: HashMap<Thumbprint, UnixTime>,
}

impl Simulation {
    async fn start(schedule: KeySchedule, seed: u64) -> Self {
        let store = KeyStore::new();
        let keys = store.start(schedule, NOW).await.unwrap();
        let random = SeededRandom::new(seed);
        let (tokens, first_seen) = (Vec::new(), HashMap::new());
        Self { schedule, store, keys, now: NOW, random, tokens, first_seen }
    }

    /// One hour of a running server, with maintenance at its beginning.
    async fn hour(&mut self) {
        self.keys.maintain(self.now, &self.random).await.unwrap();
        let published = self.check_published();
        for kid in published {
            self.first_seen.entry(kid).or_insert(self.now);
        }
        for into in [self.below(HOUR), HOUR.saturating_sub(MILLI)] {
            self.issue(self.now + into);
        }
        self.now = self.now + HOUR;
        self.end_tokens();
    }

    fn check_published(&self) -> Vec<Thumbprint> {
        let published = published(&self.keys, self.now);
        assert!(!published.is_empty(), "the JWKS is empty at {:?}", self.now);
        let states = states(&self.keys, self.now);
        let count = |state| states.iter().filter(|(_, of)| *of == state).count();
        assert_eq!(count(Active), 1, "{states:?}");
        assert!(count(Next) <= 1, "{states:?}");
        for Token { kid, ends, .. } in &self.tokens {
            assert!(published.contains(kid), "a token that ends at {ends:?} lost its key");
        }
        published
    }

    /// Issues a token that lives as long as a token may: as long as its key stays.
    fn issue(&mut self, at: UnixTime) {
        let claims = claims(at, self.schedule.keep_after);
        let text = sign_claims(&self.keys, &claims, at).unwrap();
        assert!(verifies(&self.keys, &text, at));
        let kid = AccessToken::parse(&text).unwrap().kid().unwrap();
        self.tokens.push(Token {
            text,
            kid,
            ends: UnixTime::from_secs(claims.expires_at.as_secs()),
        });
    }

    /// Verifies the tokens that end up to now for the last time.
    fn end_tokens(&mut self) {
        let (keys, now) = (&self.keys, self.now);
        self.tokens.retain(|Token { text, ends, .. }| {
            let last = *ends - MILLI;
            assert!(*ends > now || verifies(keys, text, last), "not until {last:?}");
            *ends > now
        });
    }

    /// The server is down for `span`. Nobody sees what ends meanwhile.
    async fn down(&mut self, span: Duration) {
        self.now = self.now + span;
        self.tokens.retain(|token| token.ends > self.now);
        self.keys = self.store.start(self.schedule, self.now).await.unwrap();
    }

    /// A random time, shorter than `end`.
    fn below(&self, end: Duration) -> Duration {
        Duration::from_millis(self.number() % u64::try_from(end.as_millis()).unwrap())
    }

    fn number(&self) -> u64 {
        u64::from_be_bytes(random_bytes(&self.random as &dyn Random))
    }
}

async fn a_year(schedule: KeySchedule) {
    let mut simulation = Simulation::start(schedule, 1).await;
    for _ in 0..365 * 24 {
        simulation.hour().await;
    }
    // A key that signs was published before, so that every verifier's copy of the JWKS has it.
    let Simulation { store, first_seen, .. } = &simulation;
    let rows = store.rows.lock();
    let ahead = |row: &&SealedSigningKey| {
        first_seen
            .get(&row.kid)
            .is_none_or(|seen| *seen + schedule.publish_ahead <= row.life.active_from + HOUR)
    };
    assert_eq!(rows.iter().filter(ahead).count(), rows.len());
    let years_worth = Duration::from_hours(365 * 24).as_secs() / schedule.active.as_secs();
    assert!(first_seen.len() as u64 >= years_worth, "keys did rotate");
    assert!(first_seen.len() as u64 <= years_worth + 3, "and no more often than they should");
}

#[tokio::test]
async fn for_a_year_every_token_verifies_until_its_end() {
    a_year(KeySchedule::default()).await;
}

#[tokio::test]
async fn for_a_year_of_hasty_rotation_every_token_verifies_until_its_end() {
    let (active, publish_ahead, keep_after) = (HOUR * 25, HOUR * 3, HOUR * 5);
    a_year(KeySchedule { algorithm: Algorithm::EdDsa, active, publish_ahead, keep_after }).await;
}

/// Two months of a server that is down now and then, for minutes or for weeks, and whose keys are
/// rotated by hand now and then.
#[tokio::test]
async fn a_server_that_is_down_now_and_then_never_strands_a_token() {
    for seed in 0..10 {
        let chance = SeededRandom::new(seed);
        let hours = |least: u64, spread: u64| {
            HOUR * u32::try_from(least + u64::from(random_bytes::<1>(&chance)[0]) % spread).unwrap()
        };
        let schedule = KeySchedule {
            algorithm: Algorithm::EdDsa,
            active: hours(6, 200),
            publish_ahead: hours(2, 4),
            keep_after: hours(1, 50),
        };
        let mut simulation = Simulation::start(schedule, seed).await;
        while simulation.now < NOW + HOUR * 24 * 60 {
            for _ in 0..simulation.number() % 60 {
                simulation.hour().await;
            }
            match simulation.number() % 4 {
                0 => {
                    let (now, random) = (simulation.now, &simulation.random);
                    simulation.keys.rotate(false, now, random).await.unwrap();
                }
                1 => simulation.down(simulation.below(HOUR)).await,
                2 => simulation.down(simulation.below(schedule.active)).await,
                _ => simulation.down(simulation.below(schedule.active * 3)).await,
            }
        }
    }
}
