//! The JSON Schema that `flowlake schema` prints: it takes every file that flowlake takes, and none of a few that it refuses.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::desk::Desk;

/// What is wrong with a document, by its place; the keywords are those that the schema has.
fn faults(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if let Value::Bool(takes) = schema {
        if !takes {
            found.push(format!("{place}: is not allowed"));
        }
        return;
    }
    let of = |schema: &Value, value: &Value, place: &str| {
        let mut found = Vec::new();
        faults(root, schema, value, place, &mut found);
        found
    };
    for (keyword, rule) in schema.as_object().unwrap() {
        let ok = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "definitions" | "format"
            | "x-since" => true,
            "$ref" => {
                let pointer = rule.as_str().unwrap().trim_start_matches('#');
                found.extend(of(root.pointer(pointer).unwrap(), value, place));
                true
            }
            "allOf" => {
                let rules = rule.as_array().unwrap();
                found.extend(rules.iter().flat_map(|rule| of(rule, value, place)));
                true
            }
            "anyOf" | "oneOf" => {
                let rules = rule.as_array().unwrap();
                rules.iter().any(|rule| of(rule, value, place).is_empty())
            }
            "type" => {
                let kinds: Vec<_> = match rule {
                    Value::Array(kinds) => kinds.iter().collect(),
                    kind => vec![kind],
                };
                kinds
                    .iter()
                    .any(|kind| is_of(value, kind.as_str().unwrap()))
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "minimum" => value
                .as_f64()
                .is_none_or(|value| value >= rule.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|value| value <= rule.as_f64().unwrap()),
            "minLength" | "maxLength" => value.as_str().is_none_or(|text| {
                let length = text.chars().count() as u64;
                let bound = rule.as_u64().unwrap();
                if keyword == "minLength" {
                    length >= bound
                } else {
                    length <= bound
                }
            }),
            "minItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "required" => value.as_object().is_none_or(|members| {
                let names = rule.as_array().unwrap();
                names
                    .iter()
                    .all(|name| members.contains_key(name.as_str().unwrap()))
            }),
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        found.extend(of(rule, value, &format!("{place}.{name}")));
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if !known.is_some_and(|known| known.contains_key(name)) {
                        found.extend(of(rule, value, &format!("{place}.{name}")));
                    }
                }
                true
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(of(rule, item, &format!("{place}[{number}]")));
                }
                true
            }
            other => panic!("the schema has the keyword {other}, which this test does not know"),
        };
        if !ok {
            found.push(format!("{place}: {keyword} {rule}"));
        }
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    }
}

async fn schema(file: &str) -> Value {
    let (out, _) = Desk::new().asked(&["schema", file], 0).await;
    serde_json::from_str(&out).unwrap()
}

