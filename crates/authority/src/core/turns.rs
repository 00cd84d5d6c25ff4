//! Fair turns at something that few can do at once.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
};

use countersign_protocol::{
    ClientNetwork,
    shares::{NoPlace, Place, Shares},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::model::limits::TurnLimits;

/// Lets a few clients at once do something costly, while the others wait for their turn.
///
/// Owners, such as client networks, take turns: an owner that sends a hundred requests waits for its own
/// hundred, and the next owner only for the one under way. Each owner has a share of the places to wait
/// in. A client that goes away gives its place back at once.
#[derive(Debug)]
pub(crate) struct Turns<K: Eq + Hash + Clone = ClientNetwork> {
    places: Arc<Shares<K>>,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    free: usize,
    /// Tells those who wait apart.
    next: u64,
    /// The owners that somebody waits for, in the order of their turns.
    order: VecDeque<K>,
    waiting: HashMap<K, VecDeque<(u64, oneshot::Sender<()>)>>,
}

/// A turn, which ends when it is dropped.
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped"]
pub(crate) struct Turn<K: Eq + Hash + Clone = ClientNetwork> {
    turns: Arc<Turns<K>>,
    _place: Place<K>,
}

impl<K: Eq + Hash + Clone> Turns<K> {
    pub(crate) fn new(limits: TurnLimits) -> Self {
        let places = limits.at_once.saturating_add(limits.waiting);
        let state = State {
            free: limits.at_once,
            next: 0,
            order: VecDeque::new(),
            waiting: HashMap::new(),
        };
        Self { places: Arc::new(Shares::new(places, limits.each)), state: Mutex::new(state) }
    }

    /// Waits until it is the turn of `owner`.
    ///
    /// # Errors
    /// At once, when all places are taken, or the owner's share is used up.
    pub(crate) async fn take(self: &Arc<Self>, owner: K) -> Result<Turn<K>, NoPlace> {
        let place = self.places.take(owner.clone())?;
        let waiting = self.state.lock().begin_or_wait(&owner);
        if let Some((number, turn)) = waiting {
            Waiting { turns: self, owner, number, turn }.wait().await;
        }
        Ok(Turn { turns: Arc::clone(self), _place: place })
    }

    /// How many have a turn or wait for one.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.places.taken()
    }
}

impl<K: Eq + Hash + Clone> State<K> {
    /// Nothing when the turn has begun, and otherwise what tells when it does.
    fn begin_or_wait(&mut self, owner: &K) -> Option<(u64, oneshot::Receiver<()>)> {
        if self.free > 0 {
            self.free -= 1;
            return None;
        }
        let (begin, turn) = oneshot::channel();
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let queue = self.waiting.entry(owner.clone()).or_default();
        if queue.is_empty() {
            self.order.push_back(owner.clone());
        }
        queue.push_back((number, begin));
        Some((number, turn))
    }

    /// A turn has ended: the next owner's turn begins.
    fn pass_on(&mut self) {
        while let Some(owner) = self.order.pop_front() {
            let Some(queue) = self.waiting.get_mut(&owner) else { continue };
            let first = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&owner);
            } else {
                self.order.push_back(owner);
            }
            if first.is_some_and(|(_, begin)| begin.send(()).is_ok()) {
                return;
            }
        }
        self.free += 1;
    }

    fn leave(&mut self, owner: &K, number: u64) {
        let Some(queue) = self.waiting.get_mut(owner) else { return };
        queue.retain(|(own, _)| *own != number);
        if queue.is_empty() {
            self.waiting.remove(owner);
            self.order.retain(|own| own != owner);
        }
    }
}

impl<K: Eq + Hash + Clone> Drop for Turn<K> {
    fn drop(&mut self) {
        self.turns.state.lock().pass_on();
    }
}

/// A waiting client, which may go away.
struct Waiting<'a, K: Eq + Hash + Clone> {
    turns: &'a Turns<K>,
    owner: K,
    number: u64,
    turn: oneshot::Receiver<()>,
}

