//! Counts of refused and closed connections since the start, for the log and for monitoring.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowlake_data_action::Gauge;

use super::activity::Overdue;
use crate::{
    connection_slots::{ConnectionSlots, Full},
    gauge::{number, single},
    network::Network,
};

#[derive(Debug, Default)]
pub(super) struct Counters {
    refused_total: AtomicU64,
    refused_network: AtomicU64,
    closed_header: AtomicU64,
    closed_idle: AtomicU64,
    evicted: AtomicU64,
    failed_accepts: AtomicU64,
}

impl Counters {
    pub(super) fn accept_failed(&self) {
        self.failed_accepts.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self, full: Full, network: Network) {
        let count = match full {
            Full::Total => &self.refused_total,
            Full::Network => &self.refused_network,
        };
        let event = "a connection was refused: too many are open";
        count_and_log(count, network, event);
    }

    /// Counts a connection without credentials that lost its slot to a connection from `network`.
    pub(super) fn evicted(&self, network: Network) {
        let event = "a connection without credentials was closed: another needed its room";
        count_and_log(&self.evicted, network, event);
    }

    pub(super) fn closed(&self, overdue: Overdue) {
        let count = match overdue {
            Overdue::Header => &self.closed_header,
            Overdue::Idle => &self.closed_idle,
        };
        count.fetch_add(1, Relaxed);
    }

    pub(super) fn gauges(&self, slots: &ConnectionSlots) -> [Gauge; 5] {
        let labelled = |label, value: &str, count: &AtomicU64| {
            (vec![(label, value.to_owned())], number(count.load(Relaxed)))
        };
        [
            single(
                "flowlake_connections_open",
                "Connections that are open.",
                number(slots.taken() as u64),
            ),
            single(
                "flowlake_connections_unproved",
                "Open connections over which no request with valid credentials came yet: they are closed where others need their room.",
                number(slots.unauthenticated() as u64),
            ),
            single(
                "flowlake_accept_failures",
                "Connections that could not be accepted since the start, for want of file handles or memory; each is tried again.",
                number(self.failed_accepts.load(Relaxed)),
            ),
            Gauge {
                name: "flowlake_connections_refused",
                help: "Connections that were closed at once since the start, because too many were open.",
                values: vec![
                    labelled("limit", "total", &self.refused_total),
                    labelled("limit", "address", &self.refused_network),
                ],
            },
            Gauge {
                name: "flowlake_connections_closed",
                help: "Connections that were closed since the start: the peer was too slow, or sent no credentials while another connection needed the room.",
                values: vec![
                    labelled("reason", "header", &self.closed_header),
                    labelled("reason", "idle", &self.closed_idle),
                    labelled("reason", "displaced", &self.evicted),
                ],
            },
        ]
    }
}

/// Logs the first, the second, the fourth event, and so on: a flood of connections must not become a flood of log lines.
fn count_and_log(count: &AtomicU64, network: Network, event: &str) {
    let times = count.fetch_add(1, Relaxed) + 1;
    if times.is_power_of_two() {
        tracing::warn!(%network, times, "{event}");
    }
}
