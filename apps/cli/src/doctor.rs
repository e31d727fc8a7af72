//! `flowlake doctor`.

use std::path::Path;

use flowlake_data_action::{
    ActionError, Diagnosis, DoctorOptions, Finding, Inspector, Pipeline, ProcessEnvironment,
    Project, Verdict,
};

use crate::{
    actions,
    arguments::{Doctor, DoctorFormat},
    failure::Failure,
    output,
    parameter::parameters,
};

pub(crate) async fn doctor(config: &Path, arguments: &Doctor) -> Result<(), Failure> {
    let mut diagnosis = match inspector(config).await {
        Ok(inspector) => {
            let options = DoctorOptions {
                params: parameters(&arguments.params)?,
                cost_explorer: arguments.cost_explorer,
            };
            Box::pin(inspector.diagnose(&options)).await
        }
        Err(error) => Diagnosis::of_configuration(&error),
    };
    if let Ok(project) = Project::load(config) {
        diagnosis.extend(actions::limits(&project, arguments.profile.as_ref()).await?);
    }
    let text = match arguments.format {
        DoctorFormat::Text => diagnosis.findings.iter().map(line).collect(),
        DoctorFormat::Json => output::json(&diagnosis)?,
    };
    output::print(&text)?;
    match diagnosis.exit_code() {
        Some(code) => Err(Failure::Findings(code)),
        None => Ok(()),
    }
}

async fn inspector(config: &Path) -> Result<Inspector, ActionError> {
    let project = Project::load(config)?;
    let builder = Pipeline::builder(project);
    builder.inspect(&ProcessEnvironment).await
}

/// A tick, a cross or a dash; below a cross its code and the fix.
fn line(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Ok => '✓',
        Verdict::Failed => '✗',
        Verdict::Skipped => '–',
    };
    let Finding {
        topic,
        subject,
        detail,
        ..
    } = finding;
    let mut line = format!("{mark} {topic:<14} {subject}: {detail}\n");
    if finding.verdict == Verdict::Failed {
        let code = finding.code.map_or("config.invalid", |code| code.as_str());
        line += &format!(
            "    [{code}] {}\n",
            finding.fix.as_deref().unwrap_or_default()
        );
    }
    line
}
