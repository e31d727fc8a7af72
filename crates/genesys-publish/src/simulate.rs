//! Runs a data action as the platform does, from the input to the variables that a flow sees, step by step.

use std::collections::BTreeMap;
use std::time::Duration;

use flowlake_genesys_auth::Secret;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::document::DataAction;
use crate::json_path;
use crate::schema;
use crate::velocity::{self, Scope};

/// How long the platform waits when an action does not say.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The largest answer that is taken, in bytes.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// The header by which AWS Lambda tells that a function failed.
const FUNCTION_ERROR: &str = "x-amz-function-error";
/// What stands for a secret in everything that is shown.
const HIDDEN: &str = "******";

fn too_large() -> String {
    format!("the answer is larger than {LARGEST_ANSWER} bytes")
}

/// Runs data actions as the platform does.
#[derive(Debug, Clone)]
pub struct Simulator {
    credentials: BTreeMap<String, Secret>,
    headers: BTreeMap<String, String>,
    base: Option<Url>,
    http: reqwest::Client,
}

/// Where the answer of the web service comes from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Reply {
    /// It is called.
    Call,
    /// It is not called: this is its answer.
    Given(String),
    /// It is not called, and there is no answer: the request is shown and nothing more.
    None,
}

/// The outcome of a run, in the form of the platform's `TestExecutionResult`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulated {
    /// Whether every step succeeded.
    pub success: bool,
    /// The steps in order.
    pub operations: Vec<Operation>,
    /// The variables that a flow sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_result: Option<Value>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// References of the templates that have no value, and stand in the request or the result as they are written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<String>,
}

/// One step, in the form of the platform's `TestExecutionOperationResult`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operation {
    /// Its number, from 1.
    pub step: usize,
    /// Its name.
    pub name: String,
    /// Whether it succeeded.
    pub success: bool,
    /// What it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

impl Default for Simulator {
    fn default() -> Self {
        Self {
            credentials: BTreeMap::new(),
            headers: BTreeMap::new(),
            base: None,
            http: reqwest::Client::new(),
        }
    }
}

impl Simulator {
    /// A field of the integration's credentials. It is sent and never shown.
    #[must_use]
    pub fn with_credential(mut self, name: impl Into<String>, secret: Secret) -> Self {
        self.credentials.insert(name.into(), secret);
        self
    }

    /// A header that the platform puts on every call, such as `ININ-Correlation-Id`.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Sends requests to this server instead of the one in the URL.
    #[must_use]
    pub fn with_base(mut self, base: Url) -> Self {
        self.base = Some(base);
        self
    }

    /// The HTTP client to use.
    #[must_use]
    pub fn with_http_client(mut self, http: reqwest::Client) -> Self {
        self.http = http;
        self
    }

    /// Runs an action on an input. An action that fails is a result.
    pub async fn run(&self, action: &DataAction, input: &Value, reply: &Reply) -> Simulated {
        let mut run = Run::default();
        let outcome = self.steps(action, input, reply, &mut run).await;
        let mut simulated = Simulated {
            success: outcome.is_ok(),
            operations: run.operations,
            final_result: None,
            error: None,
            unresolved: run.unresolved,
        };
        match outcome {
            Ok(result) => simulated.final_result = result,
            Err(message) => simulated.error = Some(error(&self.hide(&message))),
        }
        for operation in &mut simulated.operations {
            for value in [&mut operation.result, &mut operation.error]
                .into_iter()
                .flatten()
            {
                self.hide_in(value);
            }
        }
        simulated
    }

    async fn steps(
        &self,
        action: &DataAction,
        input: &Value,
        reply: &Reply,
        run: &mut Run,
    ) -> Result<Option<Value>, String> {
        let contract = &action.contract;
        let checked = check_input(&contract.input.input_schema, input);
        run.note("Validate input", checked.map(|()| input.clone()))?;
        // What is shown is rendered without the secrets: a template may encode them beyond recognition.
        let shown = self.request(action, input, true);
        let request = self
            .request(action, input, false)
            .map(|(request, _)| request);
        let noted = shown.as_ref().map(|(request, _)| request.shown());
        run.note("Resolve request templates", noted.map_err(Clone::clone))?;
        run.unresolved.extend(shown?.1);
        let text = match reply {
            Reply::None => return Ok(None),
            Reply::Given(text) if text.len() > LARGEST_ANSWER => {
                return run
                    .note("Take the given answer", Err(too_large()))
                    .map(Some);
            }
            Reply::Given(text) => text.clone(),
            Reply::Call => {
                let seconds = action.config.timeout_seconds.map(Duration::from_secs);
                let limit = seconds.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
                let called = self.call(request?, action.is_lambda());
                let called = tokio::time::timeout(limit, called).await;
                let called = called.unwrap_or_else(|_| {
                    Err(format!(
                        "no answer within {} s, the flow takes its timeout path",
                        limit.as_secs()
                    ))
                });
                run.checked("Execute request", called)?
            }
        };
        let answer = parse_answer(&text);
        let answer = match reply {
            Reply::Call => {
                let shown = answer.clone();
                run.note("Execute request", shown)?;
                answer?
            }
            _ => run.note("Take the given answer", answer)?,
        };
        let values = translated(action, &answer);
        let values = run.note("Apply translation map", values.map(Value::Object))?;
        let rendered = render_result(action, &answer, values, run);
        let result = run.note("Resolve success template", rendered)?;
        let checked = schema::check(&contract.output.success_schema, &result, "the output");
        run.note("Validate output", checked.map(|()| result.clone()))?;
        Ok(Some(result))
    }

