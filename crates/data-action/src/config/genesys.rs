//! `[genesys]`: the organisation, and the OAuth client that asks it.

use flowlake_genesys_auth::{Region, TokenSettings, TokenSource};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::{ActionError, Environment, ErrorCode, SecretSource};

/// `[genesys]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenesysSettings {
    /// The organisation's region: an AWS region (`eu-west-1`) or a domain (`mypurecloud.ie`).
    pub region: String,
    /// Another login address than the region's, for tests.
    #[serde(default)]
    pub login_url: Option<String>,
    /// Another Platform API address than the region's, for tests.
    #[serde(default)]
    pub api_url: Option<String>,
    /// The OAuth client's id.
    pub client_id: String,
    /// Where the OAuth client's secret is.
    pub client_secret: SecretSource,
    /// Token cache and retry.
    #[serde(default)]
    pub token: TokenSettings,
}

impl GenesysSettings {
    /// The source of access tokens; nothing is asked for yet.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] for an unknown region, a wrong address, or a secret that is not there.
    pub fn tokens(&self, environment: &dyn Environment) -> Result<TokenSource, ActionError> {
        let login_url = match &self.login_url {
            Some(text) => address("login_url", text)?,
            None => self.region()?.login_url(),
        };
        let of = |key: &'static str| move |error: ActionError| error.at_key(["genesys", key]);
        let secret = self.client_secret.read(environment);
        let secret = secret.map_err(of("client_secret"))?;
        TokenSource::builder(self.client_id.clone(), secret, login_url)
            .with_settings(self.token.clone())
            .build()
            .map_err(|error| of("client_id")(error.into()))
    }

    /// The address of the Platform API.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] for an unknown region or a wrong address.
    pub fn platform(&self) -> Result<Url, ActionError> {
        match &self.api_url {
            Some(text) => address("api_url", text),
            None => Ok(self.region()?.api_url()),
        }
    }

    fn region(&self) -> Result<Region, ActionError> {
        let region = self.region.parse::<Region>();
        region.map_err(|error| ActionError::from(error).at_key(["genesys", "region"]))
    }
}

fn address(key: &str, text: &str) -> Result<Url, ActionError> {
    Url::parse(text).map_err(|error| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("{key} in [genesys] is not a URL: {error}"),
            "Leave it out to use the region's own.",
        )
        .at_key(["genesys", key])
    })
}
