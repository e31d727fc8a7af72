//! How many connections are open, in all and from each network.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// An IPv4 address, or the /64 network of an IPv6 address: a single caller has all of its 2^64 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

/// Bounds the open connections.
#[derive(Debug)]
pub(crate) struct Seats {
    most: AtomicUsize,
    most_of_one: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_network: HashMap<Network, usize>,
}

/// The room of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    network: Option<Network>,
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

    /// Room for one connection more; without a network, it counts among all only.
    pub(crate) fn take(self: &Arc<Self>, network: Option<Network>) -> Result<Seat, Full> {
        let mut taken = self.lock();
        if taken.total >= self.most.load(Relaxed) {
            return Err(Full::Total);
        }
        if let Some(network) = network {
            let of_network = taken.by_network.entry(network).or_default();
            if *of_network >= self.most_of_one.load(Relaxed) {
                return Err(Full::Network);
            }
            *of_network += 1;
        }
        taken.total += 1;
        Ok(Seat {
            seats: Arc::clone(self),
            network,
        })
    }

    /// Connections that are open.
    pub(crate) fn taken(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.total -= 1;
        if let Some(network) = self.network
            && let Some(of_network) = taken.by_network.get_mut(&network)
        {
            *of_network -= 1;
            if *of_network == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Full, Network, Seats};

    fn network(address: &str) -> Option<Network> {
        Some(address.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn a_seat_is_given_back_and_a_network_of_ipv6_is_one_peer() {
        let seats = Seats::new(3, 2);
        let first = seats.take(network("2001:db8::1")).unwrap();
        let _second = seats.take(network("2001:db8::2:0:0:1")).unwrap();
        assert_eq!(
            seats.take(network("2001:db8::3")).unwrap_err(),
            Full::Network
        );
        // An IPv4 address is the same however it is written.
        let _third = seats.take(network("::ffff:192.0.2.1")).unwrap();
        assert_eq!(seats.take(network("192.0.2.1")).unwrap_err(), Full::Total);
        drop(first);
        assert_eq!(seats.taken(), 2);
        let fourth = seats.take(network("192.0.2.1")).unwrap();
        assert_eq!(seats.take(None).unwrap_err(), Full::Total);
        drop(fourth);
        // What comes from a trusted proxy has no network that it would fill.
        drop([seats.take(None).unwrap()]);
        let _fifth = seats.take(network("192.0.2.1")).unwrap();
        assert_eq!(network("2001:db8::2").unwrap().to_string(), "2001:db8::/64");
        assert_eq!(
            network("::ffff:192.0.2.1").unwrap().to_string(),
            "192.0.2.1"
        );
    }
}
