//! The data-action document: the file that Genesys Cloud exports and imports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind};
use crate::rules::{MAX_NAME_CHARS, Violation, violations};
use crate::template;

/// The type of Web Services Data Actions integrations.
pub(crate) const WEB_SERVICES: &str = "custom-rest-actions";
/// The type of AWS Lambda Data Actions integrations.
pub(crate) const LAMBDA: &str = "aws-lambda-data-actions";

const REQUEST_TYPES: [&str; 5] = ["GET", "PUT", "POST", "PATCH", "DELETE"];

/// One data action, as in an export file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataAction {
    /// The action's name, up to 256 characters.
    pub name: String,
    /// `custom-rest-actions` for web services, `aws-lambda-data-actions` for functions.
    #[serde(default = "rest")]
    pub integration_type: String,
    /// `custom`; the platform refuses to import a file without it.
    #[serde(default = "custom")]
    pub action_type: String,
    /// The request, and what is made of the response.
    pub config: ActionConfig,
    /// What goes in and what comes out.
    pub contract: ActionContract,
    /// Whether inputs and outputs are kept out of logs and transcripts.
    #[serde(default)]
    pub secure: bool,
}

fn rest() -> String {
    WEB_SERVICES.to_owned()
}

fn custom() -> String {
    "custom".to_owned()
}

/// `config` of a data action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionConfig {
    /// What is sent.
    pub request: RequestConfig,
    /// What is made of the answer.
    #[serde(default)]
    pub response: ResponseConfig,
    /// How long the platform waits, from 1 to 60 s; its own default when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

/// `config.request` of a data action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestConfig {
    /// The URL, a Velocity template.
    pub request_url_template: String,
    /// GET, PUT, POST, PATCH or DELETE.
    pub request_type: String,
    /// Headers, their values being Velocity templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, a Velocity template.
    #[serde(default = "raw_request")]
    pub request_template: String,
}

fn raw_request() -> String {
    "${input.rawRequest}".to_owned()
}

/// `config.response` of a data action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseConfig {
    /// JSON paths into the answer, by variable.
    #[serde(default)]
    pub translation_map: BTreeMap<String, String>,
    /// What a variable is when its path finds nothing, as JSON text.
    #[serde(default)]
    pub translation_map_defaults: BTreeMap<String, String>,
    /// The output, a Velocity template.
    #[serde(default = "raw_result")]
    pub success_template: String,
}

fn raw_result() -> String {
    "${rawResult}".to_owned()
}

impl Default for ResponseConfig {
    fn default() -> Self {
        Self {
            translation_map: BTreeMap::new(),
            translation_map_defaults: BTreeMap::new(),
            success_template: raw_result(),
        }
    }
}

/// `contract` of a data action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionContract {
    /// What goes in.
    pub input: InputContract,
    /// What comes out.
    pub output: OutputContract,
}

/// `contract.input` of a data action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputContract {
    /// A JSON schema: one flat object.
    pub input_schema: Value,
}

/// `contract.output` of a data action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputContract {
    /// A JSON schema without arrays in arrays.
    pub success_schema: Value,
}

