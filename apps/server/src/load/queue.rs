//! A number of slots, and a queue for them that is fair among clients (weighted fair queueing).
//!
//! Each waiting request has a turn: that of its client's last one, and one step more, which is shorter the more weight the client
//! has. The smallest turn comes first. When the queue is full, the largest turn is refused, so that a client that sends too much
//! is refused before others are.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::sync::oneshot;

/// The step of a client of weight 1.
const STEP: u64 = 1 << 20;

/// Slots, and who waits for them.
#[derive(Debug)]
pub(super) struct Slots(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    size: usize,
    running: usize,
    most_waiting: usize,
    waiting: BTreeMap<ServingOrder, Waiter>,
    /// The last turn of each client that waits, or did since the queue was last empty.
    last: HashMap<Arc<str>, u64>,
    /// The turn that was served last.
    served: u64,
    arrived: u64,
}

/// When a request is served; of equal ones, the first that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ServingOrder {
    at: u64,
    arrived: u64,
}

#[derive(Debug)]
struct Waiter {
    client: Arc<str>,
    step: u64,
    slot: oneshot::Sender<Slot>,
}

/// A slot, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot(Option<Arc<Slots>>);

/// A place in the queue; gives the slot, or nothing when others came before it and the queue was full.
#[derive(Debug)]
pub(super) struct QueueEntry {
    slots: Arc<Slots>,
    turn: ServingOrder,
    slot: oneshot::Receiver<Slot>,
    /// How many were before it when it came.
    pub(super) ahead: usize,
}

