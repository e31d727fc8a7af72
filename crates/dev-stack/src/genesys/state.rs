//! What the Genesys Cloud stand-in remembers: tokens and data actions.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::settings::GenesysSettings;
use crate::clock::Clock;
use crate::faults::{Failure, Traffic};
use crate::secrets::note_secret;

/// Genesys Cloud's stand-in: failures on demand, counts, and a look at what it holds.
#[derive(Debug, Clone)]
pub struct Genesys {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: GenesysSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) login: Traffic,
    pub(crate) api: Traffic,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) actions: BTreeMap<String, Stored>,
    /// The objects that use an action, by its id.
    pub(crate) consumers: BTreeMap<String, Vec<Value>>,
    pub(crate) tracking_is_rebuilt: bool,
    /// Whether somebody else publishes an action of the name of the next one at the same time.
    pub(crate) next_has_a_twin: bool,
    /// Whether somebody else publishes the next draft that is changed, before the change.
    pub(crate) next_draft_is_outrun: bool,
    /// Members that the pages of lists do not have.
    pub(crate) left_out_of_lists: BTreeSet<String>,
}

/// A token given out, and when it was used.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) expires: DateTime<Utc>,
    pub(crate) uses: VecDeque<DateTime<Utc>>,
}

/// A data action: what is published and what is being drafted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    pub(crate) published: Option<Value>,
    pub(crate) draft: Option<Value>,
}

impl Genesys {
    pub(crate) fn new(settings: GenesysSettings, clock: Arc<dyn Clock>) -> Self {
        let basic = format!("{}:{}", settings.client_id, settings.client_secret);
        note_secret(&settings.client_secret);
        note_secret(&STANDARD.encode(basic));
        settings
            .integration_credentials
            .values()
            .for_each(|secret| note_secret(secret));
        Self {
            shared: Arc::new(Shared {
                settings,
                clock,
                login: Traffic::default(),
                api: Traffic::default(),
                state: Mutex::default(),
            }),
        }
    }

    /// Makes the next `n` logins fail. For the Platform API see [`Self::api`].
    pub fn fail_next(&self, n: usize, failure: Failure) {
        self.shared.login.fail_next(n, failure);
    }

    /// How many logins were asked for, failed ones included.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.shared.login.total()
    }

    /// Failures and counts of the login.
    #[must_use]
    pub fn login(&self) -> &Traffic {
        &self.shared.login
    }

    /// Failures and counts of the Platform API, by method and template such as
    /// `POST /api/v2/integrations/actions/drafts`.
    #[must_use]
    pub fn api(&self) -> &Traffic {
        &self.shared.api
    }

    /// Makes a published flow use the action of this id, once for each of its versions.
    pub fn use_action(&self, action_id: &str, flow: &str, versions: u32) {
        let mut state = self.state();
        let consumers = state.consumers.entry(action_id.to_owned()).or_default();
        for version in 1..=versions {
            consumers.push(json!({
                "id": format!("flow-{flow}"), "name": flow, "version": version.to_string(),
                "type": "INBOUNDCALLFLOW", "deleted": false, "updated": false, "stateUnknown": false,
            }));
        }
    }

    /// Removes every use of the action of this id.
    pub fn release_action(&self, action_id: &str) {
        self.state().consumers.remove(action_id);
    }

    /// Whether dependency tracking is being rebuilt: it then answers 206 with what it has.
    pub fn rebuild_tracking(&self, under_way: bool) {
        self.state().tracking_is_rebuilt = under_way;
    }

    /// Publishes this action, whatever is there, under an id of its own.
    pub fn add_action(&self, action: &Value) {
        let id = format!("custom_-_{}", uuid::Uuid::new_v4());
        let mut action = action.clone();
        action["id"] = json!(id);
        let stored = Stored {
            published: Some(action),
            ..Stored::default()
        };
        self.state().actions.insert(id, stored);
    }

    /// Makes somebody else publish an action of the name of the next one, while that is created.
    pub fn race_next_creation(&self) {
        self.state().next_has_a_twin = true;
    }

    /// Leaves a member such as `pageCount` out of the pages of every list.
    pub fn leave_out_of_lists(&self, member: &str) {
        self.state().left_out_of_lists.insert(member.to_owned());
    }

    /// Makes somebody else publish the next draft that is changed, before the change.
    pub fn outrun_next_draft(&self) {
        self.state().next_draft_is_outrun = true;
    }

    /// Makes somebody else set a member of the draft of an action, such as `name`, in a draft that is opened for it if none
    /// is.
    pub fn edit_draft(&self, action_id: &str, member: &str, value: Value) {
        let mut state = self.state();
        let stored = state.actions.entry(action_id.to_owned()).or_default();
        let draft = stored
            .draft
            .get_or_insert_with(|| stored.published.clone().unwrap_or_default());
        draft[member] = value;
    }

    /// The published actions as the platform would show them, whole.
    #[must_use]
    pub fn published_actions(&self) -> Vec<Value> {
        let state = self.state();
        let published = state.actions.values();
        published
            .filter_map(|stored| stored.published.clone())
            .collect()
    }

    /// Ends every token given out so far: the API answers 401 to each.
    pub fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Issues a token.
    pub(crate) fn issue(&self) -> (String, u64) {
        let seconds = self.shared.settings.token_seconds;
        let text = format!(
            "{}{}",
            uuid::Uuid::new_v4().simple(),
            uuid::Uuid::new_v4().simple()
        );
        note_secret(&text);
        let expires = self.shared.clock.now()
            + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1000));
        self.state().tokens.insert(
            text.clone(),
            Token {
                expires,
                uses: VecDeque::new(),
            },
        );
        (text, seconds)
    }

    /// Notes a use of a token. The error is the wait in seconds, or nothing for a bad token.
    pub(crate) fn spend(&self, token: &str) -> Result<(), Option<u64>> {
        let now = self.shared.clock.now();
        let limit = self.shared.settings.requests_per_minute as usize;
        let mut state = self.state();
        let token = state
            .tokens
            .get_mut(token)
            .filter(|token| now < token.expires)
            .ok_or(None)?;
        let minute = TimeDelta::seconds(60);
        while token.uses.front().is_some_and(|used| now - used >= minute) {
            token.uses.pop_front();
        }
        if token.uses.len() >= limit {
            let oldest = token.uses.front().copied().unwrap_or(now);
            let wait = (oldest + minute - now).num_seconds().max(1);
            return Err(Some(u64::try_from(wait).unwrap_or(1)));
        }
        token.uses.push_back(now);
        Ok(())
    }
}