fn judged(schema: &Value, toml: &str) -> Vec<String> {
    let document: Value = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    let mut found = Vec::new();
    faults(schema, schema, &document, "", &mut found);
    found
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A configuration with the settings that it only shows in comments.
fn uncommented(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let setting = line.strip_prefix("# ").filter(|setting| {
            let key = setting.split(['=', '#']).next().unwrap_or_default().trim();
            let is_key = setting.contains(" = ")
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            is_key || setting.starts_with('[')
        });
        setting.unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn it_takes_every_example_of_the_repository() {
    let (config, action) = (schema("config").await, schema("action").await);
    let text = std::fs::read_to_string(repository().join("examples/contact-centre/flowlake.toml"))
        .unwrap();
    for text in [text.clone(), uncommented(&text)] {
        assert_eq!(judged(&config, &text), [""; 0], "{text}");
    }
    assert!(uncommented(&text).matches("\n[").count() > 20, "{text}");
    let mut actions = 0;
    for folder in ["examples/contact-centre/actions", "tests/e2e/actions"] {
        for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(".test.toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(judged(&action, &text), [""; 0], "{}", path.display());
            actions += 1;
        }
    }
    assert!(actions >= 10, "{actions}");
    // What only some tables have.
    let rare = r#"
        name = "rare"
        cache = "60s"
        [tables.t]
        uri = ["s3://b/a.csv", "s3://b/c.csv"]
        header = "skip"
        quote = ""
        escape = '\'
        columns = [["a", "string"], { name = "b", type = "timestamp", unit = "ms" }]
        [tables.u]
        uri = "s3://b/{day}/"
        header = false
        columns = { a = "decimal(10, 2)", b = { type = "timestamptz", unit = "s" } }
        partitions = { day = "date" }
        [params.day]
        type = "list"
        items = "date"
        default = ["yesterday"]
        [limits]
        timeout = "8s"
        max_scan_bytes = "2GiB"
        max_output_bytes = 4194304
        [budget]
        daily_usd = "0.5"
        monthly_usd = 10
        over = "warn"
        [genesys]
        shape = "first-row"
        [query]
        sql = "SELECT 1 FROM t"
    "#;
    assert_eq!(judged(&action, rare), [""; 0]);
}

#[tokio::test]
async fn it_finds_what_flowlake_refuses() {
    let (config, action) = (schema("config").await, schema("action").await);
    let good = "name = \"a\"\n[tables.t]\nuri = \"s3://b/k\"\n[query]\nsql = \"SELECT 1 FROM t\"\n";
    assert_eq!(judged(&action, good), [""; 0]);
    for (wrong, place) in [
        (good.replace("uri", "url"), ".tables.t"),
        (
            good.replace("[query]", "[limits]\ntimeout = 5\n[query]"),
            ".limits.timeout",
        ),
        (
            good.replace("[query]", "[params.p]\ntype = \"int\"\n[query]"),
            ".params.p.type",
        ),
        (
            good.replace("[query]", "on_error = \"ignore\"\n[query]"),
            ".tables.t.on_error",
        ),
        (
            good.replace("[query]", "skip_lines = -1\n[query]"),
            ".tables.t.skip_lines",
        ),
        (
            good.replace(
                "[query]",
                "types = { a = { type = \"timestamp\", unit = \"h\" } }\n[query]",
            ),
            ".tables.t.types.a",
        ),
        (good.replace("sql =", "text ="), ".query"),
    ] {
        let found = judged(&action, &wrong);
        assert!(
            !found.is_empty() && found.iter().all(|fault| fault.starts_with(place)),
            "{wrong}: {found:?}"
        );
        // As flowlake itself does.
        let desk = Desk::new();
        desk.lay("flowlake.toml", "[aws]\nregion = \"us-east-1\"\n");
        desk.lay("actions/a.toml", &wrong);
        desk.asked(&["check"], 2).await;
    }
    for (wrong, place) in [
        ("[policies]\nallow = []", ".policies"),
        ("[policy]\nallow = \"s3://b/*\"", ".policy.allow"),
        ("[access]\nmode = \"ask\"", ".access.mode"),
        (
            "[[server.keys]]\nname = \"a\"\nsecret = { env = \"A\", file = \"b\" }",
            ".server.keys[0].secret",
        ),
        ("[[server.clients]]\nkeys_sha256 = []", ".server.clients[0]"),
    ] {
        let found = judged(&config, wrong);
        assert!(
            !found.is_empty() && found.iter().all(|fault| fault.starts_with(place)),
            "{wrong}: {found:?}"
        );
        let desk = Desk::new();
        desk.lay("flowlake.toml", wrong);
        desk.asked(&["check"], 2).await;
    }
}

/// Names of fields that nothing is said of.
fn undescribed(schema: &Value, place: &str, found: &mut Vec<String>) {
    match schema {
        Value::Array(items) => items
            .iter()
            .for_each(|item| undescribed(item, place, found)),
        Value::Object(members) => {
            let properties = members.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                if property["description"].as_str().is_none_or(str::is_empty) {
                    found.push(format!("{place}.{name}"));
                }
            }
            for (name, inner) in members {
                undescribed(inner, &format!("{place}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn it_describes_every_field_in_plain_words() {
    for file in ["config", "action"] {
        let schema = schema(file).await;
        let mut found = Vec::new();
        undescribed(&schema, file, &mut found);
        // A secret is in a variable or in a file: the two are described as the forms that it has.
        found.retain(|place| {
            !["SecretSource", "CertificateMatch"]
                .iter()
                .any(|name| place.contains(name))
        });
        assert_eq!(found, [""; 0]);
        let text = schema.to_string();
        for part in [
            "[`",
            "`](",
            "super::",
            "\"type\":\"null\"",
            ",null]",
            "default\":null",
        ] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("\"$schema\":\"http://json-schema.org/draft-07/schema#\""));
    }
}

/// Names of fields that do not say since which version they are there.
fn undated(schema: &Value, place: &str, found: &mut Vec<String>) {
    let Some(members) = schema.as_object() else {
        let items = schema.as_array().into_iter().flatten();
        return items.for_each(|item| undated(item, place, found));
    };
    let properties = members.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if property["x-since"].as_str().is_none_or(str::is_empty) {
            found.push(format!("{place}.{name}"));
        }
    }
    for (name, inner) in members {
        undated(inner, &format!("{place}/{name}"), found);
    }
}

#[tokio::test]
async fn every_field_says_since_which_version_it_is_there() {
    for file in ["config", "action"] {
        let mut found = Vec::new();
        undated(&schema(file).await, file, &mut found);
        assert_eq!(found, [""; 0]);
    }
}

/// The pages of the docs are those that the program prints.
#[tokio::test]
async fn the_reference_is_that_of_the_code() {
    for (file, page) in [
        ("config", "configuration.md"),
        ("action", "action-files.md"),
    ] {
        let (printed, _) = Desk::new().asked(&["schema", file, "--markdown"], 0).await;
        let written = std::fs::read_to_string(repository().join("docs").join(page)).unwrap();
        let differs = printed
            .lines()
            .zip(written.lines())
            .find(|(new, old)| new != old);
        assert!(
            printed == written,
            "docs/{page} is out of step at {differs:?}: write it with `flowlake schema {file} --markdown > docs/{page}`"
        );
    }
}
