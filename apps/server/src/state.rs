//! The state that every request handler has.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use axum::{
    http::{HeaderMap, StatusCode, header::WWW_AUTHENTICATE},
    response::Response,
};
use flowlake_data_action::{ActionError, ErrorCode, Gauge, Pipeline, ServerSettings};

use crate::{
    Callers, Telemetry,
    auth::{Identified, Unidentified},
    body::BodyLimits,
    failures::Failures,
    listener::Connections,
    load::Load,
    peer::Peer,
    refusal::refuse,
};

/// The state of the server. Its parts are reference-counted: clones share them.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    pub(crate) pipeline: Pipeline,
    pub(crate) callers: Arc<Callers>,
    pub(crate) load: Arc<Load>,
    pub(crate) stopping: Arc<AtomicBool>,
    pub(crate) telemetry: Telemetry,
    pub(crate) body_limits: BodyLimits,
    /// Questions of one batch.
    pub(crate) most_in_batch: usize,
    pub(crate) failures: Failures,
    pub(crate) connections: Arc<Connections>,
}

impl AppState {
    /// Authenticates a request. The error is the response of a refusal, which is delayed after repeated failures from the same network.
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Identified, Response> {
        let Unidentified { reason, error } = match self.callers.identify(headers, peer).await {
            Ok(identified) => {
                peer.set_authenticated();
                return Ok(identified);
            }
            Err(unidentified) => unidentified,
        };
        if let Err(too_many) = self.failures.note(peer.network(), reason).await {
            return Err(refuse(too_many));
        }
        let mut response = refuse(error);
        if response.status() != StatusCode::UNAUTHORIZED {
            return Err(response);
        }
        for challenge in self.callers.challenges() {
            response.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
        Err(response)
    }

    /// The same server with what a reload has changed.
    pub(crate) fn reloaded(
        &self,
        pipeline: Pipeline,
        callers: Callers,
        settings: &ServerSettings,
    ) -> Self {
        Self {
            load: Arc::new(self.load.for_actions(pipeline.actions())),
            pipeline,
            callers: Arc::new(callers),
            body_limits: BodyLimits::of(settings),
            most_in_batch: settings.max_batch_requests,
            ..self.clone()
        }
    }

    /// Why no request will be taken; `None` when the server is ready.
    pub(crate) fn unready_reason(&self) -> Option<ActionError> {
        if self.stopping.load(Relaxed) {
            Some(ActionError::new(
                ErrorCode::Overloaded,
                "the server is stopping",
                "Send requests to another server.",
            ))
        } else if self.connections.is_full() {
            Some(ActionError::new(
                ErrorCode::Overloaded,
                "no further connection is taken: all that may be open are open",
                "Send requests to another server; raise `max_connections` in [server] if this lasts.",
            ))
        } else {
            self.pipeline.unready_reason()
        }
    }

    /// The server's own figures for monitoring.
    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let connections = self.connections.gauges().into_iter();
        let load = self.load.gauges();
        connections
            .chain(self.failures.gauges())
            .chain(self.callers.gauges())
            .chain(load)
            .collect()
    }
}
