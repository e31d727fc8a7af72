//! Running a data action as Genesys Cloud does: render the request, send it for real, translate
//! the answer. `test` reports each step.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use url::Url;

use super::json_path;
use super::velocity::{self, Scope};

/// No answer may be larger; Genesys Cloud's own bound is of this order.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// One step of a test, as `TestExecutionOperationResult`.
struct Step {
    name: &'static str,
    outcome: Result<Value, String>,
}

/// Runs the action on an input and reports as `TestExecutionResult`.
pub(crate) async fn test(
    action: &Value,
    input: &Value,
    credentials: &BTreeMap<String, String>,
) -> Value {
    let mut steps = Vec::new();
    let outcome = run(action, input, credentials, &mut steps).await;
    let operations: Vec<Value> = steps
        .into_iter()
        .enumerate()
        .map(|(index, step)| match step.outcome {
            Ok(result) => json!({
                "step": index + 1, "name": step.name, "success": true, "result": result,
            }),
            Err(message) => json!({
                "step": index + 1, "name": step.name, "success": false,
                "error": error(&message),
            }),
        })
        .collect();
    match outcome {
        Ok(result) => json!({ "success": true, "finalResult": result, "operations": operations }),
        Err(message) => json!({
            "success": false, "error": error(&message), "operations": operations,
        }),
    }
}

fn error(message: &str) -> Value {
    json!({ "message": message, "code": "action.test.failed", "status": 400, "details": [], "errors": [] })
}

async fn run(
    action: &Value,
    input: &Value,
    credentials: &BTreeMap<String, String>,
    steps: &mut Vec<Step>,
) -> Result<Value, String> {
    let mut note = |name: &'static str, outcome: Result<Value, String>| {
        steps.push(Step {
            name,
            outcome: outcome.clone(),
        });
        outcome
    };
    note("Validate input", check_input(action, input))?;
    let config = &action["config"];
    let request = Request::render(config, input, credentials);
    let shown = request
        .as_ref()
        .map(|request| json!({ "url": request.url.as_str(), "body": request.body }))
        .map_err(Clone::clone);
    note("Resolve request templates", shown)?;
    let seconds = config["timeoutSeconds"].as_u64().unwrap_or(60);
    let sent = tokio::time::timeout(Duration::from_secs(seconds), request?.send())
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {seconds} s")));
    let answer = note("Execute request", sent)?;
    let result = note(
        "Translate response",
        translate(&config["response"], &answer),
    )?;
    let schema = &action["contract"]["output"]["successSchema"];
    let checked = check_output(schema, &result, "").map(|()| result);
    note("Validate output", checked)
}

/// The input must be flat and have what the contract requires.
fn check_input(action: &Value, input: &Value) -> Result<Value, String> {
    let schema = &action["contract"]["input"]["inputSchema"];
    let object = input.as_object().ok_or("the input must be an object")?;
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if object.get(name).is_none_or(Value::is_null) {
            return Err(format!("the required input {name:?} is missing"));
        }
    }
    for (name, value) in object {
        let property = &schema["properties"][name];
        let fits = match property["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => return Err(format!("the input {name:?} is not in the contract")),
        };
        if !fits && !value.is_null() {
            return Err(format!("the input {name:?} is not of its type"));
        }
    }
    Ok(input.clone())
}

/// The output must be of the contract's types; a null is of none.
fn check_output(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !fits {
        return Err(format!(
            "the output at {place:?} does not match the type {} of the contract",
            schema["type"]
        ));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check_output(property, value, &format!("{place}/{name}"))?;
        }
    }
    if let (Value::Object(_), Some(list)) = (&schema["items"], value.as_array()) {
        for (index, item) in list.iter().enumerate() {
            check_output(&schema["items"], item, &format!("{place}/{index}"))?;
        }
    }
    Ok(())
}

/// A rendered request.
struct Request {
    method: String,
    url: Url,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn render(
        config: &Value,
        input: &Value,
        credentials: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let mut values = input.as_object().cloned().unwrap_or_default();
        values.insert("rawRequest".to_owned(), Value::String(input.to_string()));
        let secrets: Map<String, Value> = credentials
            .iter()
            .map(|(name, secret)| (name.clone(), Value::String(secret.clone())))
            .collect();
        let scope = Scope::default()
            .with("input", values)
            .with("credentials", secrets);
        let request = &config["request"];
        let text = |name: &str| request[name].as_str().unwrap_or_default();
        let url = velocity::render(text("requestUrlTemplate"), &scope)?;
        let url = Url::parse(&url).map_err(|error| format!("the URL is wrong: {error}"))?;
        let mut headers = Vec::new();
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            let value = velocity::render(value.as_str().unwrap_or_default(), &scope)?;
            headers.push((name.clone(), value));
        }
        Ok(Self {
            method: text("requestType").to_owned(),
            url,
            headers,
            body: velocity::render(text("requestTemplate"), &scope)?,
        })
    }

    /// Sends it over plain HTTP, which is all that loopback needs.
    async fn send(self) -> Result<Value, String> {
        if self.url.scheme() != "http" {
            return Err("this stand-in sends to http:// addresses only".to_owned());
        }
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let port = self.url.port_or_known_default().unwrap_or(80);
        let failed = |error: &dyn std::fmt::Display| format!("{host}:{port}: {error}");
        let socket = tokio::net::TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|error| failed(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| failed(&error))?;
        let driver = tokio::spawn(connection);
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let mut request = http::Request::builder()
            .method(self.method.as_str())
            .uri(path)
            .header(http::header::HOST, format!("{host}:{port}"));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::<Bytes>::from(self.body))
            .map_err(|error| failed(&error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failed(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| failed(&error))?
            .to_bytes();
        driver.abort();
        let text = String::from_utf8_lossy(&body);
        if !status.is_success() {
            return Err(format!("the web service answered {status}: {text}"));
        }
        serde_json::from_slice(&body).map_err(|error| format!("the answer is not JSON: {error}"))
    }
}

/// `translationMap`, its defaults, and `successTemplate`.
fn translate(response: &Value, answer: &Value) -> Result<Value, String> {
    let mut values = Map::new();
    values.insert("rawResult".to_owned(), Value::String(answer.to_string()));
    for (name, path) in response["translationMap"].as_object().into_iter().flatten() {
        let path = path.as_str().unwrap_or_default();
        let found = json_path::find(answer, path)?;
        let default = response["translationMapDefaults"][name].as_str();
        let text = match (found, default) {
            (Some(value), _) => value.to_string(),
            (None, Some(default)) => default.to_owned(),
            (None, None) => return Err(format!("nothing at {path} and no default for {name}")),
        };
        values.insert(name.clone(), Value::String(text));
    }
    let template = response["successTemplate"]
        .as_str()
        .unwrap_or("${rawResult}");
    let text = velocity::render(template, &Scope::default().with("", values))?;
    serde_json::from_str(&text).map_err(|error| format!("the result is not JSON: {error}"))
}
