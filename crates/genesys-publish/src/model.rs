//! What the Platform API tells of actions, drafts and tests.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::diff::Change;
use crate::document::DataAction;

/// An action or a draft as the platform has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The integration that it belongs to.
    #[serde(default, deserialize_with = "or_default")]
    pub integration_id: String,
    /// The category that it is shown under.
    #[serde(default, deserialize_with = "or_default")]
    pub category: String,
    /// Its version, which each change must name.
    #[serde(default, deserialize_with = "or_default")]
    pub version: u64,
    /// Whether the platform keeps its inputs and outputs out of logs.
    #[serde(default, deserialize_with = "or_default")]
    pub secure: bool,
    /// Its contract as the platform has it, when it sends it along.
    #[serde(default)]
    pub contract: Option<Value>,
    /// Its configuration, when it was asked for. Templates may be named by their address only.
    #[serde(default)]
    pub config: Option<Value>,
}

/// What is not set may be there as null.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A published action, or a draft, with its whole document.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveAction {
    /// Its id, which flows refer to.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// The category that it is shown under.
    pub category: String,
    /// The document as the platform has it.
    pub document: DataAction,
}

/// What uses an action, as Architect's dependency tracking has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumers {
    /// The flows and other objects, each once.
    pub list: Vec<Consumer>,
    /// Whether the tracking is complete. While it is being rebuilt, some may be missing.
    pub complete: bool,
}

/// An object that uses an action, such as a flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Consumer {
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Its type, such as `INBOUNDCALLFLOW`.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// What publishing would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The published version that has this contract, or else the newest.
    pub live: Option<LiveAction>,
    /// The document that would be published, under the name that it would have.
    pub document: DataAction,
    /// The step.
    pub step: Step,
    /// The other published versions that call the same SQL, oldest first.
    pub others: Vec<OtherVersion>,
    /// The draft that publishing would use, when somebody else wrote what is in it.
    pub foreign_draft: Option<Draft>,
}

/// A published version beside the one that is changed or created.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherVersion {
    /// What is published.
    pub live: LiveAction,
    /// The same, calling what the new document calls: the same URL, credentials and timeout.
    pub document: DataAction,
    /// How the two differ.
    pub changes: Vec<Change>,
}

/// A draft that is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its action's id.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// What of it would be lost: nothing when it only holds what is published or what is to be.
    pub changes: Vec<Change>,
}

/// What publishing does about what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// There is none: it is created.
    Create,
    /// The contract is the same: it is changed in place.
    Update,
    /// The contract differs: a new version is created beside it.
    NewVersion,
    /// Nothing differs.
    Nothing,
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
    /// Other published actions of the same name, by their ids: somebody else published at the same time.
    pub twins: Vec<String>,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// One step of a test. What it gave is left out: a request has the credentials of the integration in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestStep {
    /// Its name.
    pub name: String,
    /// Whether it succeeded.
    pub success: bool,
    /// Its error, when there is one.
    pub error: Option<String>,
}
