//! How many connections are open, in all and from each network.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio_util::sync::CancellationToken;

/// An IPv4 address, or the /64 network of an IPv6 address: a single caller has all of its 2^64 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

/// Bounds the open connections.
///
/// A connection proves itself with the first request that carries valid credentials. Where no seat is free, a new connection takes
/// that of one that has not proved itself: strangers who open connections cannot keep others out.
#[derive(Debug)]
pub(crate) struct Seats {
    most: AtomicUsize,
    most_of_one: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    opened: u64,
    by_network: HashMap<Network, OfNetwork>,
}

/// The connections of one network.
#[derive(Debug, Default)]
struct OfNetwork {
    total: usize,
    /// Those that have not proved themselves, in the order in which they were opened, and what ends each.
    unproved: BTreeMap<u64, CancellationToken>,
}

/// The room of one connection, until it is dropped; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Seat(Arc<Held>);

#[derive(Debug)]
struct Held {
    seats: Arc<Seats>,
    network: Option<Network>,
    number: u64,
    is_proved: AtomicBool,
}

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// That of all connections.
    Total,
    /// That of the connection's own network.
    Network,
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(formatter),
            IpAddr::V6(address) => write!(formatter, "{address}/64"),
        }
    }
}

impl Seats {
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most: AtomicUsize::new(most),
            most_of_one: AtomicUsize::new(most_of_one),
            taken: Mutex::default(),
        })
    }

    /// Other bounds, for connections that come from now on.
    pub(crate) fn resize(&self, most: usize, most_of_one: usize) {
        self.most.store(most, Relaxed);
        self.most_of_one.store(most_of_one, Relaxed);
    }

    /// Room for one connection more, and whether another connection loses its room for it. `end` is cancelled when this one does.
    /// Without a network it counts among all only, and keeps its room.
    pub(crate) fn take(
        self: &Arc<Self>,
        network: Option<Network>,
        end: &CancellationToken,
    ) -> Result<(Seat, bool), Full> {
        let mut taken = self.lock();
        let mut displaces = false;
        if let Some(network) = network
            && taken.of(network) >= self.most_of_one.load(Relaxed)
        {
            displaces = taken.displace(network);
            if !displaces {
                return Err(Full::Network);
            }
        }
        if taken.total >= self.most.load(Relaxed) {
            displaces = taken.greediest().is_some_and(|found| taken.displace(found));
            if !displaces {
                return Err(Full::Total);
            }
        }
        taken.total += 1;
        taken.opened += 1;
        let number = taken.opened;
        if let Some(network) = network {
            let of_network = taken.by_network.entry(network).or_default();
            of_network.total += 1;
            of_network.unproved.insert(number, end.clone());
        }
        let held = Held {
            seats: Arc::clone(self),
            network,
            number,
            is_proved: AtomicBool::new(false),
        };
        Ok((Seat(Arc::new(held)), displaces))
    }

    /// Connections that are open.
    pub(crate) fn taken(&self) -> usize {
        self.lock().total
    }

    /// Connections that are open and have not proved themselves.
    pub(crate) fn unproved(&self) -> usize {
        let taken = self.lock();
        let of_networks = taken.by_network.values();
        of_networks.map(|found| found.unproved.len()).sum()
    }

    /// Whether a new connection is refused wherever it comes from.
    pub(crate) fn is_full(&self) -> bool {
        let taken = self.lock();
        taken.total >= self.most.load(Relaxed) && taken.greediest().is_none()
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

    /// The network with the most connections that have not proved themselves.
    fn greediest(&self) -> Option<Network> {
        let unproved = self.by_network.iter();
        let unproved = unproved.filter(|(_, found)| !found.unproved.is_empty());
        let most = unproved.max_by_key(|(_, found)| found.unproved.len());
        most.map(|(network, _)| *network)
    }

    /// Ends the oldest connection of a network that has not proved itself; returns whether there is one.
    fn displace(&mut self, network: Network) -> bool {
        let found = self.by_network.get_mut(&network);
        let oldest = found.and_then(|found| found.unproved.pop_first());
        let Some((_, end)) = oldest else {
            return false;
        };
        end.cancel();
        self.leave(Some(network));
        true
    }

    /// Counts one connection less.
    fn leave(&mut self, network: Option<Network>) {
        self.total -= 1;
        if let Some(network) = network
            && let Some(of_network) = self.by_network.get_mut(&network)
        {
            of_network.total -= 1;
            if of_network.total == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Seat {
    /// Notes that a request with valid credentials came over the connection: it keeps its room.
    pub(crate) fn prove(&self) {
        let held = &self.0;
        let Some(network) = held.network.filter(|_| !held.is_proved.load(Relaxed)) else {
            return;
        };
        let mut taken = held.seats.lock();
        let found = taken.by_network.get_mut(&network);
        // One that has lost its room is about to end.
        let was_held = found.is_some_and(|found| found.unproved.remove(&held.number).is_some());
        held.is_proved.store(was_held, Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let is_held = match self.network {
            None => true,
            Some(network) => {
                let found = taken.by_network.get_mut(&network);
                let unproved = found.and_then(|found| found.unproved.remove(&self.number));
                self.is_proved.load(Relaxed) || unproved.is_some()
            }
        };
        if is_held {
            taken.leave(self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio_util::sync::CancellationToken;

    use super::{Full, Network, Seat, Seats};

    fn network(address: &str) -> Option<Network> {
        Some(address.parse::<IpAddr>().unwrap().into())
    }

    /// A seat of a connection that has proved itself.
    fn proved(seats: &std::sync::Arc<Seats>, address: &str) -> Result<Seat, Full> {
        let (seat, _) = seats.take(network(address), &CancellationToken::new())?;
        seat.prove();
        Ok(seat)
    }

    #[test]
    fn a_seat_is_given_back_and_a_network_of_ipv6_is_one_peer() {
        let seats = Seats::new(3, 2);
        let none = CancellationToken::new();
        let first = proved(&seats, "2001:db8::1").unwrap();
        let _second = proved(&seats, "2001:db8::2:0:0:1").unwrap();
        assert_eq!(proved(&seats, "2001:db8::3").unwrap_err(), Full::Network);
        // An IPv4 address is the same however it is written.
        let _third = proved(&seats, "::ffff:192.0.2.1").unwrap();
        assert!(seats.is_full());
        assert_eq!(proved(&seats, "192.0.2.1").unwrap_err(), Full::Total);
        drop(first);
        assert_eq!(seats.taken(), 2);
        let fourth = proved(&seats, "192.0.2.1").unwrap();
        assert_eq!(seats.take(None, &none).unwrap_err(), Full::Total);
        drop(fourth);
        // What comes from a trusted proxy has no network that it would fill.
        drop(seats.take(None, &none).unwrap());
        let _fifth = proved(&seats, "192.0.2.1").unwrap();
        assert_eq!(network("2001:db8::2").unwrap().to_string(), "2001:db8::/64");
        assert_eq!(
            network("::ffff:192.0.2.1").unwrap().to_string(),
            "192.0.2.1"
        );
    }

    #[test]
    fn connections_without_credentials_lose_their_seats_to_new_ones() {
        let seats = Seats::new(4, 3);
        let take = |address: &str| {
            let end = CancellationToken::new();
            let (seat, displaces) = seats.take(network(address), &end).unwrap();
            (seat, end, displaces)
        };
        let greedy = [(); 3].map(|()| take("192.0.2.1"));
        let known = proved(&seats, "192.0.2.2").unwrap();
        assert!(!seats.is_full());
        // The oldest of the network with the most of them.
        let (third, _, displaces) = take("192.0.2.3");
        assert!(displaces && greedy[0].1.is_cancelled() && !greedy[1].1.is_cancelled());
        assert_eq!((seats.taken(), seats.unproved()), (4, 3));
        // What has lost its seat gives none back, whatever comes over it.
        let [(first, ..), second, last] = greedy;
        first.prove();
        drop(first);
        assert_eq!((seats.taken(), seats.unproved()), (4, 3));
        for (seat, ..) in [&second, &last] {
            seat.prove();
        }
        third.prove();
        assert!(seats.is_full());
        assert!(
            seats
                .take(network("192.0.2.4"), &CancellationToken::new())
                .is_err()
        );
        drop(known);
        // A network at its own bound loses one of its own.
        let (own, end, _) = take("192.0.2.1");
        assert_eq!(own.0.network, network("192.0.2.1"));
        drop(third);
        let (_new, _, displaces) = take("192.0.2.1");
        assert!(displaces && end.is_cancelled());
        assert_eq!(seats.taken(), 3);
    }
}
