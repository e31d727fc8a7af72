//! The profile of a running server: from the server itself, or from a file.

use std::{convert::Infallible, fs, path::PathBuf, str::FromStr, time::Duration};

use flowlake_data_action::{ActionError, BoxError, ErrorCode};
use serde_json::Value;
use url::Url;

/// Longest wait for the server.
const LIMIT: Duration = Duration::from_secs(10);
/// Where the server shows operators its profile.
const PATH: &str = "/v1/profiler";

/// Where a profile comes from.
#[derive(Debug, Clone)]
pub(crate) enum ProfileSource {
    /// The server, or its profile's own address.
    Server(Url),
    /// What the server answered.
    File(PathBuf),
}

/// An http address is a server's, all else a file.
impl FromStr for ProfileSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        Ok(match url {
            Some(mut url) => {
                if url.path() == "/" {
                    url.set_path(PATH);
                }
                Self::Server(url)
            }
            None => Self::File(text.into()),
        })
    }
}

impl ProfileSource {
    /// Reads it.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when the file cannot be read, or what comes is no profile.
    pub(crate) async fn read(&self) -> Result<Value, ActionError> {
        let (text, place) = match self {
            Self::File(path) => {
                let place = path.display().to_string();
                let text = fs::read_to_string(path);
                let text = text.map_err(|error| unreadable(&place, error))?;
                (text, place)
            }
            Self::Server(url) => (ask(url).await?, url.to_string()),
        };
        let profile: Value =
            serde_json::from_str(&text).map_err(|error| unreadable(&place, error))?;
        if profile["actions"].is_object() {
            Ok(profile)
        } else {
            Err(unreadable(&place, "there is no member `actions`"))
        }
    }
}

pub(super) async fn ask(url: &Url) -> Result<String, ActionError> {
    let place = url.as_str();
    let client = reqwest::Client::builder().timeout(LIMIT).build();
    let client = client.map_err(|error| unreadable(place, error))?;
    let response = client.get(url.clone()).send().await;
    let response = response.and_then(reqwest::Response::error_for_status);
    let response = response.map_err(|error| unreadable(place, error.without_url()))?;
    let text = response.text().await;
    text.map_err(|error| unreadable(place, error.without_url()))
}

pub(super) fn unreadable(place: &str, source: impl Into<BoxError>) -> ActionError {
    let source = source.into();
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("the profile {place} cannot be read: {source}"),
        "Name the running server by its `admin` address (http://127.0.0.1:9090), or a file with what its GET /v1/profiler answered.",
    )
    .with_source(source)
}
