//! A data action as CX as Code: the resource `genesyscloud_integration_action` of the Terraform provider.

use std::fmt::Write as _;

use serde_json::Value;

use crate::document::DataAction;

/// Writes the resource. `integration_id` is an HCL expression, such as `"…"` in quotes or `var.integration_id`.
///
/// `${` is written `$${` and `%{` is written `%%{`, because Terraform would fill them in itself.
#[must_use]
pub fn to_hcl(action: &DataAction, category: &str, integration_id: &str) -> String {
    let request = &action.config.request;
    let response = &action.config.response;
    let mut out = format!(
        "resource \"genesyscloud_integration_action\" {} {{\n",
        quoted(&label(&action.name))
    );
    let mut fields = vec![
        ("name", quoted(&action.name)),
        ("category", quoted(category)),
        ("integration_id", integration_id.to_owned()),
        ("secure", action.secure.to_string()),
    ];
    if let Some(seconds) = action.config.timeout_seconds {
        fields.push(("config_timeout_seconds", seconds.to_string()));
    }
    let contract = |schema: &Value| format!("jsonencode({})", expression(schema, 1));
    fields.push((
        "contract_input",
        contract(&action.contract.input.input_schema),
    ));
    fields.push((
        "contract_output",
        contract(&action.contract.output.success_schema),
    ));
    block(&mut out, 1, &fields);
    out.push_str("\n  config_request {\n");
    let url = quoted(&request.request_url_template);
    let template = quoted(&request.request_template);
    block(
        &mut out,
        2,
        &[
            ("request_url_template", url),
            ("request_type", quoted(&request.request_type)),
            ("request_template", template),
            ("headers", strings(request.headers.iter())),
        ],
    );
    out.push_str("  }\n\n  config_response {\n");
    block(
        &mut out,
        2,
        &[
            ("translation_map", strings(response.translation_map.iter())),
            (
                "translation_map_defaults",
                strings(response.translation_map_defaults.iter()),
            ),
            ("success_template", quoted(&response.success_template)),
        ],
    );
    out.push_str("  }\n}\n");
    out
}

/// Letters, digits and `_`, as a resource is named.
fn label(name: &str) -> String {
    let label: String = name
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '_'
            }
        })
        .collect();
    if label.starts_with(|char: char| char.is_ascii_digit()) {
        format!("_{label}")
    } else {
        label
    }
}

/// Fields with their `=` in one column, as `terraform fmt` writes single lines.
fn block(out: &mut String, level: usize, fields: &[(&str, String)]) {
    let indent = "  ".repeat(level);
    let single = |value: &str| !value.contains('\n');
    for (index, (name, value)) in fields.iter().enumerate() {
        // Lines of one run are aligned; a value of several lines ends the run.
        let before = fields[..index].iter().rev();
        let after = fields[index..].iter();
        let width = before
            .take_while(|(_, value)| single(value))
            .chain(after.take_while(|(_, value)| single(value)))
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or_default();
        let width = if single(value) { width } else { name.len() };
        let _ = writeln!(out, "{indent}{name:width$} = {value}");
    }
}

fn strings<'a>(entries: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let lines: Vec<String> = entries
        .map(|(name, value)| format!("      {} = {}\n", quoted(name), quoted(value)))
        .collect();
    if lines.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{\n{}    }}", lines.concat())
    }
}

/// A JSON value as an expression.
fn expression(value: &Value, level: usize) -> String {
    let (inner, outer) = ("  ".repeat(level + 1), "  ".repeat(level));
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| expression(item, level + 1))
                .collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let mut out = "{\n".to_owned();
            for (name, member) in members {
                let member = expression(member, level + 1);
                let _ = writeln!(out, "{inner}{} = {member}", quoted(name));
            }
            out + &outer + "}"
        }
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if chars.peek() == Some(&'{') => {
                out.push(char);
                out.push(char);
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DocumentBuilder, Field, ValueType};
    use url::Url;

    #[test]
    fn text_is_escaped_as_terraform_reads_it() {
        for (text, expected) in [
            ("a", r#""a""#),
            ("say \"hi\"\\\n\t", r#""say \"hi\"\\\n\t""#),
            ("${input.a} $!{b} $c", r#""$${input.a} $!{b} $c""#),
            ("100%{x}", r#""100%%{x}""#),
            ("é😀", "\"é😀\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(label("agent-scorecard@2"), "agent_scorecard_2");
        assert_eq!(label("2nd"), "_2nd");
    }

    #[test]
    fn a_resource() {
        let url = Url::parse("https://flowlake.example/v1/actions/x").unwrap();
        let action = DocumentBuilder::new("x", url)
            .with_inputs([Field::new("a", ValueType::String)])
            .with_columns([Field::new("n", ValueType::Integer)])
            .with_timeout_seconds(8)
            .build()
            .unwrap();
        let text = to_hcl(&action, "flowlake", "var.integration_id");
        for line in [
            "resource \"genesyscloud_integration_action\" \"x\" {",
            "  name                   = \"x\"",
            "  integration_id         = var.integration_id",
            "  config_timeout_seconds = 8",
            "  contract_input = jsonencode({",
            "      \"Authorization\" = \"Bearer $${credentials.apiKey}\"",
            "    request_type         = \"POST\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.replace("$${", "").contains("${"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
