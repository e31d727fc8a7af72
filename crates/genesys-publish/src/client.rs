//! The Platform API's data actions: find, read, draft, validate, remove, test; who uses them, and the organisation's limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowlake_genesys_auth::TokenSource;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::document::DataAction;
use crate::error::{Error, ErrorKind};
use crate::model::{Action, Consumer, Consumers, LiveAction, TestResult, TestStep, Validation};
use crate::request::{OnWait, Transport, Wait};
use crate::settings::PlatformSettings;
use crate::version::split_version;

/// The limits of data actions are in this namespace.
const LIMITS: &str = "dataactions";

/// Builds a [`PlatformClient`].
#[derive(Debug)]
pub struct PlatformClientBuilder {
    api_url: Url,
    tokens: TokenSource,
    settings: PlatformSettings,
    http: Option<reqwest::Client>,
    on_wait: Option<OnWait>,
}

impl PlatformClientBuilder {
    /// Integration, category and patience.
    #[must_use]
    pub fn with_settings(mut self, settings: PlatformSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The HTTP client to use.
    #[must_use]
    pub fn with_http_client(mut self, http: reqwest::Client) -> Self {
        self.http = Some(http);
        self
    }

    /// What is called before each wait, with its reason and its length.
    #[must_use]
    pub fn with_on_wait(mut self, tell: impl Fn(Wait) + Send + Sync + 'static) -> Self {
        self.on_wait = Some(OnWait(Arc::new(tell)));
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSetting`] when no integration is named.
    pub fn build(self) -> Result<PlatformClient, Error> {
        if self.settings.integration_id.trim().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidSetting,
                "integration_id is missing, copy it from the integration's page in Admin",
            ));
        }
        Ok(PlatformClient {
            transport: Transport {
                http: self.http.unwrap_or_default(),
                api_url: self.api_url,
                tokens: self.tokens,
                settings: self.settings,
                on_wait: self.on_wait,
            },
        })
    }
}

/// The data actions of one integration.
#[derive(Debug, Clone)]
pub struct PlatformClient {
    transport: Transport,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing<T> {
    entities: Vec<T>,
    #[serde(default)]
    page_count: Option<u32>,
    /// How many entities all pages have.
    #[serde(default)]
    total: Option<usize>,
}

impl<T> Listing<T> {
    /// Whether this page is the last. `listed` counts the entities of all pages up to it. A page that does not say how many there
    /// are is an error: it may be a part.
    fn is_last(&self, number: u32, listed: usize) -> Result<bool, Error> {
        match (self.page_count, self.total) {
            (Some(count), _) => Ok(number >= count),
            (None, Some(total)) if listed >= total => Ok(true),
            (None, Some(_)) if !self.entities.is_empty() => Ok(false),
            (None, Some(total)) => Err(Error::new(
                ErrorKind::InvalidResponse,
                format!("the platform lists {listed} of {total}"),
            )),
            (None, None) => Err(Error::new(
                ErrorKind::InvalidResponse,
                "the platform does not say how many pages its list has",
            )),
        }
    }
}

#[derive(Deserialize)]
struct Limit {
    key: String,
    /// Left out where the organisation has none.
    #[serde(default)]
    value: Option<u64>,
}

/// The path of data actions, and what is below it.
fn actions<'a>(below: &[&'a str]) -> Vec<&'a str> {
    [&["integrations", "actions"], below].concat()
}

impl PlatformClient {
    /// A client of the API at this address, such as `https://api.mypurecloud.ie/`.
    #[must_use]
    pub fn builder(api_url: Url, tokens: TokenSource) -> PlatformClientBuilder {
        PlatformClientBuilder {
            api_url,
            tokens,
            settings: PlatformSettings::default(),
            http: None,
            on_wait: None,
        }
    }

    pub(crate) fn settings(&self) -> &PlatformSettings {
        &self.transport.settings
    }

    /// The published action of this very name in our integration.
    ///
    /// # Errors
    ///
    /// Those of every request: [`ErrorKind::Unauthorized`], [`ErrorKind::Forbidden`],
    /// [`ErrorKind::RateLimited`], [`ErrorKind::Unavailable`], [`ErrorKind::InvalidResponse`];
    /// [`ErrorKind::Ambiguous`] when several have the name.
    pub async fn find(&self, name: &str) -> Result<Option<Action>, Error> {
        one(self.equally_named(&[], name).await?)
    }

    /// The draft of this very name in our integration whose action is not published yet. A draft of a published action
    /// belongs to that, whatever it is called.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn find_draft(&self, name: &str) -> Result<Option<Action>, Error> {
        let mut first = Vec::new();
        for draft in self.equally_named(&["drafts"], name).await? {
            match self.get(&draft.id).await {
                Err(error) if error.kind() == ErrorKind::NotFound => first.push(draft),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        one(first)
    }

    pub(crate) async fn equally_named(
        &self,
        segments: &[&str],
        name: &str,
    ) -> Result<Vec<Action>, Error> {
        // The platform's filter finds parts of names as well.
        let mut found = self.named(segments, name).await?;
        found.retain(|action| action.name == name);
        Ok(found)
    }

    /// The actions of our integration whose names contain this text.
    async fn named(&self, segments: &[&str], name: &str) -> Result<Vec<Action>, Error> {
        let query = match name {
            "" => Vec::new(),
            name => vec![("name", name)],
        };
        let (mut all, _) = self.pages::<Action>(&actions(segments), &query).await?;
        all.retain(|action| action.integration_id == self.settings().integration_id);
        Ok(all)
    }

    /// Everything that a listing has, page by page, and whether the platform called it complete.
    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(Vec<T>, bool), Error> {
        let (mut all, mut complete) = (Vec::new(), true);
        let mut number = 1_u32;
        loop {
            let page = number.to_string();
            let mut query = query.to_vec();
            query.extend([("pageSize", "100"), ("pageNumber", page.as_str())]);
            let answer = self
                .transport
                .send(Method::GET, segments, &query, None)
                .await?;
            complete &= answer.status != StatusCode::PARTIAL_CONTENT;
            let listing: Listing<T> = answer.json()?;
            let is_last = listing.is_last(number, all.len() + listing.entities.len())?;
            all.extend(listing.entities);
            if is_last {
                return Ok((all, complete));
            }
            number += 1;
        }
    }

    /// All published actions of our integration, in order of name.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn list(&self) -> Result<Vec<Action>, Error> {
        let mut all = self.named(&[], "").await?;
        all.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(all)
    }

    /// The published versions of an action (`name`, `name@2`, …), oldest first.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn versions(&self, base: &str) -> Result<Vec<Action>, Error> {
        let mut found = self.named(&[], base).await?;
        found.retain(|action| split_version(&action.name).0 == base);
        found.sort_by_key(|action| split_version(&action.name).1);
        let twins = found.chunk_by(|left, right| left.name == right.name);
        for twins in twins {
            one(twins.to_vec())?;
        }
        Ok(found)
    }

    /// A published action with its whole document.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`] when the platform does not send all of it, and those of [`Self::get`].
    pub async fn live(&self, id: &str) -> Result<LiveAction, Error> {
        self.whole(&[id]).await
    }

    /// An action or a draft with its whole document.
    pub(crate) async fn whole(&self, place: &[&str]) -> Result<LiveAction, Error> {
        let query = [("expand", "contract"), ("includeConfig", "true")];
        let action: Action = self
            .transport
            .json(Method::GET, &actions(place), &query, None)
            .await?;
        let mut config = action.config.unwrap_or_default();
        for (part, template, file) in [
            ("request", "requestTemplate", "requesttemplate.vm"),
            ("response", "successTemplate", "successtemplate.vm"),
        ] {
            // The platform names a template by its address.
            if config[part][template].is_null() && !config[part][format!("{template}Uri")].is_null()
            {
                let path = actions(&[place, &["templates", file]].concat());
                let answer = self.transport.send(Method::GET, &path, &[], None).await?;
                config[part][template] = String::from_utf8_lossy(&answer.body).into();
            }
        }
        without_nulls(&mut config);
        let whole = json!({
            "name": action.name,
            "config": config,
            "contract": action.contract,
            "secure": action.secure,
        });
        let document = serde_json::from_value(whole).map_err(|source| {
            Error::new(
                ErrorKind::InvalidResponse,
                "the platform did not send the whole action",
            )
            .with_source(source)
        })?;
        Ok(LiveAction {
            id: action.id,
            version: action.version,
            category: action.category,
            document,
        })
    }

    /// What uses an action.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn consumers(&self, id: &str, is_secure: bool) -> Result<Consumers, Error> {
        let kind = if is_secure {
            "SECUREACTION"
        } else {
            "DATAACTION"
        };
        let path = ["architect", "dependencytracking", "consumingresources"];
        let query = [("id", id), ("objectType", kind)];
        let (found, complete) = self.pages::<Consumer>(&path, &query).await?;
        // A flow is listed once for each of its versions.
        let list: BTreeSet<Consumer> = found.into_iter().collect();
        Ok(Consumers {
            list: list.into_iter().collect(),
            complete,
        })
    }