impl DataAction {
    /// Reads an export file. What it has beyond the documented fields is left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`] when it is not such a file or breaks the platform's rules.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let action = Self::from_foreign_json(text)?;
        action.validate()?;
        Ok(action)
    }

    /// Reads an export file of any integration, without holding it to the rules: the platform made it, so it took it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`] when it is not such a file.
    pub fn from_foreign_json(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|source| {
            Error::new(
                ErrorKind::InvalidDocument,
                format!("the text is not an exported data action: {source}"),
            )
        })
    }

    /// Writes an export file that the platform imports.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`] when the action breaks the platform's rules.
    pub fn to_json(&self) -> Result<String, Error> {
        self.validate()?;
        serde_json::to_string_pretty(self).map_err(|source| {
            Error::new(
                ErrorKind::InvalidDocument,
                "the action cannot be written as JSON",
            )
            .with_source(source)
        })
    }

    /// Whether it invokes an AWS Lambda function, whose address (ARN) is then the URL of the request.
    #[must_use]
    pub fn is_lambda(&self) -> bool {
        self.integration_type == LAMBDA
    }

    /// Checks every rule that the platform is known to hold an action to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`] naming each rule that is broken.
    pub fn validate(&self) -> Result<(), Error> {
        let mut all = Vec::new();
        if self.name.trim().is_empty() || self.name.chars().count() > MAX_NAME_CHARS {
            all.push(Violation::ActionName);
        }
        let request = &self.config.request;
        if !REQUEST_TYPES.contains(&request.request_type.as_str()) {
            all.push(Violation::RequestType {
                found: request.request_type.clone(),
            });
        }
        if request.request_url_template.trim().is_empty() {
            all.push(Violation::MissingUrl);
        }
        if let Some(seconds) = self.config.timeout_seconds
            && !(1..=60).contains(&seconds)
        {
            all.push(Violation::Timeout { seconds });
        }
        all.extend(violations(
            &self.contract.input.input_schema,
            &self.contract.output.success_schema,
        ));
        if all.is_empty() {
            Ok(())
        } else {
            Err(Error::broken(all))
        }
    }

    /// The same contract and outputs, calling what `newer` calls, with its credentials and its patience.
    pub(crate) fn calling(&self, newer: &Self) -> Self {
        let mut action = self.clone();
        let (ours, theirs) = (&mut action.config.request, &newer.config.request);
        ours.request_url_template
            .clone_from(&theirs.request_url_template);
        ours.request_type.clone_from(&theirs.request_type);
        ours.headers.clone_from(&theirs.headers);
        if newer.is_lambda() {
            let template = template::event_for(
                &theirs.request_template,
                &self.config.request.request_template,
            );
            ours.request_template = template;
        }
        action.config.timeout_seconds = newer.config.timeout_seconds;
        action
    }

    /// `PostActionInput`, for a new action or draft.
    pub(crate) fn to_post(&self, category: &str, integration_id: &str) -> Value {
        json!({
            "category": category,
            "name": self.name,
            "integrationId": integration_id,
            "config": self.config,
            "contract": self.contract,
            "secure": self.secure,
        })
    }

    /// `UpdateDraftInput`, for a draft that is there.
    pub(crate) fn to_update(&self, category: &str, version: u64) -> Value {
        json!({
            "category": category,
            "name": self.name,
            "config": self.config,
            "contract": self.contract,
            "secure": self.secure,
            "version": version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORTED: &str = r#"{
      "name": "Get customer",
      "integrationType": "custom-rest-actions",
      "actionType": "custom",
      "config": {
        "request": {
          "requestUrlTemplate": "https://example.com/c/${input.ID}",
          "requestType": "GET",
          "headers": { "Authorization": "${credentials.token}" },
          "requestTemplate": "${input.rawRequest}"
        },
        "response": {
          "translationMap": { "n": "$.name" },
          "translationMapDefaults": {},
          "successTemplate": "{\"name\": ${n}}"
        }
      },
      "contract": {
        "output": { "successSchema": { "type": "object", "properties": { "name": { "type": "string" } } } },
        "input": { "inputSchema": { "type": "object", "properties": { "ID": { "type": "string" } } } }
      },
      "secure": false
    }"#;

    #[test]
    fn an_export_file_survives_the_round_trip() {
        let action = DataAction::from_json(EXPORTED).unwrap();
        let again: Value = serde_json::from_str(&action.to_json().unwrap()).unwrap();
        let original: Value = serde_json::from_str(EXPORTED).unwrap();
        assert_eq!(again, original);
    }

    #[test]
    fn every_broken_rule_is_reported_at_once() {
        let mut action = DataAction::from_json(EXPORTED).unwrap();
        action.name = " ".to_owned();
        action.config.request.request_type = "HEAD".to_owned();
        action.config.request.request_url_template.clear();
        action.config.timeout_seconds = Some(61);
        let error = action.to_json().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidDocument);
        assert_eq!(
            error.violations(),
            [
                Violation::ActionName,
                Violation::RequestType {
                    found: "HEAD".to_owned()
                },
                Violation::MissingUrl,
                Violation::Timeout { seconds: 61 },
            ]
        );
    }
}
