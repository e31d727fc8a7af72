//! `flowlake actions export`.

use std::{fs, path::Path};

use flowlake_data_action::{ActionError, Door, ErrorCode};
use flowlake_genesys_publish::{OpenApiAction, OpenApiSettings, to_hcl, to_openapi};

use super::{
    arguments::{Export, Format},
    document::{Documents, Drafted},
};
use crate::{failure::Failure, output};

/// The variable that names the integration where `[publish]` does not.
const INTEGRATION_VARIABLE: &str = "variable \"genesyscloud_integration_id\" {\n  type        = string\n  description = \"The integration that the data actions belong to.\"\n}\n";

pub(super) async fn export(
    config: &Path,
    via: Option<Door>,
    arguments: &Export,
) -> Result<(), Failure> {
    let documents = Documents::load(config, via, &arguments.sources).await?;
    if let Some(folder) = &arguments.folder {
        let mut texts = Vec::new();
        // Everything is made before anything is written.
        for name in documents.names(&[])? {
            let drafted = documents.draft(&name).await?;
            texts.push((name, text(&documents, &drafted, arguments.format)?));
        }
        fs::create_dir_all(folder)?;
        let extension = match arguments.format {
            Format::Import => "json",
            Format::Hcl => "tf",
            Format::Openapi => "openapi.json",
        };
        let integration = documents.publish.integration_id(documents.door);
        if arguments.format == Format::Hcl && integration.is_empty() {
            fs::write(folder.join("variables.tf"), INTEGRATION_VARIABLE)?;
        }
        let mut lines = String::new();
        for (name, text) in texts {
            let path = folder.join(format!("{name}.{extension}"));
            fs::write(&path, text)?;
            lines += &format!("{}\n", path.display());
        }
        output::print(&lines)?;
        return Ok(());
    }
    let name = arguments.action.as_deref().unwrap_or_default();
    let drafted = documents.draft(name).await?;
    let text = text(&documents, &drafted, arguments.format)?;
    match &arguments.output {
        Some(path) => fs::write(path, text)?,
        None => output::print(&text)?,
    }
    Ok(())
}

fn text(documents: &Documents, drafted: &Drafted, format: Format) -> Result<String, Failure> {
    let publish = &documents.publish;
    let document = &drafted.document;
    Ok(match format {
        Format::Import => document.to_json()? + "\n",
        Format::Hcl => {
            let id = match publish.integration_id(documents.door) {
                "" => "var.genesyscloud_integration_id".to_owned(),
                id => format!("\"{id}\""),
            };
            to_hcl(document, &publish.category, &id)
        }
        Format::Openapi if documents.door == Door::Lambda => {
            return Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                "OpenAPI describes the web service, and a function is none",
                "Take another --format, or --via web-service.",
            )
            .into());
        }
        Format::Openapi => {
            let action = OpenApiAction {
                name: document.name.clone(),
                description: drafted.description.clone(),
                input: drafted.input.clone(),
                sensitive: drafted.sensitive.clone(),
                columns: Some(drafted.columns.clone()),
            };
            let openapi = to_openapi(&OpenApiSettings {
                title: &document.name,
                description: &drafted.description,
                server_url: publish.url.trim_end_matches('/'),
                actions: &[action],
                most_in_batch: None,
            });
            format!("{openapi:#}\n")
        }
    })
}
