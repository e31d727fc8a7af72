//! A plain HTTP client: one request, one answer.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers' names and values.
    pub headers: Vec<(String, String)>,
    /// The body as text; what is none is replaced.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Sends one request; with a body it is a POST of JSON, without one a GET.
///
/// # Errors
/// When there is no answer. A status of 400 and above is an answer.
pub fn request(url: &str, key: Option<&str>, body: Option<&Value>) -> Result<Answer> {
    request_with(url, key, &[], body)
}

/// [`request`] with more headers.
///
/// # Errors
/// Those of [`request`].
pub fn request_with(
    url: &str,
    key: Option<&str>,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<Answer> {
    let agent = agent(Duration::from_secs(60));
    let authorization = key.map(|key| ("Authorization", format!("Bearer {key}")));
    let headers: Vec<(&str, &str)> = authorization
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain(headers.iter().copied())
        .collect();
    let sent = if let Some(body) = body {
        let request = agent.post(url).header("Content-Type", "application/json");
        headers
            .iter()
            .fold(request, |request, (name, value)| {
                request.header(*name, *value)
            })
            .send(body.to_string())
    } else {
        headers
            .iter()
            .fold(agent.get(url), |request, (name, value)| {
                request.header(*name, *value)
            })
            .call()
    };
    let mut response = sent.with_context(|| format!("no answer from {url}"))?;
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    Ok(Answer {
        status: response.status().as_u16(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&response.body_mut().read_to_vec()?).into_owned(),
    })
}

/// The status of a GET, or nothing while nobody answers.
pub(crate) fn status(url: &str) -> Option<u16> {
    agent(Duration::from_secs(2))
        .get(url)
        .call()
        .ok()
        .map(|response| response.status().as_u16())
}

fn agent(limit: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(limit))
        .proxy(None)
        .build()
        .into()
}
