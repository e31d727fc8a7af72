//! What the Platform API tells of actions, drafts and tests.

use serde::Deserialize;
use serde_json::Value;

/// An action or a draft as the platform has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The integration that it belongs to.
    #[serde(default)]
    pub integration_id: String,
    /// Its version, which each change must name.
    #[serde(default)]
    pub version: u64,
    /// Its contract as the platform has it, when it sends it along.
    #[serde(default)]
    pub contract: Option<Value>,
}

/// What the platform says about a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Whether it could be published.
    pub valid: bool,
    /// What is wrong, in the platform's words.
    pub errors: Vec<String>,
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The action's id, which flows refer to.
    pub id: String,
    /// The published version.
    pub version: u64,
    /// Whether the action is new.
    pub created: bool,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestResult {
    /// Whether the action gave a result that fits.
    pub success: bool,
    /// The result as a flow would see it.
    pub result: Option<Value>,
    /// The platform's error, when there is one.
    pub error: Option<String>,
    /// The steps in order.
    pub steps: Vec<TestStep>,
}

/// One step of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestStep {
    /// Its name.
    pub name: String,
    /// Whether it succeeded.
    pub success: bool,
    /// Its error, when there is one.
    pub error: Option<String>,
}
