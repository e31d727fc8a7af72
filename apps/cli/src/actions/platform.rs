//! The Platform API, with the OAuth client of `[genesys]`.

use std::{io::IsTerminal, time::Duration};

use flowlake_data_action::{ActionError, Door, ErrorCode, ProcessEnvironment, Project};
use flowlake_genesys_publish::{Error, ErrorKind, PlatformClient, PlatformSettings};

use super::document;
use crate::{failure::Failure, output};

/// How long a request waits for its turn under the rate limit of the OAuth client, which counts by the minute.
const PATIENCE_SECONDS: u64 = 60;

/// A client for the integration of a door.
pub(super) fn client(project: &Project, via: Option<Door>) -> Result<PlatformClient, Failure> {
    let publish = document::settings(project)?;
    let door = publish.door(via)?;
    let genesys = project.config.genesys.as_ref().ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "[genesys] is not configured",
            "Add [genesys] with region, client_id and client_secret to flowlake.toml.",
        )
    })?;
    let settings = PlatformSettings {
        integration_id: publish.integration_id(door).to_owned(),
        category: publish.category.clone(),
        ..PlatformSettings::default()
    };
    // Nobody waits on the telephone for a publication: it may take a minute's turn of the rate limit.
    let mut patient = genesys.clone();
    patient.token.wait_seconds = patient.token.wait_seconds.max(PATIENCE_SECONDS);
    let tokens = patient.tokens(&ProcessEnvironment)?;
    let builder = PlatformClient::builder(genesys.platform()?, tokens).with_settings(settings);
    let builder = if std::io::stderr().is_terminal() {
        builder.with_on_wait(|wait: Duration| {
            output::note(&format!(
                "Genesys Cloud asks to wait: {} s",
                wait.as_secs().max(1)
            ));
        })
    } else {
        builder
    };
    Ok(builder.build()?)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        action_error(error).into()
    }
}

/// The error with its stable code and advice.
pub(super) fn action_error(error: Error) -> ActionError {
    let (code, advice) = match error.kind() {
        ErrorKind::InvalidSetting => (
            ErrorCode::ConfigInvalid,
            "Correct [publish] and [genesys] in flowlake.toml.",
        ),
        ErrorKind::InvalidDocument => (
            ErrorCode::ConfigInvalid,
            "Correct the document; docs/genesys.md has the rules.",
        ),
        ErrorKind::Unauthorized => (
            ErrorCode::GenesysCredentials,
            "Check client_id and client_secret in [genesys], and that the OAuth client is active.",
        ),
        ErrorKind::Forbidden => (
            ErrorCode::GenesysForbidden,
            "Give a role with this permission to the OAuth client, in Admin under Integrations, OAuth.",
        ),
        ErrorKind::RateLimited => (
            ErrorCode::GenesysRateLimited,
            "Try again later; an OAuth client may make 300 requests a minute.",
        ),
        ErrorKind::Unavailable | ErrorKind::InvalidResponse => (
            ErrorCode::GenesysUnavailable,
            "Check the region in [genesys] and the network, and try again.",
        ),
        _ => (
            ErrorCode::GenesysRejected,
            "See `flowlake actions list`, and `flowlake actions diff` for what would change.",
        ),
    };
    let wait = error.retry_after();
    ActionError::new(code, error.to_string(), advice)
        .with_retry_after(wait)
        .with_source(error)
}
