//! From a SQL action's parameters and columns to a data-action document.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

use crate::contract::{Contract, Field, object_schema};
use crate::document::{
    ActionConfig, ActionContract, DataAction, InputContract, LAMBDA, OutputContract, RequestConfig,
    WEB_SERVICES,
};
use crate::error::Error;
use crate::rules::Violation;
use crate::shape::OutputShape;
use crate::template;

/// How inputs are put into the request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RequestBody {
    /// Each input by itself, escaped.
    #[default]
    Escaped,
    /// The whole input as the platform has it, `${input.rawRequest}`.
    Raw,
}

/// What a data action calls.
#[derive(Debug, Clone)]
enum Target {
    /// A web service.
    Url(Url),
    /// An AWS Lambda function, and the action that it is to run.
    Function { arn: String, action: String },
}

/// Builds the [`DataAction`] that calls one SQL action.
#[derive(Debug, Clone)]
pub struct DocumentBuilder {
    name: String,
    target: Target,
    inputs: Vec<Field>,
    columns: Vec<Field>,
    shape: OutputShape,
    body: RequestBody,
    headers: BTreeMap<String, String>,
    timeout_seconds: Option<u64>,
    secure: bool,
}

impl DocumentBuilder {
    /// A data action of this name that posts to this URL.
    ///
    /// The bearer key comes from the integration's own credentials, as `${credentials.apiKey}` unless
    /// [`Self::with_credential`] names another field: the document holds no secret.
    #[must_use]
    pub fn new(name: impl Into<String>, url: Url) -> Self {
        let headers = [
            ("Authorization", "Bearer ${credentials.apiKey}"),
            ("Content-Type", "application/json"),
        ];
        Self {
            name: name.into(),
            target: Target::Url(url),
            inputs: Vec::new(),
            columns: Vec::new(),
            shape: OutputShape::default(),
            body: RequestBody::default(),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            timeout_seconds: None,
            secure: false,
        }
    }

