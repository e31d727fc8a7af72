//! `flowlake check`.

use std::path::Path;

use flowlake_data_action::{
    ActionCheck, ActionDefinition, ActionError, ErrorCode, Pipeline, ProcessEnvironment, Project,
    TableInfo,
};

use crate::{
    actions::{BREAKS, Fit, Live, LiveVersion, fit},
    arguments::Check,
    excerpt::drawn,
    failure::Failure,
    output,
    parameter::parameters,
    test::strays,
    text,
};

pub(crate) async fn check(config: &Path, arguments: &Check) -> Result<(), Failure> {
    let project = Project::load(config)?;
    let tests = project.test_files()?;
    let mut live = Live::of(&project);
    let inspector = Pipeline::builder(project.clone())
        .inspect(&ProcessEnvironment)
        .await?;
    output::print(&configuration(
        inspector.actions().count(),
        inspector.broken().count(),
    ))?;
    let names: Vec<_> = if arguments.actions.is_empty() {
        inspector
            .actions()
            .map(|action| action.name().to_owned())
            .collect()
    } else {
        arguments.actions.clone()
    };
    let params = parameters(&arguments.params)?;
    let mut worst = None;
    let mut lacks_credentials = false;
    if arguments.actions.is_empty() {
        let known = inspector.actions().map(|action| action.name().to_owned());
        let known = known.chain(inspector.broken().map(|(name, _)| name.to_owned()));
        for stray in strays(tests.keys(), &known.collect::<Vec<_>>()) {
            output::print(&format!("✗ tests: {stray}\n"))?;
            worst = Some(ErrorCode::ConfigInvalid.exit_code());
        }
    }
    let asked = |name: &str| {
        arguments.actions.is_empty() || arguments.actions.iter().any(|asked| asked == name)
    };
    for (name, error) in inspector.broken().filter(|(name, _)| asked(name)) {
        let mut report = Report::default();
        report.lines += &format!("\n{name}\n");
        report.cross("action", error);
        output::print(&report.lines)?;
        worst = worst.or(report.first_exit_code);
    }
    let is_broken = |name: &String| inspector.broken().any(|(broken, _)| broken == name);
    for name in names.into_iter().filter(|name| !is_broken(name)) {
        let declared = inspector.action(&name)?.definition().params.clone();
        let params = params
            .iter()
            .filter(|(param, _)| declared.contains_key(*param))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let found = Box::pin(inspector.check(&name, &params)).await?;
        let mut report = Report::default();
        let definition = inspector.action(&name)?.definition();
        report.action(&found, definition);
        if let Some(Ok(columns)) = &found.columns {
            for version in live.misfits(&project, definition, columns).await {
                report.misfits(&version);
            }
        }
        output::print(&report.lines)?;
        worst = worst.or(report.first_exit_code);
        lacks_credentials |= report.lacks_credentials;
    }
    if let Some(remark) = live.remark() {
        output::print(&format!(
            "\n! not compared with what is published: {remark}\n"
        ))?;
    }
    if lacks_credentials {
        output::print(WITHOUT_CREDENTIALS)?;
    }
    worst.map_or(Ok(()), |code| Err(Failure::Findings(code)))
}

/// What can be done meanwhile.
const WITHOUT_CREDENTIALS: &str = "\nflowlake test runs actions without AWS, over the tables of their test files; flowlake doctor shows what else is missing.\n";

/// The line about the configuration itself.
fn configuration(actions: usize, broken: usize) -> String {
    match actions {
        0 if broken == 0 => {
            "! configuration: no actions: write actions/NAME.toml beside flowlake.toml\n".to_owned()
        }
        1 => "✓ configuration: 1 action\n".to_owned(),
        count => format!("✓ configuration: {count} actions\n"),
    }
}

