//! One question of a client that is known: its room, its parameters, its attempt.

use std::time::Duration;

use axum::{http::HeaderMap, response::Response};
use chrono::{DateTime, Utc};
use flowlake_data_action::{ActionError, ActionRequest, Answer, ErrorCode, Failure, RowOutput};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Identified,
    caller::caller,
    door::Door,
    load::{Asks, overloaded},
    peer::Peer,
    refusal::refuse,
    state::AppState,
};

/// What is asked.
#[derive(Debug, Default)]
pub(crate) struct Question {
    pub(crate) action: String,
    pub(crate) params: Map<String, Value>,
    pub(crate) output: RowOutput,
    /// Tags of answers that the caller has; none where the request has no address that an answer could be kept for.
    pub(crate) if_none_match: Option<Vec<String>>,
}

/// A client that has sent a request, which may ask several questions.
#[derive(Debug)]
pub(crate) struct Asker<'h> {
    pub(crate) identified: Identified,
    door: Door,
    headers: &'h HeaderMap,
    arrived_at: DateTime<Utc>,
    authenticated_in: Duration,
}

impl AppState {
    /// Who sent a request with these headers, or the refusal of what nobody here sent, or sent too often.
    pub(crate) async fn asker<'h>(
        &self,
        door: Door,
        headers: &'h HeaderMap,
        peer: &Peer,
    ) -> Result<Asker<'h>, Response> {
        let clock = self.pipeline.clock();
        let (arrived, arrived_at) = (clock.instant(), clock.now());
        let identified = self.authenticate(headers, peer).await?;
        let asker = Asker {
            identified,
            door,
            headers,
            arrived_at,
            authenticated_in: clock.instant().saturating_duration_since(arrived),
        };
        asker.take_turn().map_err(refuse)?;
        Ok(asker)
    }

    /// Answers one question, or says why not.
    pub(crate) async fn ask(
        &self,
        asker: &Asker<'_>,
        question: Question,
    ) -> Result<Answer, Failure> {
        let Question {
            action,
            params,
            output,
            if_none_match,
        } = question;
        let refused = |error| Failure {
            error,
            audit_id: None,
        };
        let Asker {
            identified,
            headers,
            ..
        } = asker;
        let client = &identified.client;
        let own_slot = client.slots.as_ref().map(|slots| slots.try_acquire());
        let Ok(_own_slot) = own_slot.transpose() else {
            let what = "the client runs as many requests as it may";
            return Err(refused(overloaded(what, Duration::ZERO)));
        };
        let asks = Asks {
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
            authenticated_in: asker.authenticated_in,
            queued_for: room.waited,
            time_left: None,
            confirm: None,
            progress: None,
            observer: self.telemetry.begin(asker.door, headers, asker.arrived_at),
        };
        let answered = self.pipeline.run(request).await;
        room.answered();
        answered
    }
}

impl Asker<'_> {
    /// Takes one question of the client's rate.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] when there is none.
    pub(crate) fn take_turn(&self) -> Result<(), ActionError> {
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
