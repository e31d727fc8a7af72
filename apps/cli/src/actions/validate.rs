//! `flowlake actions validate`.

use std::path::Path;

use flowlake_data_action::Door;
use serde_json::{Value, json};

use super::{
    arguments::Selection,
    document::{Documents, NO_SECTION},
};
use crate::{failure::Failure, output};

pub(super) async fn validate(
    config: &Path,
    via: Option<Door>,
    arguments: &Selection,
) -> Result<(), Failure> {
    let documents = Documents::load(config, via, &arguments.sources).await?;
    let mut lines = String::new();
    let mut found = Vec::<Value>::new();
    let mut first_exit_code = None;
    for name in documents.names(&arguments.actions)? {
        match documents.draft(&name).await {
            Ok(drafted) => {
                lines += &format!(
                    "✓ {name}: {} inputs, {} columns\n",
                    drafted.inputs.len(),
                    drafted.columns.len()
                );
                found.push(json!({ "action": name, "valid": true, "timeout_seconds": drafted.document.config.timeout_seconds }));
            }
            Err(error) => {
                lines += &format!(
                    "✗ {name}: [{}] {}\n    {}\n",
                    error.code(),
                    error.message(),
                    error.advice()
                );
                found.push(json!({ "action": name, "valid": false, "error": error.to_json() }));
                first_exit_code.get_or_insert(error.code().exit_code());
            }
        }
    }
    for name in documents.left_out(&arguments.actions) {
        lines += &format!("- {name}: left out, since {NO_SECTION}\n");
        found.push(json!({ "action": name, "left_out": NO_SECTION }));
    }
    output::print(&if arguments.json {
        output::json(&found)?
    } else {
        lines
    })?;
    first_exit_code.map_or(Ok(()), |code| Err(Failure::Findings(code)))
}
