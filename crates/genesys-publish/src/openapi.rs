//! The web service behind data actions as an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use crate::contract::Field;

/// What is described: one action of the web service.
#[derive(Debug, Clone)]
pub struct OpenApiSettings<'a> {
    /// The action's name.
    pub name: &'a str,
    /// What it answers, for people.
    pub description: &'a str,
    /// The address of the server, such as `https://flowlake.example.com`.
    pub server_url: &'a str,
    /// The path below it, such as `/v1/actions/agent-scorecard`.
    pub path: &'a str,
    /// The parameters.
    pub inputs: &'a [Field],
    /// The columns of a row.
    pub columns: &'a [Field],
}

/// Describes the request and the answer of one action, with a bearer key.
#[must_use]
pub fn to_openapi(settings: &OpenApiSettings<'_>) -> Value {
    let inputs: Map<String, Value> = settings
        .inputs
        .iter()
        .map(|field| (field.name.clone(), field.schema()))
        .collect();
    let required: Vec<&str> = settings
        .inputs
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name.as_str())
        .collect();
    let columns: Map<String, Value> = settings
        .columns
        .iter()
        .map(|field| {
            let mut schema = field.schema();
            if field.nullable {
                schema["type"] = json!([field.value_type.as_str(), "null"]);
            }
            (field.name.clone(), schema)
        })
        .collect();
    let names: Vec<&String> = columns.keys().collect();
    let failure = json!({
        "description": "A failure with its stable code.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Failure" } } },
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": settings.name,
            "description": settings.description,
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": settings.server_url }],
        "security": [{ "key": [] }],
        "paths": {
            settings.path: {
                "post": {
                    "operationId": settings.name,
                    "summary": settings.description,
                    "requestBody": {
                        "required": !required.is_empty(),
                        "content": { "application/json": { "schema": {
                            "type": "object",
                            "properties": inputs,
                            "required": required,
                            "additionalProperties": false,
                        } } },
                    },
                    "responses": {
                        "200": {
                            "description": "The rows.",
                            "content": { "application/json": { "schema": {
                                "type": "object",
                                "properties": {
                                    "data": { "type": "array", "items": {
                                        "type": "object", "properties": columns, "required": names,
                                    } },
                                    "row_count": { "type": "integer" },
                                    "truncated": { "type": "boolean" },
                                    "audit_id": { "type": "string" },
                                    "cost_usd": { "type": ["string", "null"] },
                                    "duration_ms": { "type": "number" },
                                },
                                "required": ["data", "row_count", "truncated", "audit_id"],
                            } } },
                        },
                        "default": failure,
                    },
                },
            },
        },
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Failure": {
                "type": "object",
                "properties": {
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
                "required": ["error"],
            } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ValueType;

    #[test]
    fn an_action_as_openapi() {
        let document = to_openapi(&OpenApiSettings {
            name: "x",
            description: "Something",
            server_url: "https://flowlake.example",
            path: "/v1/actions/x",
            inputs: &[
                Field::new("a", ValueType::String),
                Field::new("b", ValueType::Integer).optional(),
            ],
            columns: &[Field::new("n", ValueType::Number).nullable()],
        });
        assert_eq!(document["openapi"], "3.1.0");
        let post = &document["paths"]["/v1/actions/x"]["post"];
        let body = &post["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body["required"], json!(["a"]));
        let answer = &post["responses"]["200"]["content"]["application/json"]["schema"];
        let row = &answer["properties"]["data"]["items"];
        assert_eq!(row["properties"]["n"]["type"], json!(["number", "null"]));
    }
}