    fn request(
        &self,
        action: &DataAction,
        input: &Value,
        hidden: bool,
    ) -> Result<(Request, Vec<String>), String> {
        let mut values = input.as_object().cloned().unwrap_or_default();
        values.insert("rawRequest".to_owned(), Value::String(input.to_string()));
        let credentials: Map<String, Value> = self
            .credentials
            .iter()
            .map(|(name, secret)| {
                let value = if hidden { HIDDEN } else { secret.expose() };
                (name.clone(), json!(value))
            })
            .collect();
        let mut unresolved = Vec::new();
        let scope = Scope::default()
            // Exported actions write both.
            .with("Input", Value::Object(values.clone()))
            .with("input", Value::Object(values))
            .with("credentials", Value::Object(credentials));
        let request = &action.config.request;
        let mut render = |what: &str, template: &str| -> Result<String, String> {
            let rendered = velocity::render(template, &scope)
                .map_err(|problem| format!("{what}: {problem}"))?;
            unresolved.extend(rendered.unresolved);
            Ok(rendered.text)
        };
        let url = render("requestUrlTemplate", &request.request_url_template)?;
        let mut headers = Vec::new();
        for (name, template) in &request.headers {
            headers.push((name.clone(), render(&format!("header {name}"), template)?));
        }
        let body = match request.request_type.as_str() {
            // The platform sends no body with these.
            "GET" | "DELETE" => None,
            _ => Some(render("requestTemplate", &request.request_template)?),
        };
        let request = Request {
            method: request.request_type.clone(),
            url: url.trim().to_owned(),
            headers,
            body,
        };
        Ok((request, unresolved))
    }

    async fn call(&self, request: Request, is_lambda: bool) -> Result<String, String> {
        let url = if is_lambda {
            self.local_runtime(&request.url)?
        } else {
            self.address(&request.url)?
        };
        let method: Method = request
            .method
            .parse()
            .map_err(|_| format!("{} is no method", request.method))?;
        let mut builder = self.http.request(method, url);
        // A function has no headers.
        let platform = self.headers.iter().filter(|_| !is_lambda);
        let own = request.headers.iter().filter(|_| !is_lambda);
        for (name, value) in own.map(|(name, value)| (name, value)).chain(platform) {
            builder = builder.header(name.as_str(), value.as_str());
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let unreachable =
            |error: reqwest::Error| format!("the web service cannot be called: {}", chain(&error));
        let mut response = builder.send().await.map_err(unreachable)?;
        let status = response.status();
        let failed = response.headers().contains_key(FUNCTION_ERROR);
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&part);
            if body.len() > LARGEST_ANSWER {
                return Err(too_large());
            }
        }
        let text = String::from_utf8(body).map_err(|_| "the answer is no UTF-8".to_owned())?;
        if failed {
            // `{"errorType", "errorMessage"}`, with the status of a success.
            Err(format!("the function failed: {text}"))
        } else if status.is_success() {
            Ok(text)
        } else {
            Err(format!("the web service answered {status}: {text}"))
        }
    }

    /// Where a local runtime takes the events of a function: as the API of AWS Lambda does, without signatures.
    fn local_runtime(&self, arn: &str) -> Result<Url, String> {
        let name = function_name(arn)
            .ok_or_else(|| format!("{arn:?} is no address of a function (arn:aws:lambda:…)"))?;
        let base = self.base.as_ref().ok_or(
            "AWS alone calls the function: give the address of a local runtime to call instead, or an answer",
        )?;
        let mut address = base.clone();
        if matches!(address.path(), "" | "/") {
            address.set_path(&format!("/2015-03-31/functions/{name}/invocations"));
        }
        Ok(address)
    }

    /// The address of a request, at the chosen server when there is one.
    fn address(&self, url: &str) -> Result<Url, String> {
        match (&self.base, Url::parse(url)) {
            (None, Ok(url)) => Ok(url),
            (Some(base), Ok(url)) => {
                let mut address = base.clone();
                address.set_path(url.path());
                address.set_query(url.query());
                Ok(address)
            }
            (Some(base), Err(_)) if url.starts_with('/') => base
                .join(url)
                .map_err(|error| format!("the URL {url:?} is wrong: {error}")),
            (_, Err(error)) => Err(format!("the URL {url:?} is wrong: {error}")),
        }
    }

    /// The text without secrets: a web service may repeat what it was sent.
    fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.credentials.values() {
            let secret = secret.expose();
            if !secret.is_empty() {
                text = text.replace(secret, HIDDEN);
            }
        }
        text
    }

    fn hide_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.hide(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item)),
            Value::Object(members) => members.values_mut().for_each(|item| self.hide_in(item)),
            _ => {}
        }
    }
}

