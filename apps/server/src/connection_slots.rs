//! Limits how many connections are open, in all and from each network.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio_util::sync::CancellationToken;

use crate::network::Network;

/// The slots for open connections.
///
/// A connection is authenticated by its first request with valid credentials. When no slot is free, a new connection evicts the oldest
/// unauthenticated one of the network that has most of them: strangers who open connections cannot keep others out.
#[derive(Debug)]
pub(crate) struct ConnectionSlots {
    max_total: AtomicUsize,
    max_per_network: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    opened: u64,
    by_network: HashMap<Network, NetworkSlots>,
}

/// The slots of one network.
#[derive(Debug, Default)]
struct NetworkSlots {
    total: usize,
    /// Its unauthenticated connections, oldest first, each with the token that ends it.
    unauthenticated: BTreeMap<u64, CancellationToken>,
}

/// The slot of one connection. Dropping the last clone frees it.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionSlot(Arc<Held>);

#[derive(Debug)]
struct Held {
    slots: Arc<ConnectionSlots>,
    network: Option<Network>,
    number: u64,
    is_authenticated: AtomicBool,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// `max_connections`.
    Total,
    /// `max_connections_per_address`, of the connection's own network.
    Network,
}

impl ConnectionSlots {
    pub(crate) fn new(max_total: usize, max_per_network: usize) -> Arc<Self> {
        Arc::new(Self {
            max_total: AtomicUsize::new(max_total),
            max_per_network: AtomicUsize::new(max_per_network),
            taken: Mutex::default(),
        })
    }

    /// Changes the limits for new connections.
    pub(crate) fn resize(&self, max_total: usize, max_per_network: usize) {
        self.max_total.store(max_total, Relaxed);
        self.max_per_network.store(max_per_network, Relaxed);
    }

