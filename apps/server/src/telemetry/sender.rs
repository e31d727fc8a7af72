//! How spans leave the process: our own HTTP client, on our own runtime.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use tokio::runtime::Handle;

/// A receiver's answer is a few bytes.
const LONGEST_ANSWER: u64 = 64 << 10;

/// Sends on the runtime that it was made in, for the exporter's thread has none.
#[derive(Debug)]
pub(super) struct Sender {
    client: reqwest::Client,
    runtime: Handle,
}

impl Sender {
    pub(super) fn try_new(timeout: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: reqwest::Client::builder().timeout(timeout).build()?,
            runtime: Handle::current(),
        })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let answer = client.execute(reqwest::Request::try_from(request)?).await?;
            if answer
                .content_length()
                .is_some_and(|length| length > LONGEST_ANSWER)
            {
                return Err(HttpError::from(ResponseBodyTooLarge::new()));
            }
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            Ok(response.body(answer.bytes().await?)?)
        };
        self.runtime.spawn(exchange).await?
    }
}
