//! The Platform API, with the OAuth client of `[genesys]`.

use std::{fmt::Display, io::IsTerminal};

use flowlake_data_action::{ActionError, Door, ErrorCode, ProcessEnvironment, Project};
use flowlake_genesys_publish::{
    Error, ErrorKind, PlatformClient, PlatformClientBuilder, PlatformSettings, Wait,
};

use super::document;
use crate::{failure::Failure, output};

/// How long a request waits for its turn under the rate limit of the OAuth client, which counts by the minute.
pub(super) const PATIENCE_SECONDS: u64 = 60;

/// A client for the integration of a door.
pub(super) fn client(project: &Project, via: Option<Door>) -> Result<PlatformClient, Failure> {
    // Nobody waits on the telephone for a publication: it may take a minute's turn of the rate limit.
    Ok(builder(project, via, PATIENCE_SECONDS, |_| ())?.build()?)
}

/// The same, to be completed, with other settings than the usual. A token, and a turn under the rate limit, may take so long.
pub(super) fn builder(
    project: &Project,
    via: Option<Door>,
    patience_seconds: u64,
    change: impl FnOnce(&mut PlatformSettings),
) -> Result<PlatformClientBuilder, Failure> {
    let publish = document::settings(project)?;
    let door = publish.door(via)?;
    let genesys = project.config.genesys.as_ref().ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "[genesys] is not configured",
            "Add [genesys] with region, client_id and client_secret to flowlake.toml.",
        )
    })?;
    let mut settings = PlatformSettings {
        integration_id: publish.integration_id(door).to_owned(),
        category: publish.category.clone(),
        ..PlatformSettings::default()
    };
    change(&mut settings);
    let mut patient = genesys.clone();
    patient.token.wait_seconds = patient.token.wait_seconds.max(patience_seconds);
    let tokens = patient.tokens(&ProcessEnvironment)?;
    let builder = PlatformClient::builder(genesys.platform()?, tokens).with_settings(settings);
    Ok(if std::io::stderr().is_terminal() {
        builder.with_on_wait(|wait| output::note(&waiting(wait)))
    } else {
        builder
    })
}

fn waiting(wait: Wait) -> String {
    match wait {
        Wait::OwnLimit(wait) => format!(
            "as many requests were made in the last minute as `requests_per_minute` in [genesys.token] allows: waiting {} s",
            wait.as_secs().max(1)
        ),
        Wait::Asked(wait) => format!("Genesys Cloud asks to wait: {} s", wait.as_secs().max(1)),
        _ => "waiting for Genesys Cloud".to_owned(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        action_error(error).into()
    }
}

/// Several actions have one name.
pub(super) fn ambiguous(what: &impl Display) -> ActionError {
    ActionError::new(
        ErrorCode::GenesysRejected,
        what.to_string(),
        "Let the flows use one of them, and remove the others: `flowlake actions retire ID`.",
    )
}

/// A draft that is not ours.
pub(super) fn foreign_draft(what: &impl Display) -> ActionError {
    ActionError::new(
        ErrorCode::GenesysRejected,
        what.to_string(),
        "See the draft in Admin under Integrations, Actions: publish or discard it there, or overwrite it with --overwrite-drafts.",
    )
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
        ErrorKind::Ambiguous => return ambiguous(&error),
        ErrorKind::ForeignDraft => return foreign_draft(&error),
        ErrorKind::ContractChanged => (
            ErrorCode::GenesysRejected,
            "Put the changed SQL into a file of its own, whose name is the next version; docs/genesys.md shows how.",
        ),
        ErrorKind::Unclear => (
            ErrorCode::GenesysUnavailable,
            "Run the same command again: it finds out what is live, and records it.",
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
