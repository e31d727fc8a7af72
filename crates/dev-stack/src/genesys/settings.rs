//! What the Genesys Cloud stand-in accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The one OAuth client of the stand-in, and its two integrations.
#[derive(Clone, PartialEq, Eq)]
pub struct GenesysSettings {
    /// The OAuth client's id.
    pub client_id: String,
    /// The OAuth client's secret.
    pub client_secret: String,
    /// How long a token is valid.
    pub token_seconds: u64,
    /// How many API requests a token may make each minute.
    pub requests_per_minute: u32,
    /// The Web Services Data Actions integration.
    pub integration_id: String,
    /// The AWS Lambda Data Actions integration.
    pub function_integration_id: String,
    /// The credentials of the first, which actions see as `${credentials.NAME}`.
    pub integration_credentials: BTreeMap<String, String>,
    /// What the OAuth client's roles permit.
    pub permissions: BTreeSet<String>,
    /// The organisation's limits, by namespace and key.
    pub limits: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Default for GenesysSettings {
    fn default() -> Self {
        Self {
            client_id: "00000000-0000-4000-8000-000000000001".to_owned(),
            client_secret: "dev-stack-client-secret".to_owned(),
            token_seconds: 86_400,
            requests_per_minute: 300,
            integration_id: "00000000-0000-4000-8000-0000000000aa".to_owned(),
            function_integration_id: "00000000-0000-4000-8000-0000000000bb".to_owned(),
            integration_credentials: BTreeMap::new(),
            permissions: [
                "integrations:action:add",
                "integrations:action:delete",
                "integrations:action:edit",
                "integrations:action:execute",
                "integrations:action:view",
                "architect:dependencyTracking:view",
                "limits:organization:view",
            ]
            .map(str::to_owned)
            .into(),
            limits: BTreeMap::from([(
                "dataactions".to_owned(),
                BTreeMap::from([
                    ("actions.concurrent.executions.max".to_owned(), 15),
                    ("actions.integration.max".to_owned(), 100),
                    ("actions.total.max".to_owned(), 500),
                ]),
            )]),
        }
    }
}

impl fmt::Debug for GenesysSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GenesysSettings")
            .field("client_id", &self.client_id)
            .field("client_secret", &"******")
            .field("token_seconds", &self.token_seconds)
            .field("requests_per_minute", &self.requests_per_minute)
            .field("integration_id", &self.integration_id)
            .finish_non_exhaustive()
    }
}