    /// The organisation's limits on data actions, by key such as `actions.concurrent.executions.max`.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn limits(&self) -> Result<BTreeMap<String, u64>, Error> {
        let path = ["organizations", "limits", "namespaces", LIMITS];
        let listing: Listing<Limit> = self.transport.json(Method::GET, &path, &[], None).await?;
        let limits = listing.entities.into_iter();
        let limits = limits.filter_map(|limit| Some((limit.key, limit.value?)));
        Ok(limits.collect())
    }

    /// The published action of this id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], and those of [`Self::find`].
    pub async fn get(&self, id: &str) -> Result<Action, Error> {
        let query = [("expand", "contract")];
        self.transport
            .json(Method::GET, &actions(&[id]), &query, None)
            .await
    }

    /// The draft of the action of this id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], and those of [`Self::find`].
    pub async fn get_draft(&self, id: &str) -> Result<Action, Error> {
        let query = [("expand", "contract")];
        self.transport
            .json(Method::GET, &actions(&[id, "draft"]), &query, None)
            .await
    }

    /// Makes a draft of a new action.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`] before anything is sent, [`ErrorKind::Rejected`] when the
    /// platform finds fault, and those of [`Self::find`].
    pub async fn create_draft(&self, action: &DataAction) -> Result<Action, Error> {
        action.validate()?;
        let settings = self.settings();
        let body = action.to_post(&settings.category, &settings.integration_id);
        self.transport
            .json(Method::POST, &actions(&["drafts"]), &[], Some(&body))
            .await
    }

    /// Opens a draft of a published action.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::Conflict`] when one is open, and those of
    /// [`Self::find`].
    pub async fn open_draft(&self, id: &str) -> Result<Action, Error> {
        self.transport
            .json(Method::POST, &actions(&[id, "draft"]), &[], None)
            .await
    }

    /// Changes a draft that is at this version.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] when it is at another version, and those of
    /// [`Self::create_draft`].
    pub async fn update_draft(
        &self,
        id: &str,
        version: u64,
        action: &DataAction,
    ) -> Result<Action, Error> {
        action.validate()?;
        let body = action.to_update(&self.settings().category, version);
        self.transport
            .json(Method::PATCH, &actions(&[id, "draft"]), &[], Some(&body))
            .await
    }

    /// Asks the platform whether a draft could be published.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], and those of [`Self::find`].
    pub async fn validate_draft(&self, id: &str) -> Result<Validation, Error> {
        let answer: Value = self
            .transport
            .json(
                Method::GET,
                &actions(&[id, "draft", "validation"]),
                &[],
                None,
            )
            .await?;
        let errors = answer["errors"].as_array().into_iter().flatten();
        Ok(Validation {
            valid: answer["valid"].as_bool().unwrap_or(false),
            errors: errors.filter_map(message).collect(),
        })
    }

    /// Publishes a draft that is at this version. Its contract can never change after that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`], [`ErrorKind::Rejected`], and those of [`Self::find`].
    pub async fn publish_draft(&self, id: &str, version: u64) -> Result<Action, Error> {
        let body = json!({ "version": version });
        self.transport
            .json(
                Method::POST,
                &actions(&[id, "draft", "publish"]),
                &[],
                Some(&body),
            )
            .await
    }

    /// Removes a published action. Flows that use it fail from then on. One that is gone already is removed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unclear`] when it is not known whether it is removed, and those of [`Self::find`].
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        let path = actions(&[id]);
        let answer = self.transport.send(Method::DELETE, &path, &[], None).await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) if error.hides_outcome() => match self.get(id).await {
                Ok(_) => Err(error),
                Err(found) if found.kind() == ErrorKind::NotFound => Ok(()),
                Err(_) => Err(Error::unclear("removed", error)),
            },
            Err(error) => Err(error),
        }
    }

    /// Runs a published action on an input, as its test page does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], and those of [`Self::find`]. An action that fails is a result.
    pub async fn test(&self, id: &str, input: &Value) -> Result<TestResult, Error> {
        self.run_test(&[id, "test"], input).await
    }

    /// Runs a draft on an input.
    ///
    /// # Errors
    ///
    /// As for [`Self::test`].
    pub async fn test_draft(&self, id: &str, input: &Value) -> Result<TestResult, Error> {
        self.run_test(&[id, "draft", "test"], input).await
    }

    async fn run_test(&self, segments: &[&str], input: &Value) -> Result<TestResult, Error> {
        let answer: Value = self
            .transport
            .json(Method::POST, &actions(segments), &[], Some(input))
            .await?;
        let steps = answer["operations"].as_array().into_iter().flatten();
        Ok(TestResult {
            success: answer["success"].as_bool().unwrap_or(false),
            result: answer
                .get("finalResult")
                .filter(|result| !result.is_null())
                .cloned(),
            error: message(&answer["error"]),
            steps: steps
                .map(|step| TestStep {
                    name: step["name"].as_str().unwrap_or_default().to_owned(),
                    success: step["success"].as_bool().unwrap_or(false),
                    error: message(&step["error"]),
                })
                .collect(),
        })
    }
}

/// The one of them, if there is one.
fn one(mut found: Vec<Action>) -> Result<Option<Action>, Error> {
    if let [first, _, ..] = found.as_slice() {
        let ids: Vec<&str> = found.iter().map(|action| action.id.as_str()).collect();
        return Err(Error::new(
            ErrorKind::Ambiguous,
            format!(
                "{} actions of the integration are named {:?}: {}",
                found.len(),
                first.name,
                ids.join(", ")
            ),
        ));
    }
    Ok(found.pop())
}

/// The platform may write null for what is not set.
fn without_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(without_nulls);
    }
}

fn message(error: &Value) -> Option<String> {
    error["message"].as_str().map(str::to_owned)
}