    /// Takes a slot, and returns it with whether another connection was evicted for it. `abort` is cancelled when this connection is
    /// evicted. Without a network, the connection counts among all only, and is never evicted.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        network: Option<Network>,
        abort: &CancellationToken,
    ) -> Result<(ConnectionSlot, bool), Full> {
        let mut taken = self.lock();
        let mut has_evicted = false;
        if let Some(network) = network
            && taken.of(network) >= self.max_per_network.load(Relaxed)
        {
            has_evicted = taken.evict(network);
            if !has_evicted {
                return Err(Full::Network);
            }
        }
        if taken.total >= self.max_total.load(Relaxed) {
            has_evicted = taken
                .most_unauthenticated()
                .is_some_and(|found| taken.evict(found));
            if !has_evicted {
                return Err(Full::Total);
            }
        }
        taken.total += 1;
        taken.opened += 1;
        let number = taken.opened;
        if let Some(network) = network {
            let network_slots = taken.by_network.entry(network).or_default();
            network_slots.total += 1;
            network_slots.unauthenticated.insert(number, abort.clone());
        }
        let held = Held {
            slots: Arc::clone(self),
            network,
            number,
            is_authenticated: AtomicBool::new(false),
        };
        Ok((ConnectionSlot(Arc::new(held)), has_evicted))
    }

    /// Number of open connections.
    pub(crate) fn taken(&self) -> usize {
        self.lock().total
    }

    /// Number of open connections that are not authenticated.
    pub(crate) fn unauthenticated(&self) -> usize {
        let taken = self.lock();
        let of_networks = taken.by_network.values();
        of_networks.map(|found| found.unauthenticated.len()).sum()
    }

    /// Whether a new connection is refused, whatever its network.
    pub(crate) fn is_full(&self) -> bool {
        let taken = self.lock();
        taken.total >= self.max_total.load(Relaxed) && taken.most_unauthenticated().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn of(&self, network: Network) -> usize {
        let found = self.by_network.get(&network);
        found.map_or(0, |found| found.total)
    }

    /// The network with the most unauthenticated connections.
    fn most_unauthenticated(&self) -> Option<Network> {
        let unauthenticated = self.by_network.iter();
        let unauthenticated =
            unauthenticated.filter(|(_, found)| !found.unauthenticated.is_empty());
        let most = unauthenticated.max_by_key(|(_, found)| found.unauthenticated.len());
        most.map(|(network, _)| *network)
    }

    /// Ends the oldest unauthenticated connection of a network. Returns false if there is none.
    fn evict(&mut self, network: Network) -> bool {
        let found = self.by_network.get_mut(&network);
        let oldest = found.and_then(|found| found.unauthenticated.pop_first());
        let Some((_, end)) = oldest else {
            return false;
        };
        end.cancel();
        self.release(Some(network));
        true
    }

    /// Counts one connection less.
    fn release(&mut self, network: Option<Network>) {
        self.total -= 1;
        if let Some(network) = network
            && let Some(network_slots) = self.by_network.get_mut(&network)
        {
            network_slots.total -= 1;
            if network_slots.total == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl ConnectionSlot {
    /// Marks the connection as authenticated: it is not evicted any more.
    pub(crate) fn set_authenticated(&self) {
        let held = &self.0;
        let Some(network) = held
            .network
            .filter(|_| !held.is_authenticated.load(Relaxed))
        else {
            return;
        };
        let mut taken = held.slots.lock();
        let found = taken.by_network.get_mut(&network);
        // An evicted connection is about to end.
        let was_held =
            found.is_some_and(|found| found.unauthenticated.remove(&held.number).is_some());
        held.is_authenticated.store(was_held, Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        let is_held = match self.network {
            None => true,
            Some(network) => {
                let found = taken.by_network.get_mut(&network);
                let unauthenticated =
                    found.and_then(|found| found.unauthenticated.remove(&self.number));
                self.is_authenticated.load(Relaxed) || unauthenticated.is_some()
            }
        };
        if is_held {
            taken.release(self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio_util::sync::CancellationToken;

    use super::{ConnectionSlot, ConnectionSlots, Full};
    use crate::network::Network;

    fn network(address: &str) -> Option<Network> {
        Some(address.parse::<IpAddr>().unwrap().into())
    }

    /// A slot of an authenticated connection.
    fn authenticated(
        slots: &std::sync::Arc<ConnectionSlots>,
        address: &str,
    ) -> Result<ConnectionSlot, Full> {
        let (slot, _) = slots.acquire(network(address), &CancellationToken::new())?;
        slot.set_authenticated();
        Ok(slot)
    }

    #[test]
    fn a_slot_is_freed_and_a_network_of_ipv6_is_one_peer() {
        let slots = ConnectionSlots::new(3, 2);
        let none = CancellationToken::new();
        let first = authenticated(&slots, "2001:db8::1").unwrap();
        let _second = authenticated(&slots, "2001:db8::2:0:0:1").unwrap();
        assert_eq!(
            authenticated(&slots, "2001:db8::3").unwrap_err(),
            Full::Network
        );
        // An IPv4 address is the same however it is written.
        let _third = authenticated(&slots, "::ffff:192.0.2.1").unwrap();
        assert!(slots.is_full());
        assert_eq!(authenticated(&slots, "192.0.2.1").unwrap_err(), Full::Total);
        drop(first);
        assert_eq!(slots.taken(), 2);
        let fourth = authenticated(&slots, "192.0.2.1").unwrap();
        assert_eq!(slots.acquire(None, &none).unwrap_err(), Full::Total);
        drop(fourth);
        // A connection from a trusted proxy counts for no network.
        drop(slots.acquire(None, &none).unwrap());
        let _fifth = authenticated(&slots, "192.0.2.1").unwrap();
    }

    #[test]
    fn connections_without_credentials_lose_their_slots_to_new_ones() {
        let slots = ConnectionSlots::new(4, 3);
        let take = |address: &str| {
            let end = CancellationToken::new();
            let (slot, has_evicted) = slots.acquire(network(address), &end).unwrap();
            (slot, end, has_evicted)
        };
        let greedy = [(); 3].map(|()| take("192.0.2.1"));
        let known = authenticated(&slots, "192.0.2.2").unwrap();
        assert!(!slots.is_full());
        // The oldest one of the network with the most is evicted.
        let (third, _, has_evicted) = take("192.0.2.3");
        assert!(has_evicted && greedy[0].1.is_cancelled() && !greedy[1].1.is_cancelled());
        assert_eq!((slots.taken(), slots.unauthenticated()), (4, 3));
        // An evicted connection frees no slot, whatever request comes over it.
        let [(first, ..), second, last] = greedy;
        first.set_authenticated();
        drop(first);
        assert_eq!((slots.taken(), slots.unauthenticated()), (4, 3));
        for (slot, ..) in [&second, &last] {
            slot.set_authenticated();
        }
        third.set_authenticated();
        assert!(slots.is_full());
        assert!(
            slots
                .acquire(network("192.0.2.4"), &CancellationToken::new())
                .is_err()
        );
        drop(known);
        // A network at its own limit evicts one of its own connections.
        let (own, end, _) = take("192.0.2.1");
        assert_eq!(own.0.network, network("192.0.2.1"));
        drop(third);
        let (_new, _, has_evicted) = take("192.0.2.1");
        assert!(has_evicted && end.is_cancelled());
        assert_eq!(slots.taken(), 3);
    }
}
