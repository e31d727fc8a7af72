//! One call of an action by an authenticated client: its room, its parameters, its attempt.

use std::time::Duration;

use axum::{http::HeaderMap, response::Response};
use chrono::{DateTime, Utc};
use flowlake_data_action::{ActionError, ActionRequest, Answer, ErrorCode, Failure, RowOutput};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Identified,
    caller::caller,
    endpoint::Endpoint,
    load::{RoomRequest, overloaded},
    peer::Peer,
    refusal::refuse,
    state::AppState,
};

/// A call of one action.
#[derive(Debug, Default)]
pub(crate) struct ActionCall {
    pub(crate) action: String,
    pub(crate) params: Map<String, Value>,
    pub(crate) output: RowOutput,
    /// Tags of answers that the caller has; none where the request has no address that an answer could be kept for.
    pub(crate) if_none_match: Option<Vec<String>>,
}

/// A request of an authenticated client. A batch calls several actions.
#[derive(Debug)]
pub(crate) struct ClientRequest<'h> {
    pub(crate) identified: Identified,
    endpoint: Endpoint,
    headers: &'h HeaderMap,
    arrived_at: DateTime<Utc>,
    authenticated_in: Duration,
}

impl AppState {
    /// Authenticates a request by its headers, and counts it against the client's rate. The error is the response of a refusal.
    pub(crate) async fn client_request<'h>(
        &self,
        endpoint: Endpoint,
        headers: &'h HeaderMap,
        peer: &Peer,
    ) -> Result<ClientRequest<'h>, Response> {
        let clock = self.pipeline.clock();
        let (arrived, arrived_at) = (clock.instant(), clock.now());
        let identified = self.authenticate(headers, peer).await?;
        let client_request = ClientRequest {
            identified,
            endpoint,
            headers,
            arrived_at,
            authenticated_in: clock.instant().saturating_duration_since(arrived),
        };
        client_request.check_rate().map_err(refuse)?;
        Ok(client_request)
    }

    /// Runs one action for the client.
    pub(crate) async fn call_action(
        &self,
        client_request: &ClientRequest<'_>,
        call: ActionCall,
    ) -> Result<Answer, Failure> {
        let ActionCall {
            action,
            params,
            output,
            if_none_match,
        } = call;
        let refused = |error| Failure {
            error,
            audit_id: None,
        };
        let ClientRequest {
            identified,
            headers,
            ..
        } = client_request;
        let client = &identified.client;
        let own_slot = client.slots.as_ref().map(|slots| slots.try_acquire());
        let Ok(_own_slot) = own_slot.transpose() else {
            let what = "the client runs as many requests as it may";
            return Err(refused(overloaded(what, Duration::ZERO)));
        };
        let asks = RoomRequest {
            client: &client.settings.name,
            weight: client.settings.weight(),
        };
        let found = self.pipeline.action(&action).ok().map(AsRef::as_ref);
        let room = self.load.take(asks, found).await.map_err(refused)?;
        let (params, denied) = match identified.bind(found, params) {
            Ok(params) => (params, None),
            Err(denied) => (Map::new(), Some(denied)),
        };
        let request = ActionRequest {
            action,
            question: None,
            params,
            output,
            if_none_match,
            explain: false,
            denied,
            caller: caller(&client.settings.name, headers),
            cancellation: CancellationToken::new(),
            authenticated_in: client_request.authenticated_in,
            queued_for: room.waited,
            time_left: None,
            confirm: None,
            progress: None,
            observer: self.telemetry.begin(
                client_request.endpoint,
                headers,
                client_request.arrived_at,
            ),
        };
        let answered = self.pipeline.run(request).await;
        room.answered();
        answered
    }
}

impl ClientRequest<'_> {
    /// Counts one call against the client's rate.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] when the rate is used up.
    pub(crate) fn check_rate(&self) -> Result<(), ActionError> {
        let rate = self.identified.client.rate.as_ref();
        rate.map_or(Ok(()), |rate| rate.take().map_err(too_often))
    }
}

fn too_often(wait: Duration) -> ActionError {
    ActionError::new(
        ErrorCode::RateLimited,
        "the client sends more requests than its rate allows",
        "Send fewer, or ask for a higher `rate` in [[server.clients]].",
    )
    .with_retry_after(Some(wait))
}
