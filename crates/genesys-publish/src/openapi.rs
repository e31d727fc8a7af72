//! The web service behind data actions as an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use crate::contract::Field;

/// What is described: a server, and actions of it.
#[derive(Debug, Clone)]
pub struct OpenApiSettings<'a> {
    /// The title of the document.
    pub title: &'a str,
    /// What it is about, for people.
    pub description: &'a str,
    /// The address of the server, such as `https://flowlake.example.com`; `/` where it serves the document itself.
    pub server_url: &'a str,
    /// The actions.
    pub actions: &'a [OpenApiAction],
    /// The most questions of one batch; left out, batches are not described.
    pub most_in_batch: Option<usize>,
}

/// One action of the web service.
#[derive(Debug, Clone)]
pub struct OpenApiAction {
    /// The action's name.
    pub name: String,
    /// What it answers, for people.
    pub description: String,
    /// The parameters, as the JSON schema of an object.
    pub input: Value,
    /// The parameters that do not belong into an address.
    pub sensitive: Vec<String>,
    /// The columns of a row, where they are known.
    pub columns: Option<Vec<Field>>,
}

/// Describes the requests and the answers of actions, with a bearer key.
#[must_use]
pub fn to_openapi(settings: &OpenApiSettings<'_>) -> Value {
    let mut paths = Map::new();
    for action in settings.actions {
        let mut methods = Map::new();
        methods.insert("post".to_owned(), post(action));
        let sensitive = |name: &&str| action.sensitive.iter().any(|other| other == name);
        if !required(action).iter().any(sensitive) {
            methods.insert("get".to_owned(), get(action));
        }
        let path = format!("/v1/actions/{}", action.name);
        paths.insert(path.clone(), Value::Object(methods));
        if let Some(most) = settings.most_in_batch {
            let batch = json!({ "post": batch(action, most) });
            paths.insert(format!("{path}/batch"), batch);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": settings.title,
            "description": settings.description,
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": settings.server_url }],
        "security": [{ "key": [] }, { "password": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer" },
                "password": { "type": "http", "scheme": "basic" },
            },
            "schemas": { "Problem": problem() },
        },
    })
}

fn post(action: &OpenApiAction) -> Value {
    json!({
        "operationId": action.name,
        "summary": action.description,
        "parameters": [envelope()],
        "requestBody": {
            "required": !required(action).is_empty(),
            "content": { "application/json": { "schema": action.input } },
        },
        "responses": { "200": answered(action), "default": failed() },
    })
}

fn get(action: &OpenApiAction) -> Value {
    let required = required(action);
    let properties = action.input["properties"].as_object();
    let properties = properties.into_iter().flatten();
    let properties = properties.filter(|(name, _)| !action.sensitive.contains(name));
    let params = properties.map(|(name, schema)| {
        json!({
            "name": name,
            "in": "query",
            "required": required.contains(&name.as_str()),
            "schema": schema,
        })
    });
    let tag = json!({ "name": "If-None-Match", "in": "header", "schema": { "type": "string", "pattern": "^[!-~]*$" } });
    let params: Vec<_> = params.chain([envelope(), tag]).collect();
    json!({
        "operationId": format!("{}-get", action.name),
        "summary": action.description,
        "parameters": params,
        "responses": {
            "200": answered(action),
            "304": { "description": "The caller has the answer." },
            "default": failed(),
        },
    })
}

fn batch(action: &OpenApiAction, most: usize) -> Value {
    let status = json!({ "type": "integer" });
    let answers = json!({
        "type": "array",
        "items": { "anyOf": [
            {
                "type": "object",
                "properties": { "status": status, "answer": answer(action) },
                "required": ["status", "answer"],
            },
            {
                "type": "object",
                "properties": { "status": status, "problem": { "$ref": "#/components/schemas/Problem" } },
                "required": ["status", "problem"],
            },
        ] },
    });
    json!({
        "operationId": format!("{}-batch", action.name),
        "summary": format!("{}: several questions, each answered or refused by itself, in their order", action.description),
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": {
                "type": "array", "items": action.input, "minItems": 1, "maxItems": most,
            } } },
        },
        "responses": {
            "200": {
                "description": "One answer or problem for each question.",
                "content": { "application/json": { "schema": {
                    "type": "object", "properties": { "answers": answers }, "required": ["answers"],
                } } },
            },
            "default": failed(),
        },
    })
}