/// The name in `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME`, with or without a qualifier.
fn function_name(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "lambda", _, _, "function", name, ..] if parts.len() <= 8 => Some(name),
        _ => None,
    }
}

/// An error with its causes, on one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn error(message: &str) -> Value {
    json!({ "message": message, "code": "action.simulation.failed", "status": 400 })
}

/// The steps so far.
#[derive(Default)]
struct Run {
    operations: Vec<Operation>,
    unresolved: Vec<String>,
}

impl Run {
    fn note(&mut self, name: &str, outcome: Result<Value, String>) -> Result<Value, String> {
        let operation = Operation {
            step: self.operations.len() + 1,
            name: name.to_owned(),
            success: outcome.is_ok(),
            result: outcome.as_ref().ok().cloned(),
            error: outcome.as_ref().err().map(|message| error(message)),
        };
        self.operations.push(operation);
        outcome
    }

    /// Notes a step only when it failed.
    fn checked<T>(&mut self, name: &str, outcome: Result<T, String>) -> Result<T, String> {
        outcome.inspect_err(|message| {
            let _ = self.note(name, Err(message.clone()));
        })
    }
}

/// A request with its templates filled in.
struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Request {
    fn shown(&self) -> Value {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({ "method": self.method, "url": self.url, "headers": headers, "body": self.body })
    }
}

/// The input must have what the contract requires, of its types, and nothing else.
fn check_input(schema: &Value, input: &Value) -> Result<(), String> {
    let members = input.as_object().ok_or("the input must be an object")?;
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if members.get(name).is_none_or(Value::is_null) {
            return Err(format!("the required input {name:?} is missing"));
        }
    }
    for (name, value) in members {
        let property = schema["properties"]
            .get(name)
            .ok_or_else(|| format!("the input {name:?} is not in the contract"))?;
        if !value.is_null() {
            schema::check(property, value, &format!("the input {name:?}"))?;
        }
    }
    Ok(())
}

/// The answer as JSON; one without a body, as of status 204, is an empty object.
fn parse_answer(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_str(text).map_err(|problem| format!("the answer is no JSON: {problem}"))
}

/// The variables of the translation map, as JSON text. A default is for a path that finds nothing, and not for null.
fn translated(action: &DataAction, answer: &Value) -> Result<Map<String, Value>, String> {
    let response = &action.config.response;
    let mut values = Map::new();
    for (name, path) in &response.translation_map {
        let found = json_path::parse(path)?.find(answer);
        let text = match (found, response.translation_map_defaults.get(name)) {
            (Some(value), _) => value.to_string(),
            (None, Some(default)) => default.clone(),
            (None, None) => {
                return Err(format!(
                    "the path {path:?} of {name:?} finds nothing, and there is no default"
                ));
            }
        };
        values.insert(name.clone(), Value::String(text));
    }
    Ok(values)
}

fn render_result(
    action: &DataAction,
    answer: &Value,
    values: Value,
    run: &mut Run,
) -> Result<Value, String> {
    let values = match values {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    let scope = Scope::default()
        .with("rawResult", Value::String(answer.to_string()))
        .with_all(values);
    let rendered = velocity::render(&action.config.response.success_template, &scope)
        .map_err(|problem| format!("successTemplate: {problem}"))?;
    run.unresolved.extend(rendered.unresolved);
    serde_json::from_str(&rendered.text)
        .map_err(|problem| format!("the success template gives no JSON: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::parse_answer;

    #[test]
    fn floats_keep_their_digits() {
        // Without exact reading, some of these come out with another last digit.
        for digits in [
            "256192.33333333334",
            "346940.36363636365",
            "220903.66666666666",
            "0.1",
            "1e-7",
        ] {
            assert_eq!(parse_answer(digits).unwrap().to_string(), digits);
        }
    }
}
