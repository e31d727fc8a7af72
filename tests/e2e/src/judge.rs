//! DuckDB's answer to the question that an action asks, from the local files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::{Project, Python};

/// An action and values for its parameters.
#[derive(Debug, Clone)]
pub struct Question {
    /// The action's name.
    pub action: String,
    /// The parameters that its SQL uses.
    pub parameters: Value,
}

impl Question {
    /// A question.
    #[must_use]
    pub fn new(action: &str, parameters: Value) -> Self {
        Self {
            action: action.to_owned(),
            parameters,
        }
    }

    /// What is typed after `flowlake` to ask it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = ["run", &self.action, "--format", "json"]
            .map(str::to_owned)
            .into();
        for (name, value) in self.parameters.as_object().into_iter().flatten() {
            arguments.push("--param".to_owned());
            arguments.push(format!(
                "{name}={}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            ));
        }
        arguments
    }
}

/// Another SQL engine over the same files.
#[derive(Debug)]
pub struct Judge {
    python: Python,
    root: PathBuf,
}

impl Judge {
    /// A judge who reads the sub-folders of `root` as buckets.
    #[must_use]
    pub fn new(python: Python, root: &Path) -> Self {
        Self {
            python,
            root: root.to_owned(),
        }
    }

    /// The rows that a question should give.
    ///
    /// # Errors
    /// When the action cannot be read or DuckDB refuses its SQL.
    pub fn expected(&self, project: &Project, question: &Question) -> Result<Value> {
        let action = project.action(&question.action)?;
        let mut tables = Map::new();
        for (name, table) in action["tables"]
            .as_table()
            .context("[tables] is not a table")?
        {
            let uri = table["uri"].as_str().context("a uri is not text")?;
            let key = uri.strip_prefix("s3://").context("a uri is not of S3")?;
            let path = self.root.join(with_defaults(key, &action)?);
            let ending = path
                .extension()
                .and_then(|ending| ending.to_str())
                .context("a file has no ending")?;
            let format = table
                .get("format")
                .and_then(toml::Value::as_str)
                .unwrap_or(ending);
            // It would read telephone numbers as integers.
            let types = if format == "csv" {
                json!({ "ani": "VARCHAR" })
            } else {
                Value::Null
            };
            tables.insert(
                name.clone(),
                json!({ "path": path, "format": format, "types": types }),
            );
        }
        let sql = action["query"]["sql"]
            .as_str()
            .context("the SQL is not text")?;
        self.python.call(
            "query",
            &json!({ "sql": sql, "tables": tables, "params": question.parameters }),
        )
    }
}

/// A URI with the defaults of its parameters put in.
fn with_defaults(uri: &str, action: &toml::Table) -> Result<String> {
    let mut filled = uri.to_owned();
    for (name, parameter) in action
        .get("params")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten()
    {
        let place = format!("{{{name}}}");
        if filled.contains(&place) {
            let default = parameter.get("default").and_then(toml::Value::as_str);
            filled = filled.replace(
                &place,
                default.with_context(|| format!("{name} has no default"))?,
            );
        }
    }
    Ok(filled)
}