/// What a table's files are, in one line.
pub(crate) fn detected(info: &TableInfo) -> String {
    let mut parts = vec![info.format.clone()];
    if info.compression != "none" {
        parts.push(info.compression.clone());
    }
    parts.extend(info.encoding.clone());
    if let Some(delimiter) = &info.delimiter {
        parts.push(format!("delimiter {delimiter:?}"));
    }
    if info.header == Some(false) {
        parts.push("no header".to_owned());
    }
    parts.extend(info.dialect.clone());
    if info.files > 1 {
        parts.push(format!(
            "{} files of {}",
            info.files,
            text::bytes(info.bytes)
        ));
    }
    let columns: Vec<_> = info
        .columns
        .iter()
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    let mut line = format!("{}; columns {}", parts.join(", "), columns.join(", "));
    if !info.unlisted.is_empty() {
        line += &format!(
            "\n  ! no columns, since only records beyond the first have them (raise infer_rows, or declare all columns): {}",
            info.unlisted.join(", ")
        );
    }
    if !info.absent.is_empty() {
        line += &format!(
            "\n  ! declared under `columns`, and not in the beginning of the first file: {}",
            info.absent.join(", ")
        );
    }
    line
}

/// Lines with a tick or a cross, and the exit code of the first cross.
#[derive(Debug, Default)]
struct Report {
    lines: String,
    first_exit_code: Option<u8>,
    lacks_credentials: bool,
}

impl Report {
    fn action(&mut self, check: &ActionCheck, definition: &ActionDefinition) {
        self.lines += &format!("\n{}\n", check.action);
        match &check.tables {
            Err(error) => self.cross("parameters", error),
            Ok(tables) => {
                for table in tables {
                    let what = format!("{} = {}", table.table, table.location);
                    match (&table.error, table.size) {
                        (Some(error), _) => self.cross(&what, error),
                        (None, Some(size)) => self.tick(&format!("{what} ({})", text::bytes(size))),
                        (None, None) => self.tick(&what),
                    }
                    if let Some(warning) = &table.warning {
                        self.lines += &format!("    {warning}\n");
                    }
                    if !table.left_out.is_nothing() {
                        self.lines += &format!("    left out: {}\n", table.left_out);
                    }
                    if let Some(info) = &table.detected {
                        self.lines += &format!("    {}\n", detected(info));
                    }
                }
            }
        }
        match &check.columns {
            Some(Ok(found)) => {
                let columns: Vec<_> = found
                    .columns
                    .iter()
                    .map(|column| format!("{} {}", column.name, column.data_type))
                    .collect();
                self.tick(&format!("answers {}", columns.join(", ")));
                match fit(definition, found) {
                    Fit::Fits(shape) => {
                        self.tick(&format!("data action in the shape {}", shape.as_str()))
                    }
                    Fit::Broken(error) => self.cross("data action", &error),
                    Fit::Unfit(error) => self.lines += &format!("  ! {}\n", error.message()),
                }
            }
            Some(Err(error)) => self.cross("SQL", error),
            None => {}
        }
        match &check.index {
            Err(error) => self.cross("index", error),
            Ok(columns) if columns.is_empty() => {}
            Ok(columns) => {
                self.lines += &format!(
                    "  ! each request looks at every row: set index = {columns:?} in the action\n"
                );
            }
        }
    }

    /// A published version that the file cannot answer.
    fn misfits(&mut self, version: &LiveVersion) {
        let mark = if version.is_unused() { '!' } else { '✗' };
        self.lines += &format!(
            "  {mark} {} cannot be answered with this file ({}):\n",
            version.name,
            version.users()
        );
        for misfit in &version.misfits {
            self.lines += &format!("    {misfit}\n");
        }
        if !version.is_unused() {
            self.first_exit_code.get_or_insert(BREAKS);
        }
    }

    fn tick(&mut self, what: &str) {
        self.lines += &format!("  ✓ {what}\n");
    }

    fn cross(&mut self, what: &str, error: &ActionError) {
        self.lines += &format!(
            "  ✗ {what}\n    [{}] {}\n{}    {}\n",
            error.code(),
            error.message(),
            error.excerpt().map_or_else(String::new, drawn),
            error.advice()
        );
        self.first_exit_code.get_or_insert(error.code().exit_code());
        self.lacks_credentials |= error.code() == ErrorCode::AwsCredentials;
    }
}

#[cfg(test)]
mod tests {
    use super::configuration;

    #[test]
    fn a_configuration_without_actions_is_no_tick() {
        assert!(configuration(0, 0).starts_with("! configuration: no actions: write actions/"));
        assert_eq!(configuration(1, 0), "✓ configuration: 1 action\n");
        assert_eq!(configuration(2, 0), "✓ configuration: 2 actions\n");
        // Those that cannot be read are listed below it.
        assert_eq!(configuration(0, 1), "✓ configuration: 0 actions\n");
    }
}