    /// A data action of this name that invokes this AWS Lambda function, which finds name and inputs in its event:
    /// `{"action": NAME, "params": {…}}`.
    ///
    /// Genesys Cloud invokes it with the role of the integration's credentials: there is no key and no header.
    #[must_use]
    pub fn for_function(name: impl Into<String>, arn: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            target: Target::Function {
                arn: arn.into(),
                action: name.clone(),
            },
            name,
            inputs: Vec::new(),
            columns: Vec::new(),
            shape: OutputShape::default(),
            body: RequestBody::default(),
            headers: BTreeMap::new(),
            timeout_seconds: None,
            secure: false,
        }
    }

    /// The parameters of the action.
    #[must_use]
    pub fn with_inputs(mut self, inputs: impl IntoIterator<Item = Field>) -> Self {
        self.inputs = inputs.into_iter().collect();
        self
    }

    /// The columns of the action's result.
    #[must_use]
    pub fn with_columns(mut self, columns: impl IntoIterator<Item = Field>) -> Self {
        self.columns = columns.into_iter().collect();
        self
    }

    /// How rows become outputs.
    #[must_use]
    pub fn with_shape(mut self, shape: OutputShape) -> Self {
        self.shape = shape;
        self
    }

    /// How inputs are put into the body.
    #[must_use]
    pub fn with_body(mut self, body: RequestBody) -> Self {
        self.body = body;
        self
    }

    /// Sets a header, a Velocity template.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The field of the integration's credentials that holds the web service's key.
    #[must_use]
    pub fn with_credential(self, field: &str) -> Self {
        self.with_header("Authorization", format!("Bearer ${{credentials.{field}}}"))
    }

    /// How long the platform waits, from 1 to 60 s.
    #[must_use]
    pub fn with_timeout_seconds(mut self, seconds: u64) -> Self {
        self.timeout_seconds = Some(seconds);
        self
    }

    /// Keeps inputs and outputs out of the platform's logs.
    #[must_use]
    pub fn with_secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Builds and checks the document.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`](crate::ErrorKind::InvalidDocument) naming every rule of the
    /// platform that it would break: a column without a proper name needs an alias in the SELECT.
    pub fn build(self) -> Result<DataAction, Error> {
        let mut broken =
            Violation::duplicates(self.inputs.iter().map(|input| input.name.as_str()), &[]);
        broken.extend(self.shape.violations(&self.columns));
        let contract = match self.contract() {
            Ok(contract) if broken.is_empty() => contract,
            Ok(_) => return Err(Error::broken(broken)),
            Err(error) => {
                broken.extend_from_slice(error.violations());
                return Err(Error::broken(broken));
            }
        };
        let body = match self.body {
            RequestBody::Escaped => template::request_body(&self.inputs),
            RequestBody::Raw => "${input.rawRequest}".to_owned(),
        };
        let (integration_type, address, body) = match &self.target {
            Target::Url(url) => (WEB_SERVICES, url.to_string(), body),
            Target::Function { arn, action } => {
                (LAMBDA, arn.clone(), template::event(action, &body))
            }
        };
        let action = DataAction {
            config: ActionConfig {
                request: RequestConfig {
                    request_url_template: address,
                    request_type: "POST".to_owned(),
                    headers: self.headers.clone(),
                    request_template: body,
                },
                response: self.shape.response(&self.columns),
                timeout_seconds: self.timeout_seconds,
            },
            name: self.name,
            integration_type: integration_type.to_owned(),
            action_type: "custom".to_owned(),
            contract: ActionContract {
                input: InputContract {
                    input_schema: contract.input().clone(),
                },
                output: OutputContract {
                    success_schema: contract.output().clone(),
                },
            },
            secure: self.secure,
        };
        action.validate()?;
        Ok(action)
    }

    fn contract(&self) -> Result<Contract, Error> {
        let inputs: Map<String, Value> = self
            .inputs
            .iter()
            .map(|field| (field.name.clone(), field.schema()))
            .collect();
        let required: Vec<&str> = self
            .inputs
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name.as_str())
            .collect();
        let outputs = self.shape.properties(&self.columns);
        Contract::try_new(
            object_schema(&format!("{} request", self.name), &inputs, &required),
            object_schema(&format!("{} result", self.name), &outputs, &[]),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::ValueType;
    use crate::error::ErrorKind;

    fn builder() -> DocumentBuilder {
        DocumentBuilder::new(
            "agent-scorecard",
            Url::parse("https://flowlake.example/v1/actions/agent-scorecard").unwrap(),
        )
        .with_inputs([
            Field::new("agent_id", ValueType::String),
            Field::new("date", ValueType::String).optional(),
        ])
        .with_columns([
            Field::new("queue_name", ValueType::String),
            Field::new("calls", ValueType::Integer),
        ])
    }

    #[test]
    fn a_document_by_rows_or_by_columns() {
        let action = builder().with_timeout_seconds(8).build().unwrap();
        assert_eq!(
            action.config.response.translation_map["calls"],
            "$.data[0].calls"
        );
        assert_eq!(
            action.contract.input.input_schema["required"],
            json!(["agent_id"])
        );
        assert!(action.config.response.success_template.starts_with(
            "{\"found\": #if(\"$!{row_count}\" == \"0\")false#{else}true#end, \
                     \"row_count\": ${row_count}, \"truncated\": ${truncated}#if("
        ));
        assert!(
            action
                .contract
                .output
                .success_schema
                .get("required")
                .is_none()
        );
        let action = builder().with_shape(OutputShape::Columns).build().unwrap();
        assert_eq!(
            action.contract.output.success_schema["properties"]["calls"]["items"]["type"],
            "integer"
        );
        assert_eq!(
            action.config.response.success_template,
            "{\"row_count\": ${row_count}, \"truncated\": ${truncated}, \
             \"queue_name\": ${queue_name}, \"calls\": ${calls}}"
        );
    }

    #[test]
    fn rows_are_one_list_of_flat_objects() {
        let action = builder().with_shape(OutputShape::Rows).build().unwrap();
        let rows = &action.contract.output.success_schema["properties"]["rows"];
        assert_eq!(rows["items"]["properties"]["calls"]["type"], "integer");
        assert_eq!(action.config.response.translation_map["rows"], "$.data");
        assert_eq!(
            action.config.response.success_template,
            "{\"rows\": ${rows}, \"row_count\": ${row_count}, \"truncated\": ${truncated}}"
        );
    }

    #[test]
    fn a_list_of_values_takes_no_column_that_can_be_null() {
        let mut column = Field::new("wrapup", ValueType::String);
        column.nullable = true;
        for (shape, refused) in [
            (OutputShape::FirstRow, false),
            (OutputShape::Rows, false),
            (OutputShape::Columns, true),
        ] {
            let built = builder()
                .with_columns([column.clone()])
                .with_shape(shape)
                .build();
            assert_eq!(built.is_err(), refused, "{shape:?}");
        }
    }

    #[test]
    fn columns_without_a_proper_name_are_refused() {
        let error = builder()
            .with_columns([
                Field::new("count(*)", ValueType::Integer),
                Field::new("rawRequest", ValueType::String),
            ])
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidDocument);
        assert_eq!(error.violations().len(), 2);
        assert!(error.to_string().contains("alias"), "{error}");
        let error = builder()
            .with_columns([Field::new("row_count", ValueType::Integer)])
            .build()
            .unwrap_err();
        assert!(matches!(
            error.violations(),
            [Violation::DuplicateName { .. }]
        ));
    }
}
