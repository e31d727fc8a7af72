//! The parameters of an action as JSON Schema, for those who call it: people, generated clients, agents.

use flowlake_transform::{ParamSpec, ParamType};
use serde_json::{Map, Value, json};

use super::ActionDefinition;

impl ActionDefinition {
    /// The parameters as the schema of an object (JSON Schema 2020-12), of those alone that the caller may choose.
    #[must_use]
    pub fn params_schema(&self, may_choose: impl Fn(&str) -> bool) -> Value {
        let chosen = self.params.iter().filter(|(name, _)| may_choose(name));
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (name, spec) in chosen {
            properties.insert(name.clone(), param_schema(spec));
            if spec.default.is_none() {
                required.push(name);
            }
        }
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// The names of the parameters that are personal or secret.
    pub fn sensitive_params(&self) -> impl Iterator<Item = &str> {
        let sensitive = self.params.iter().filter(|(_, spec)| spec.is_sensitive());
        sensitive.map(|(name, _)| name.as_str())
    }
}

/// The schema of one parameter.
fn param_schema(spec: &ParamSpec) -> Value {
    let mut schema = match (spec.kind, spec.items) {
        (ParamType::List, items) => json!({
            "type": "array",
            "items": value_schema(items.unwrap_or(ParamType::String), spec),
            "maxItems": spec.most_items(),
        }),
        (kind, _) => value_schema(kind, spec),
    };
    if !spec.description.is_empty() {
        schema["description"] = json!(spec.description);
    }
    // A relative day such as `-7d` is no value that a caller sends.
    let is_relative = matches!(spec.kind, ParamType::Date | ParamType::Timestamp);
    if let Some(default) = spec.default.as_ref().filter(|_| !is_relative) {
        schema["default"] = default.clone();
    }
    schema
}

/// The schema of one value, or of each item of a list.
fn value_schema(kind: ParamType, spec: &ParamSpec) -> Value {
    let mut schema = match kind {
        ParamType::String | ParamType::List => json!({ "type": "string", "maxLength": 4096 }),
        ParamType::Integer => json!({ "type": "integer", "format": "int64" }),
        // As text, all digits survive whatever is between.
        ParamType::Decimal => json!({ "type": ["number", "string"] }),
        ParamType::Boolean => json!({ "type": "boolean" }),
        ParamType::Date => json!({ "type": "string", "format": "date" }),
        ParamType::Timestamp => json!({ "type": "string", "format": "date-time" }),
        ParamType::Enum => json!({ "type": "string", "enum": spec.values }),
        ParamType::Phone => json!({ "type": "string", "pattern": "^\\+[1-9][0-9]{1,14}$" }),
    };
    if let Some(pattern) = spec.pattern.as_ref().filter(|_| kind == ParamType::String) {
        schema["pattern"] = json!(format!("^(?:{pattern})$"));
    }
    if matches!(kind, ParamType::Integer | ParamType::Decimal) {
        for (bound, name) in [(&spec.min, "minimum"), (&spec.max, "maximum")] {
            if let Some(bound) = bound.as_ref().filter(|bound| bound.is_number()) {
                schema[name] = bound.clone();
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::ActionDefinition;

    #[test]
    fn parameters_as_a_schema() {
        let text = r#"
name = "x"
[tables.t]
uri = "s3://lake/t.csv"
[params]
account = { type = "string", pattern = "[0-9]+", description = "The account" }
caller = { type = "string" }
days = { type = "list", items = "date", max_items = 3 }
from = { type = "date", default = "-7d" }
kind = { type = "enum", values = ["a", "b"], default = "a" }
phone = { type = "phone", sensitive = true }
rate = { type = "decimal", min = 0, max = "1e3" }
top = { type = "integer", default = 10, min = 1, max = 100 }
[query]
sql = "SELECT 1"
"#;
        let action = ActionDefinition::parse(Path::new("x.toml"), text).unwrap();
        let schema = action.params_schema(|name| name != "caller");
        let expected = json!({
            "type": "object",
            "properties": {
                "account": { "type": "string", "maxLength": 4096, "pattern": "^(?:[0-9]+)$", "description": "The account" },
                "days": { "type": "array", "items": { "type": "string", "format": "date" }, "maxItems": 3 },
                "from": { "type": "string", "format": "date" },
                "kind": { "type": "string", "enum": ["a", "b"], "default": "a" },
                "phone": { "type": "string", "pattern": "^\\+[1-9][0-9]{1,14}$" },
                "rate": { "type": ["number", "string"], "minimum": 0 },
                "top": { "type": "integer", "format": "int64", "minimum": 1, "maximum": 100, "default": 10 },
            },
            "required": ["account", "days", "phone", "rate"],
            "additionalProperties": false,
        });
        assert_eq!(schema, expected);
    }
}
