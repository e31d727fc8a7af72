//! `[genesys]`: the organisation, and the client that asks for its tokens.

use flowlake_genesys_auth::TokenSettings;
use serde::Deserialize;

use super::secret::SecretSource;

/// `[genesys]`.
#[derive(Debug, Clone, Deserialize)]
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