impl<K: Eq + Hash + Clone> Waiting<'_, K> {
    /// Once it has returned, nothing is left in the channel, so dropping this passes nothing on.
    async fn wait(mut self) {
        // The sender lies in the state, which lives at least as long as this.
        let _: Result<_, _> = (&mut self.turn).await;
    }
}

impl<K: Eq + Hash + Clone> Drop for Waiting<'_, K> {
    fn drop(&mut self) {
        let mut state = self.turns.state.lock();
        if self.turn.try_recv().is_ok() {
            // It had begun in the very moment in which its client went away.
            state.pass_on();
        } else {
            state.leave(&self.owner, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, net::IpAddr, pin::pin, task::Poll};

    use super::*;

    fn network(number: u8) -> ClientNetwork {
        IpAddr::from([192, 0, 2, number]).into()
    }

    fn turns(at_once: usize, waiting: usize, each: usize) -> Arc<Turns> {
        Arc::new(Turns::new(TurnLimits { at_once, waiting, each }))
    }

    /// Whether a turn begins now.
    async fn begins(
        mut turn: std::pin::Pin<&mut impl Future<Output = Result<Turn, NoPlace>>>,
    ) -> Option<Turn> {
        std::future::poll_fn(|context| match turn.as_mut().poll(context) {
            Poll::Ready(turn) => Poll::Ready(Some(turn.unwrap())),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn networks_take_turns_however_many_requests_one_of_them_has() {
        let turns = turns(1, 100, 50);
        let first = turns.take(network(1)).await.unwrap();
        let mut greedy = [(); 3].map(|()| Box::pin(turns.take(network(1))));
        for waiting in &mut greedy {
            assert!(begins(waiting.as_mut()).await.is_none());
        }
        let mut honest = pin!(turns.take(network(2)));
        assert!(begins(honest.as_mut()).await.is_none());
        drop(first);
        let second = begins(greedy[0].as_mut()).await.unwrap();
        drop(second);
        assert!(begins(greedy[1].as_mut()).await.is_none());
        let third = begins(honest.as_mut()).await.unwrap();
        drop(third);
        assert!(begins(greedy[1].as_mut()).await.is_some());
    }

    #[tokio::test]
    async fn one_network_cannot_take_all_places_to_wait_in() {
        let turns = turns(1, 3, 2);
        let _first = turns.take(network(1)).await.unwrap();
        let mut second = pin!(turns.take(network(1)));
        assert!(begins(second.as_mut()).await.is_none());
        assert_eq!(turns.take(network(1)).await.unwrap_err(), NoPlace::ShareUsedUp);
        let mut others = [2, 3].map(|number| Box::pin(turns.take(network(number))));
        for waiting in &mut others {
            assert!(begins(waiting.as_mut()).await.is_none());
        }
        assert_eq!(turns.take(network(4)).await.unwrap_err(), NoPlace::AllTaken);
    }

    #[tokio::test]
    async fn who_goes_away_gives_the_place_back_and_the_turn_on() {
        let turns = turns(1, 3, 2);
        let first = turns.take(network(1)).await.unwrap();
        let mut gone = Box::pin(turns.take(network(2)));
        let mut late = Box::pin(turns.take(network(3)));
        let mut last = Box::pin(turns.take(network(4)));
        for waiting in [&mut gone, &mut late, &mut last] {
            assert!(begins(waiting.as_mut()).await.is_none());
        }
        drop(gone);
        assert_eq!(turns.taken(), 3);
        drop(first);
        // Its turn has begun, and it goes without having noticed.
        drop(late);
        drop(begins(last.as_mut()).await.unwrap());
        drop(last);
        assert_eq!(turns.taken(), 0);
        assert_eq!(turns.state.lock().free, 1);
        assert!(turns.state.lock().order.is_empty());
    }
}
