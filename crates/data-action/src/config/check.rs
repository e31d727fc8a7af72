//! Figures that cannot be meant, or that a part of the process cannot take.

use tokio::sync::Semaphore;

use super::{audit::ShipConfig, genesys::GenesysSettings, server::ServerSettings};
use crate::{ActionError, ErrorCode};

/// Longest wait in seconds that anything can be set to.
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Refuses the first figure that is out of its range.
///
/// Only those are here that the part they belong to does not refuse by itself when it is built.
pub(super) fn check(
    server: &ServerSettings,
    ship: Option<&ShipConfig>,
    genesys: Option<&GenesysSettings>,
) -> Result<(), ActionError> {
    let requests = server.max_concurrent_requests as u64;
    let most_requests = Semaphore::MAX_PERMITS as u64;
    within(
        "server",
        "max_concurrent_requests",
        requests,
        1,
        most_requests,
    )?;
    let bounds = [
        ("max_body_bytes", server.max_body_bytes, 1, usize::MAX),
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
    ];
    for (key, value, least, most) in bounds {
        within("server", key, value as u64, least as u64, most as u64)?;
    }
    for (key, time) in [
        ("header_timeout", server.header_timeout),
        ("body_timeout", server.body_timeout),
        ("idle_timeout", server.idle_timeout),
    ] {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let key = format!("{key} in milliseconds");
        within("server", &key, time, 1, DAY_SECONDS * 1000)?;
    }
    let grace = server.shutdown_grace_seconds;
    within("server", "shutdown_grace_seconds", grace, 0, DAY_SECONDS)?;
    if let Some(ship) = ship {
        for (key, wait) in [
            ("check_every", ship.check_every),
            ("longest_wait", ship.longest_wait),
        ] {
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let key = format!("{key} in milliseconds");
            within("audit.ship", &key, wait, 1, DAY_SECONDS * 1000)?;
        }
    }
    if let Some(genesys) = genesys {
        let token = &genesys.token;
        for (key, value, least) in [
            ("request_timeout_seconds", token.request_timeout_seconds, 1),
            ("wait_seconds", token.wait_seconds, 0),
            ("refresh_margin_seconds", token.refresh_margin_seconds, 0),
        ] {
            within("genesys.token", key, value, least, DAY_SECONDS)?;
        }
        let requests = u64::from(token.requests_per_minute);
        within(
            "genesys.token",
            "requests_per_minute",
            requests,
            1,
            u64::MAX,
        )?;
    }
    Ok(())
}

fn within(section: &str, key: &str, value: u64, least: u64, most: u64) -> Result<(), ActionError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let range = match most {
        u64::MAX => format!("at least {least}"),
        _ => format!("between {least} and {most}"),
    };
    Err(ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("{key} in [{section}] is {value} and must be {range}"),
        "Correct it, or leave it out for the default.",
    ))
}
