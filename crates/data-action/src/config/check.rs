//! Values that cannot be meant, or that a part of the process cannot take.

use std::time::Duration;

use flowlake_cost_audit::SharedBudget;
use tokio::sync::Semaphore;

use super::{
    audit::ShipConfig, genesys::GenesysSettings, publish::PublishSettings, server::ServerSettings,
};
use crate::{ActionError, ClientSettings, ErrorCode};

/// Longest wait in seconds that anything can be set to.
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Most requests that can run or wait at a time: permits of a semaphore.
const MOST_REQUESTS: usize = Semaphore::MAX_PERMITS;

/// Refuses the first value that is out of its range, or contradicts another.
///
/// Only those are here that the part they belong to does not refuse by itself when it is built.
pub(super) fn check(
    server: &ServerSettings,
    ship: Option<&ShipConfig>,
    shared: Option<&SharedBudget>,
    genesys: Option<&GenesysSettings>,
    publish: Option<&PublishSettings>,
) -> Result<(), ActionError> {
    check_server(server)?;
    server.clients.iter().try_for_each(check_client)?;
    ship.map_or(Ok(()), check_shipping)?;
    shared.map_or(Ok(()), check_shared_budget)?;
    genesys.map_or(Ok(()), check_token)?;
    publish.map_or(Ok(()), PublishSettings::check)
}

fn check_server(server: &ServerSettings) -> Result<(), ActionError> {
    for (key, value, least, most) in [
        (
            "max_concurrent_requests",
            server.max_concurrent_requests,
            1,
            MOST_REQUESTS,
        ),
        (
            "max_concurrent_lookups",
            server.max_concurrent_lookups,
            1,
            MOST_REQUESTS,
        ),
        (
            "max_concurrent_aggregates",
            server.max_concurrent_aggregates,
            1,
            MOST_REQUESTS,
        ),
        (
            "max_queued_requests",
            server.max_queued_requests,
            0,
            MOST_REQUESTS,
        ),
        ("max_body_bytes", server.max_body_bytes, 1, usize::MAX),
        ("max_batch_requests", server.max_batch_requests, 1, 10_000),
        // The HTTP library's own buffer is no smaller.
        (
            "max_header_bytes",
            server.max_header_bytes,
            8 << 10,
            1 << 20,
        ),
        ("max_connections", server.max_connections, 1, usize::MAX),
        (
            "max_connections_per_address",
            server.max_connections_per_address,
            1,
            usize::MAX,
        ),
    ] {
        within(&["server"], key, value as u64, least as u64, most as u64)?;
    }
    address("listen", &server.listen)?;
    if let Some(admin) = &server.admin {
        address("admin", admin)?;
    }
    for (key, time) in [
        ("header_timeout", server.header_timeout),
        ("body_timeout", server.body_timeout),
        ("idle_timeout", server.idle_timeout),
    ] {
        time_within(&["server"], key, time)?;
    }
    if !server.reload_every.is_zero() {
        time_within(&["server"], "reload_every", server.reload_every)?;
    }
    time_within(&["server", "tokens"], "lifetime", server.tokens.lifetime)?;
    if let Some(tls) = &server.tls {
        time_within(&["server", "tls"], "check_every", tls.check_every)?;
    }
    for (key, seconds) in [
        ("shutdown_grace_seconds", server.shutdown_grace_seconds),
        ("shutdown_drain_seconds", server.shutdown_drain_seconds),
    ] {
        within(&["server"], key, seconds, 0, DAY_SECONDS)?;
    }
    Ok(())
}

fn check_client(client: &ClientSettings) -> Result<(), ActionError> {
    let section = ["server", "clients", client.name.as_str()];
    if let Some(rate) = client.rate {
        let (most, burst) = (u64::from(rate.per_minute), u64::from(rate.burst));
        within(&section, "rate.per_minute", most, 1, 60_000_000)?;
        within(&section, "rate.burst", burst, 1, 1_000_000)?;
    }
    if let Some(requests) = client.max_concurrent_requests {
        let key = "max_concurrent_requests";
        within(&section, key, requests as u64, 1, MOST_REQUESTS as u64)?;
    }
    Ok(())
}

fn check_shipping(ship: &ShipConfig) -> Result<(), ActionError> {
    let section = ["audit", "ship"];
    time_within(&section, "check_every", ship.check_every)?;
    time_within(&section, "longest_wait", ship.longest_wait)
}

fn check_shared_budget(shared: &SharedBudget) -> Result<(), ActionError> {
    let section = ["budget", "shared"];
    time_within(&section, "every", shared.every)?;
    let ahead = shared.ahead_percent.into();
    within(&section, "ahead_percent", ahead, 0, 100)
}

fn check_token(genesys: &GenesysSettings) -> Result<(), ActionError> {
    let token = &genesys.token;
    for (key, value, least) in [
        ("request_timeout_seconds", token.request_timeout_seconds, 1),
        ("wait_seconds", token.wait_seconds, 0),
        ("refresh_margin_seconds", token.refresh_margin_seconds, 0),
    ] {
        within(&["genesys", "token"], key, value, least, DAY_SECONDS)?;
    }
    let requests = u64::from(token.requests_per_minute);
    within(
        &["genesys", "token"],
        "requests_per_minute",
        requests,
        1,
        u64::MAX,
    )?;
    Ok(())
}

/// An address and a port to listen on; whether there is such an address is known when it is listened on.
fn address(key: &str, text: &str) -> Result<(), ActionError> {
    let parts = text.rsplit_once(':');
    if parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Ok(());
    }
    let error = ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("{key} in [server] is `{text}` and must be an address and a port"),
        "Write it as 127.0.0.1:8080; port 0 takes a free one.",
    );
    Err(error.at_key(["server", key]))
}

/// A wait that is neither none nor for ever.
fn time_within(section: &[&str], key: &str, time: Duration) -> Result<(), ActionError> {
    let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let key = format!("{key} in milliseconds");
    within(section, &key, time, 1, DAY_SECONDS * 1000)
}

/// `section` is a table of the file; of one in an array, the last is its name.
fn within(
    section: &[&str],
    key: &str,
    value: u64,
    least: u64,
    most: u64,
) -> Result<(), ActionError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let range = match most {
        u64::MAX => format!("at least {least}"),
        _ => format!("between {least} and {most}"),
    };
    let table = section[..section.len().min(2)].join(".");
    let error = ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("{key} in [{table}] is {value} and must be {range}"),
        "Correct it, or leave it out for the default.",
    );
    let name = key.split(' ').next().unwrap_or(key);
    Err(error.at_key(section.iter().copied().chain(name.split('.'))))
}
