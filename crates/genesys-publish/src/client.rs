//! The Platform API's data actions: find, draft, validate, publish, test.

use flowlake_genesys_auth::TokenSource;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::document::{ActionContract, DataAction};
use crate::error::{Error, ErrorKind};
use crate::model::{Action, Published, TestResult, TestStep, Validation};
use crate::request::Transport;
use crate::settings::PlatformSettings;

/// Builds a [`PlatformClient`].
#[derive(Debug)]
pub struct PlatformClientBuilder {
    api_url: Url,
    tokens: TokenSource,
    settings: PlatformSettings,
    http: Option<reqwest::Client>,
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
struct Listing {
    entities: Vec<Action>,
    #[serde(default)]
    page_count: Option<u32>,
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
        }
    }

    fn settings(&self) -> &PlatformSettings {
        &self.transport.settings
    }

    /// The published action of this very name in our integration.
    ///
    /// # Errors
    ///
    /// Those of every request: [`ErrorKind::Unauthorized`], [`ErrorKind::Forbidden`],
    /// [`ErrorKind::RateLimited`], [`ErrorKind::Unavailable`], [`ErrorKind::InvalidResponse`].
    pub async fn find(&self, name: &str) -> Result<Option<Action>, Error> {
        self.find_in(&[], name).await
    }

    /// The draft of this very name in our integration.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn find_draft(&self, name: &str) -> Result<Option<Action>, Error> {
        self.find_in(&["drafts"], name).await
    }

    async fn find_in(&self, segments: &[&str], name: &str) -> Result<Option<Action>, Error> {
        let mut number = 1_u32;
        loop {
            let page = number.to_string();
            let query = [("name", name), ("pageSize", "100"), ("pageNumber", &page)];
            let listing: Listing = self
                .transport
                .json(Method::GET, segments, &query, None)
                .await?;
            let pages = listing.page_count.unwrap_or(1);
            // The platform's filter finds parts of names as well.
            let found = listing.entities.into_iter().find(|action| {
                action.name == name && action.integration_id == self.settings().integration_id
            });
            if found.is_some() || number >= pages {
                return Ok(found);
            }
            number += 1;
        }
    }

    /// The published action of this id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], and those of [`Self::find`].
    pub async fn get(&self, id: &str) -> Result<Action, Error> {
        let query = [("expand", "contract")];
        self.transport.json(Method::GET, &[id], &query, None).await
    }

    /// The draft of the action of this id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], and those of [`Self::find`].
    pub async fn get_draft(&self, id: &str) -> Result<Action, Error> {
        let query = [("expand", "contract")];
        self.transport
            .json(Method::GET, &[id, "draft"], &query, None)
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
            .json(Method::POST, &["drafts"], &[], Some(&body))
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
            .json(Method::POST, &[id, "draft"], &[], None)
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
            .json(Method::PATCH, &[id, "draft"], &[], Some(&body))
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
            .json(Method::GET, &[id, "draft", "validation"], &[], None)
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
            .json(Method::POST, &[id, "draft", "publish"], &[], Some(&body))
            .await
    }

    /// Removes a published action. Flows that use it fail from then on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], and those of [`Self::find`].
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        self.transport
            .bytes(Method::DELETE, &[id], &[], None)
            .await
            .map(drop)
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
            .json(Method::POST, segments, &[], Some(input))
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

    /// Publishes an action under its name: a new one, or the next version of the one that is
    /// there. A draft left over from an attempt that failed is used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ContractChanged`] when the published action has another contract,
    /// [`ErrorKind::Rejected`] with the platform's words when its validation fails, and those of
    /// the steps.
    pub async fn publish(&self, action: &DataAction) -> Result<Published, Error> {
        action.validate()?;
        let (draft, created) = match self.find(&action.name).await? {
            Some(found) => (self.next_draft(&found, action).await?, false),
            None => (self.first_draft(action).await?, true),
        };
        let validation = self.validate_draft(&draft.id).await?;
        if !validation.valid {
            return Err(Error::new(
                ErrorKind::Rejected,
                format!(
                    "the platform finds fault with the draft, which is kept: {}",
                    validation.errors.join("; ")
                ),
            ));
        }
        let published = self.publish_draft(&draft.id, draft.version).await?;
        Ok(Published {
            id: published.id,
            version: published.version,
            created,
        })
    }

    async fn first_draft(&self, action: &DataAction) -> Result<Action, Error> {
        match self.find_draft(&action.name).await? {
            Some(left) => self.update_draft(&left.id, left.version, action).await,
            None => self.create_draft(action).await,
        }
    }

    async fn next_draft(&self, found: &Action, action: &DataAction) -> Result<Action, Error> {
        let current = self.get(&found.id).await?;
        if let Some(contract) = current.contract
            && !same_contract(&contract, &action.contract)
        {
            return Err(Error::new(
                ErrorKind::ContractChanged,
                format!(
                    "the contract of the published action {:?} differs and can never change, \
                     publish under another name",
                    action.name
                ),
            ));
        }
        let draft = match self.open_draft(&found.id).await {
            Err(error) if error.kind() == ErrorKind::Conflict => self.get_draft(&found.id).await?,
            draft => draft?,
        };
        self.update_draft(&draft.id, draft.version, action).await
    }
}

/// Whether two contracts say the same of properties: titles and descriptions do not count. What
/// the platform does not show (it may name a schema by its address only) is left to its own check.
fn same_contract(theirs: &Value, ours: &ActionContract) -> bool {
    let same = |theirs: &Value, ours: &Value| theirs.is_null() || bare(theirs) == bare(ours);
    same(&theirs["input"]["inputSchema"], &ours.input.input_schema)
        && same(
            &theirs["output"]["successSchema"],
            &ours.output.success_schema,
        )
}

fn bare(schema: &Value) -> Value {
    let mut bare = json!({ "type": schema["type"] });
    if let Some(properties) = schema["properties"].as_object() {
        bare["properties"] = properties
            .iter()
            .map(|(name, property)| (name.clone(), self::bare(property)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    if schema["items"].is_object() {
        bare["items"] = self::bare(&schema["items"]);
    }
    let mut required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    required.sort_unstable();
    bare["required"] = json!(required);
    bare
}

fn message(error: &Value) -> Option<String> {
    error["message"].as_str().map(str::to_owned)
}