impl Slots {
    pub(super) fn new(size: usize, most_waiting: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            size,
            most_waiting,
            ..State::default()
        })))
    }

    /// Another number of slots; what runs goes on.
    pub(super) fn resize(self: &Arc<Self>, size: usize, most_waiting: usize) {
        let mut state = self.lock();
        (state.size, state.most_waiting) = (size, most_waiting);
        self.serve(&mut state);
    }

    /// A slot, where one is free.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.lock();
        let is_free = state.running < state.size;
        is_free.then(|| {
            state.running += 1;
            Slot(Some(Arc::clone(self)))
        })
    }

    /// A place in the queue.
    pub(super) fn queue(self: &Arc<Self>, client: &str, weight: u32) -> QueueEntry {
        let mut state = self.lock();
        let step = (STEP / u64::from(weight.max(1))).max(1);
        let last = state.last.get(client).copied().unwrap_or_default();
        state.arrived += 1;
        let turn = ServingOrder {
            at: last.max(state.served) + step,
            arrived: state.arrived,
        };
        let client: Arc<str> = client.into();
        state.last.insert(Arc::clone(&client), turn.at);
        let ahead = state.waiting.range(..turn).count();
        let (sender, slot) = oneshot::channel();
        let waiter = Waiter {
            client,
            step,
            slot: sender,
        };
        state.waiting.insert(turn, waiter);
        self.serve(&mut state);
        while state.waiting.len() > state.most_waiting
            && let Some((turn, waiter)) = state.waiting.pop_last()
        {
            state.take_back(turn, &waiter);
        }
        QueueEntry {
            slots: Arc::clone(self),
            turn,
            slot,
            ahead,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.lock().size
    }

    pub(super) fn running(&self) -> usize {
        self.lock().running
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Gives free slots to those whose turn it is.
    fn serve(self: &Arc<Self>, state: &mut State) {
        while state.running < state.size
            && let Some((turn, waiter)) = state.waiting.pop_first()
        {
            state.served = turn.at;
            state.running += 1;
            if let Err(mut unwanted) = waiter.slot.send(Slot(Some(Arc::clone(self)))) {
                // It would take the lock to give itself back.
                unwanted.0 = None;
                state.running -= 1;
            }
        }
        if state.waiting.is_empty() {
            state.last.clear();
            state.served = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A client does not pay for what it did not get: its next request has the turn of this one, if this was its last.
    fn take_back(&mut self, turn: ServingOrder, waiter: &Waiter) {
        if let Some(last) = self.last.get_mut(&waiter.client)
            && *last == turn.at
        {
            *last -= waiter.step;
        }
    }
}

impl Future for QueueEntry {
    type Output = Option<Slot>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Slot>> {
        Pin::new(&mut self.slot).poll(context).map(Result::ok)
    }
}

impl Drop for QueueEntry {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        if let Some(waiter) = state.waiting.remove(&self.turn) {
            state.take_back(self.turn, &waiter);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            let mut state = slots.lock();
            state.running -= 1;
            slots.serve(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::{QueueEntry, Slots};

    /// The clients of these places in the order in which they get the only slot.
    fn order(mut places: Vec<(&'static str, QueueEntry)>) -> Vec<&'static str> {
        let mut order = Vec::new();
        while !places.is_empty() {
            let next = places
                .iter_mut()
                .position(|(_, place)| place.now_or_never().is_some());
            let (client, place) = places.remove(next.unwrap());
            order.push(client);
            drop(place);
        }
        order
    }

    #[test]
    fn clients_take_turns_by_their_weight() {
        let slots = Slots::new(1, 100);
        let running = slots.try_take().unwrap();
        let mut places = Vec::new();
        // The flood comes first.
        for (client, weight, requests) in [("flood", 1, 6), ("heavy", 2, 4), ("one", 1, 1)] {
            places.extend((0..requests).map(|_| (client, slots.queue(client, weight))));
        }
        drop(running);
        assert_eq!(
            order(places),
            [
                "heavy", "flood", "heavy", "one", "heavy", "flood", "heavy", "flood", "flood",
                "flood", "flood"
            ]
        );
        assert_eq!((slots.running(), slots.waiting()), (0, 0));
    }

    #[test]
    fn a_full_queue_refuses_the_client_that_fills_it() {
        let slots = Slots::new(1, 2);
        let running = slots.try_take().unwrap();
        let mut first = slots.queue("flood", 1);
        let mut second = slots.queue("flood", 1);
        assert_eq!(
            slots
                .queue("flood", 1)
                .now_or_never()
                .map(|slot| slot.is_none()),
            Some(true)
        );
        let mut other = slots.queue("other", 1);
        assert!(matches!((&mut second).now_or_never(), Some(None)));
        assert!((&mut other).now_or_never().is_none());
        // What was refused does not count: its next turn comes after one of the other's.
        let mut again = slots.queue("flood", 1);
        assert!(matches!((&mut again).now_or_never(), Some(None)));
        drop(running);
        let slot = (&mut first).now_or_never();
        assert!(matches!(slot, Some(Some(_))));
        drop(slot);
        assert!(matches!((&mut other).now_or_never(), Some(Some(_))));
        assert_eq!((slots.running(), slots.waiting()), (0, 0));
    }

    #[test]
    fn a_place_that_is_given_up_leaves_nothing_behind() {
        let slots = Slots::new(1, 2);
        let running = slots.try_take().unwrap();
        drop(slots.queue("gone", 1));
        let place = slots.queue("gone", 1);
        drop(running);
        // It has its slot, and goes without taking it.
        assert_eq!((slots.running(), slots.waiting()), (1, 0));
        drop(place);
        assert_eq!(slots.running(), 0);
    }

    #[test]
    fn slots_become_fewer_as_requests_end_and_more_at_once() {
        let slots = Slots::new(3, 10);
        let (first, second) = (slots.try_take().unwrap(), slots.try_take().unwrap());
        slots.resize(1, 10);
        drop(first);
        assert!(slots.try_take().is_none(), "one that is gone was given out");
        let mut waiting = slots.queue("client", 1);
        assert!((&mut waiting).now_or_never().is_none());
        slots.resize(2, 10);
        let third = (&mut waiting).now_or_never();
        assert!(matches!(third, Some(Some(_))));
        assert_eq!((slots.running(), slots.try_take().is_none()), (2, true));
        drop((second, third));
        assert_eq!(slots.running(), 0);
    }
}