fn required(action: &OpenApiAction) -> Vec<&str> {
    let names = action.input["required"].as_array();
    let names = names.into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

fn envelope() -> Value {
    json!({
        "name": "envelope",
        "in": "query",
        "description": "The shape of the answer.",
        "schema": { "type": "string", "enum": ["flow", "data-action", "full", "rows"], "default": "flow" },
    })
}

fn answered(action: &OpenApiAction) -> Value {
    let rows = rows(action);
    let full = json!({
        "type": "object",
        "properties": { "data": rows, "audit_log": { "type": "object" } },
        "required": ["data", "audit_log"],
    });
    let text = json!({ "schema": { "type": "string" } });
    json!({
        "description": "The rows.",
        "content": {
            "application/json": { "schema": { "anyOf": [answer(action), full, rows] } },
            "application/x-ndjson": text,
            "text/csv": text,
            "application/vnd.apache.arrow.stream": {},
            "application/vnd.apache.parquet": {},
        },
    })
}

fn rows(action: &OpenApiAction) -> Value {
    let Some(columns) = &action.columns else {
        return json!({ "type": "array", "items": { "type": "object" } });
    };
    let properties: Map<String, Value> = columns
        .iter()
        .map(|field| {
            let mut schema = field.schema();
            if field.nullable {
                schema["type"] = json!([field.value_type.as_str(), "null"]);
            }
            (field.name.clone(), schema)
        })
        .collect();
    // Rows for data actions leave null out.
    let required = columns.iter().filter(|field| !field.nullable);
    let required: Vec<_> = required.map(|field| &field.name).collect();
    json!({ "type": "array", "items": { "type": "object", "properties": properties, "required": required } })
}

fn answer(action: &OpenApiAction) -> Value {
    json!({
        "type": "object",
        "properties": {
            "data": rows(action),
            "row_count": { "type": "integer" },
            "truncated": { "type": "boolean" },
            "skipped_rows": { "type": "integer" },
            "nulled_values": { "type": "integer" },
            "audit_id": { "type": "string" },
            "cost_usd": { "type": ["string", "null"] },
            "duration_ms": { "type": "number" },
        },
        "required": ["data", "row_count", "truncated", "audit_id"],
    })
}

fn failed() -> Value {
    json!({
        "description": "A problem (RFC 9457) with its stable code.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "error": {
                "type": "object",
                "properties": {
                    "code": { "type": "string" },
                    "message": { "type": "string" },
                    "advice": { "type": "string" },
                    "retryable": { "type": "boolean" },
                },
                "required": ["code", "message", "advice", "retryable"],
            },
            "audit_id": { "type": ["string", "null"] },
        },
        "required": ["type", "title", "status", "detail", "error"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ValueType;

    #[test]
    fn an_action_as_openapi() {
        let input = json!({
            "type": "object",
            "properties": { "a": { "type": "string" }, "b": { "type": "integer" } },
            "required": ["a"],
        });
        let mut action = OpenApiAction {
            name: "x".to_owned(),
            description: "Something".to_owned(),
            input: input.clone(),
            sensitive: Vec::new(),
            columns: Some(vec![
                Field::new("n", ValueType::Number).nullable(),
                Field::new("s", ValueType::String),
            ]),
        };
        let describe = |action: &OpenApiAction, most_in_batch| {
            to_openapi(&OpenApiSettings {
                title: "x",
                description: "Something",
                server_url: "https://flowlake.example",
                actions: std::slice::from_ref(action),
                most_in_batch,
            })
        };
        let document = describe(&action, Some(10));
        assert_eq!(document["openapi"], "3.1.0");
        let path = &document["paths"]["/v1/actions/x"];
        let post = &path["post"];
        assert_eq!(
            post["requestBody"]["content"]["application/json"]["schema"],
            input
        );
        let answer = &post["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0];
        let row = &answer["properties"]["data"]["items"];
        assert_eq!(row["properties"]["n"]["type"], json!(["number", "null"]));
        assert_eq!(row["required"], json!(["s"]));
        let params = path["get"]["parameters"].as_array().unwrap();
        let params = params
            .iter()
            .map(|param| (&param["name"], &param["required"]));
        let params: Vec<_> = params.take(2).collect();
        let (yes, no) = (json!(true), json!(false));
        assert_eq!(params, [(&json!("a"), &yes), (&json!("b"), &no)]);
        let batch = &document["paths"]["/v1/actions/x/batch"]["post"]["requestBody"];
        assert_eq!(
            batch["content"]["application/json"]["schema"]["maxItems"],
            10
        );
        action.columns = None;
        action.sensitive = vec!["b".to_owned()];
        let document = describe(&action, None);
        assert_eq!(document["paths"].as_object().unwrap().len(), 1);
        let params = &document["paths"]["/v1/actions/x"]["get"]["parameters"];
        assert_eq!(
            (&params[0]["name"], &params[1]["name"]),
            (&json!("a"), &json!("envelope"))
        );
        // What is needed cannot stand in an address.
        action.sensitive = vec!["a".to_owned()];
        let document = describe(&action, None);
        assert!(document["paths"]["/v1/actions/x"]["get"].is_null());
    }
}
