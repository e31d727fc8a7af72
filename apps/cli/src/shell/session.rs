//! One session: its tables, values and switches, and the pipeline that answers.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{self, Seek},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flowlake_data_action::{
    Action, ActionError, ActionRequest, Answer, ConfirmSettings, EngineChoice, ErrorCode, Excerpt,
    Pipeline, ProcessEnvironment, Question, RowFormat, RowOutput, nearest,
};
use flowlake_transform::{ParamSpec, ParamType, TableSpec, Transform};
use unicode_width::UnicodeWidthStr;

use super::{
    arguments::Shell,
    command::wrong,
    known::{Known, project},
    pager::Screen,
    scan,
};
use crate::{
    answering::{Delivery, View, delivered, finished, noted},
    destination::is_object,
    failure::Failure,
    format::{Format, GZIP},
    grid::{GridColumn, grid, visible},
    interrupt::Interrupt,
    output,
    parameter::parameters,
    run,
    sql::{self, TypedParameter},
    text,
    watch::Watch,
};

/// The longest wait for records at the end.
const GRACE: Duration = Duration::from_secs(5);
/// Signs that begin a pattern.
const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    config: PathBuf,
    folder: PathBuf,
    rows: u64,
    timeout: Duration,
    /// What is asked about before it is read; none where nothing is.
    confirm: Option<ConfirmSettings>,
    pipeline: Option<Running>,
    tables: BTreeMap<String, TableSpec>,
    params: BTreeMap<String, TypedParameter>,
    pub(super) switches: Switches,
    output: Option<Output>,
    pub(super) interrupt: Interrupt,
    pub(super) screen: Screen,
    pub(super) known: Known,
}

/// What answers are shown with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Switches {
    pub(super) expanded: bool,
    pub(super) timing: bool,
    pub(super) trace: bool,
}

#[derive(Debug)]
struct Running {
    pipeline: Pipeline,
    /// Whether it can read from S3.
    has_aws: bool,
}

/// The file of `\o`.
#[derive(Debug)]
struct Output {
    file: File,
    path: PathBuf,
    format: Format,
    rows: RowFormat,
}

impl Session {
    pub(super) fn new(
        config: &Path,
        arguments: &Shell,
        interrupt: Interrupt,
    ) -> Result<Self, Failure> {
        let folder = env::current_dir()?;
        let project = project(config)?;
        let engine = Transform::builder().build().map_err(ActionError::from)?;
        let functions = engine.functions().map_err(ActionError::from)?;
        let known = Known::default();
        known.with(|names| {
            names.folder.clone_from(&folder);
            config.clone_into(&mut names.config);
            names.functions = functions;
            let actions = project.actions.values();
            let actions = actions.map(|action| {
                let params = action.params.iter();
                let params = params.map(|(name, spec)| (name.clone(), spec.is_sensitive()));
                (action.name.clone(), params.collect())
            });
            names.actions = actions.collect();
            let allowed = project.config.policy.allow.iter();
            names.places = allowed.map(|pattern| literal(pattern)).collect();
        });
        let mut session = Self {
            config: config.to_owned(),
            folder,
            rows: arguments.rows,
            timeout: arguments.timeout,
            confirm: (!arguments.yes).then_some(project.config.confirm),
            pipeline: None,
            tables: BTreeMap::new(),
            params: BTreeMap::new(),
            switches: Switches::default(),
            output: None,
            interrupt,
            screen: Screen::default(),
            known,
        };
        for (name, spec) in &arguments.tables {
            session.declare(name.clone(), spec.clone());
        }
        Ok(session)
    }

    pub(super) fn declare(&mut self, name: String, spec: TableSpec) {
        self.known
            .with(|names| names.tables.insert(name.clone(), Vec::new()));
        self.tables.insert(name, spec);
    }

    pub(super) fn set(&mut self, param: TypedParameter) {
        self.known
            .with(|names| names.params.insert(param.name.clone()));
        self.params.insert(param.name.clone(), param);
    }

    pub(super) fn unset(&mut self, name: &str) -> bool {
        self.known.with(|names| names.params.remove(name));
        self.params.remove(name).is_some()
    }

    /// The tables with their files.
    pub(super) fn tables(&self) -> String {
        if self.tables.is_empty() {
            return "There are no tables: name one with \\table NAME=FILE, or a file itself in FROM.\n".to_owned();
        }
        let names = self.tables.keys().cloned();
        let files = self.tables.values().map(|spec| spec.uri.join(", "));
        self.drawn([("table", names.collect()), ("files", files.collect())])
    }

    /// The actions of the project with their parameters; nothing where there are none.
    pub(super) fn actions(&self) -> String {
        let actions = self.known.with(|names| names.actions.clone());
        if actions.is_empty() {
            return String::new();
        }
        let params = actions.values().map(|params| {
            let names: Vec<&str> = params.keys().map(String::as_str).collect();
            names.join(", ")
        });
        let params = params.collect();
        let names = actions.keys().cloned().collect();
        self.drawn([("action", names), ("parameters", params)])
    }

    /// The columns of a table or a file with their types.
    pub(super) async fn describe(&mut self, name: &str) -> Result<(), Failure> {
        let from = match (
            self.tables.contains_key(name),
            name.starts_with(['\'', '"']),
        ) {
            (true, _) => format!("\"{}\"", name.replace('"', "\"\"")),
            (false, true) => name.to_owned(),
            (false, false) => format!("'{}'", name.replace('\'', "''")),
        };
        let action = self.question(&format!("SELECT * FROM {from} LIMIT 0"), Format::Table)?;
        let request = self.request(&action);
        let interrupt = self.interrupt.clone();
        let pipeline = self.pipeline(action.prepared().is_local()).await?;
        finished(pipeline, request, &interrupt).await?;
        let columns = action.answer_columns().unwrap_or_default();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        self.known.with(|known| {
            known.columns.extend(names.iter().cloned());
            if let Some(table) = known.tables.get_mut(name) {
                table.clone_from(&names);
            }
        });
        let types = columns.iter().map(|column| column.data_type.to_string());
        let drawn = self.drawn([("column", names), ("type", types.collect())]);
        self.screen.show(&drawn)?;
        Ok(())
    }

    /// Texts in two columns.
    fn drawn(&self, columns: [(&str, Vec<String>); 2]) -> String {
        let columns = columns.map(|(name, cells)| GridColumn {
            name: name.to_owned(),
            is_number: false,
            cells,
        });
        grid(columns.into(), self.screen.width()) + "\n"
    }

    /// Answers one statement, on the screen, in the file of `\o`, or in a file of its own.
    pub(super) async fn ask(
        &mut self,
        sql: &str,
        to: Option<&Path>,
        watch: Option<&mut Watch>,
    ) -> Result<(), Failure> {
        let format = match (to, &self.output) {
            (Some(to), _) => Format::of_name(to)?,
            (None, Some(output)) => output.format,
            (None, None) => Format::Table,
        };
        let action = self.question(sql, format)?;
        let mut request = self.request(&action);
        request.if_none_match = watch.as_deref().map(Watch::known);
        let is_local = action.prepared().is_local();
        let answer = match to {
            Some(to) => self.export(request, is_local, format, to).await,
            None => self.answer(request, is_local).await,
        };
        let answer = answer.map_err(|failure| self.advised(failure))?;
        // Names that a statement can have without quotes.
        let is_name = |name: &&String| name.chars().all(scan::is_word);
        let found: Vec<String> = answer.columns.iter().filter(is_name).cloned().collect();
        self.known.with(|names| names.columns.extend(found));
        if watch.is_none_or(|watch| watch.is_new(&answer)) {
            self.remark(&answer, to.is_none() && self.output.is_none())?;
        }
        Ok(())
    }

    /// Runs an action of the project.
    pub(super) async fn run(
        &mut self,
        action: &str,
        params: &[(String, String)],
    ) -> Result<(), Failure> {
        let request = ActionRequest {
            confirm: self.confirm.clone(),
            ..run::request(action, parameters(params)?)
        };
        let answer = self.answer(request, false).await?;
        self.remark(&answer, self.output.is_none())
    }

    /// An answer in a file or an object of its own.
    async fn export(
        &mut self,
        request: ActionRequest,
        is_local: bool,
        format: Format,
        to: &Path,
    ) -> Result<Answer, Failure> {
        let interrupt = self.interrupt.clone();
        let pipeline = self.pipeline(is_local && !is_object(to)).await?;
        let delivery = Delivery {
            format,
            to: Some(to),
            view: View::Rows { width: None },
        };
        let answer = delivered(pipeline, request, delivery, &interrupt).await?;
        output::note(&format!(
            "{} written to {}",
            sql::summary(&answer),
            to.display()
        ));
        Ok(answer)
    }

    /// An answer on the screen or in the file of `\o`.
    async fn answer(
        &mut self,
        mut request: ActionRequest,
        is_local: bool,
    ) -> Result<Answer, Failure> {
        let rows = match &self.output {
            Some(output) => {
                let rows = Arc::new(tempfile::tempfile()?);
                request.output = RowOutput {
                    format: output.rows,
                    file: Some(Arc::clone(&rows)),
                    ..RowOutput::default()
                };
                Some(rows)
            }
            None => {
                request.output.reader = Format::Table.reader();
                None
            }
        };
        let interrupt = self.interrupt.clone();
        let pipeline = self.pipeline(is_local).await?.clone();
        let answer = finished(&pipeline, request, &interrupt).await?;
        if answer.not_modified {
            return Ok(answer);
        }
        let written = match &rows {
            Some(rows) => self.append(&answer, rows).map_err(Failure::from),
            None => self.show(&answer),
        };
        noted(&pipeline, &answer, written).await?;
        Ok(answer)
    }

    /// Adds rows to the file of `\o`.
    fn append(&mut self, answer: &Answer, mut rows: &File) -> io::Result<()> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        rows.rewind()?;
        io::copy(&mut rows, &mut output.file)?;
        if output.rows == RowFormat::Json {
            io::Write::write_all(&mut output.file, b"\n")?;
        }
        output::note(&format!(
            "{} added to {}",
            sql::summary(answer),
            output.path.display()
        ));
        Ok(())
    }

    fn show(&self, answer: &Answer) -> Result<(), Failure> {
        let rows = match self.switches.expanded {
            true => expanded(answer)?,
            false => output::table(answer, self.screen.width())? + "\n",
        };
        Ok(self.screen.show(&rows)?)
    }

    /// Remarks behind the rows; where those are not on the screen, their time is said already.
    fn remark(&self, answer: &Answer, is_shown: bool) -> Result<(), Failure> {
        let row_limit = "--rows of the shell, or the action's max_rows,";
        run::remarks(answer, None, row_limit);
        let mut lines = String::new();
        if self.switches.timing && is_shown {
            lines += &format!("{}\n", sql::summary(answer));
        }
        if self.switches.trace {
            lines += &trace(answer);
        }
        output::print(&lines)?;
        Ok(())
    }

    /// A statement as a question. A table that it does not name would be looked for, and may need values that are not set.
    fn question(&self, sql: &str, format: Format) -> Result<Arc<Action>, Failure> {
        let names = scan::names(sql);
        let tables = self.tables.iter().filter(|(name, _)| names.contains(name));
        let tables: BTreeMap<String, TableSpec> = tables
            .map(|(name, spec)| (name.clone(), spec.clone()))
            .collect();
        let uris = tables.values().flat_map(|spec| &spec.uri);
        let mut used = scan::params(sql);
        used.extend(uris.flat_map(|uri| scan::braced(uri)));
        let params = self.params.values();
        let params = params.filter(|param| used.contains(&param.name));
        let params = params.map(|param| {
            let kind = param.kind;
            let kind = kind.unwrap_or_else(|| ParamType::of_text(&param.value));
            (param.name.clone(), ParamSpec::of(kind))
        });
        let rows = (format == Format::Table).then_some(self.rows);
        Ok(Arc::new(Action::ask(Question {
            sql: sql.to_owned(),
            params: params.collect(),
            tables,
            limits: sql::limits(format, rows, self.timeout),
            engine: EngineChoice::default(),
            folder: self.folder.clone(),
        })?))
    }

    /// A failure with the table that was probably meant, of all that the session has.
    fn advised(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Action(error, id) if error.code() == ErrorCode::SqlUnknownTable => {
                let unknown = error.excerpt().map(Excerpt::marked).unwrap_or_default();
                let error = match nearest(&unknown, self.tables.keys()) {
                    Some(table) => error.with_advice(&format!("Did you mean `{table}`?")),
                    None => *error,
                };
                Failure::Action(Box::new(error), id)
            }
            other => other,
        }
    }

    fn request(&self, action: &Arc<Action>) -> ActionRequest {
        let used = &action.definition().params;
        let params = self.params.values();
        let params = params.filter(|param| used.contains_key(&param.name));
        let params = params.map(|param| (param.name.clone(), param.value.clone().into()));
        ActionRequest {
            question: Some(Arc::clone(action)),
            confirm: self.confirm.clone(),
            ..run::request("", params.collect())
        }
    }

    /// The pipeline. Nothing is asked of AWS before something lies on S3.
    async fn pipeline(&mut self, is_local: bool) -> Result<&Pipeline, Failure> {
        let suits = |running: &Running| running.has_aws || is_local;
        if !self.pipeline.as_ref().is_some_and(suits) {
            self.close().await;
            let mut builder = Pipeline::builder(project(&self.config)?).with_broken_actions(true);
            if is_local {
                builder = builder.without_aws();
            }
            let pipeline = Box::pin(builder.build(&ProcessEnvironment)).await?;
            sql::note_log(&pipeline);
            self.pipeline = Some(Running {
                pipeline,
                has_aws: !is_local,
            });
        }
        let running = self.pipeline.as_ref();
        Ok(&running.expect("it was built just now").pipeline)
    }

    /// Answers go to this file from now on, or to the screen.
    pub(super) fn write_to(&mut self, path: Option<PathBuf>) -> Result<(), Failure> {
        self.output = None;
        let Some(path) = path else {
            return Ok(());
        };
        let format = Format::of_name(&path)?;
        let rows = match format {
            _ if path.to_string_lossy().to_lowercase().ends_with(GZIP) => {
                return Err(wrong(
                    "\\o writes no compressed file; \\g FILE does".to_owned(),
                ));
            }
            Format::Csv => RowFormat::CsvLines,
            Format::Tsv => RowFormat::Tsv,
            Format::Ndjson => RowFormat::Ndjson,
            Format::Json => RowFormat::Json,
            _ => {
                return Err(wrong("\\o writes csv, tsv, ndjson and json, one answer behind the other; \\g FILE writes one answer in any format".to_owned()));
            }
        };
        let file = File::create(&path).map_err(|error| {
            let what = format!("cannot write {}: {error}", path.display());
            io::Error::new(error.kind(), what)
        })?;
        self.output = Some(Output {
            file,
            path,
            format,
            rows,
        });
        Ok(())
    }

    /// Waits for records, and gives up the audit log.
    pub(super) async fn close(&mut self) {
        if let Some(running) = self.pipeline.take() {
            running.pipeline.close(GRACE).await;
        }
    }
}

/// The part of a pattern that stands for itself.
fn literal(pattern: &str) -> String {
    let end = pattern.find(SPECIAL).unwrap_or(pattern.len());
    pattern[..end].to_owned()
}

/// A line for each value, below a line for each row.
fn expanded(answer: &Answer) -> Result<String, Failure> {
    let columns = output::cells(answer)?;
    let named: Vec<_> = columns
        .into_iter()
        .map(|column| (visible(&column.name), column.cells))
        .collect();
    let widest = named.iter().map(|(name, _)| name.width()).max();
    let widest = widest.unwrap_or_default();
    let count = named.first().map_or(0, |(_, cells)| cells.len());
    let mut lines = String::new();
    for row in 0..count {
        lines += &format!("─ {} ─\n", row + 1);
        for (name, cells) in &named {
            let blanks = " ".repeat(widest - name.width());
            let line = format!("{name}{blanks} │ {}", visible(&cells[row]));
            lines += line.trim_end();
            lines += "\n";
        }
    }
    if count == 0 {
        lines += "no rows\n";
    }
    Ok(lines)
}

/// The requests behind an answer, as they are counted and priced, and AWS's ids of them.
fn trace(answer: &Answer) -> String {
    let cost = &answer.cost_tracking;
    let mut lines = format!("S3: {}", text::bytes(cost.bytes));
    match &cost.metered {
        Some(metered) if !metered.lines.is_empty() => {
            for line in &metered.lines {
                lines += &format!(
                    "\n  {} {} {}",
                    line.quantity.normalize(),
                    line.unit,
                    line.item
                );
            }
            lines += &format!("\n  {} USD", metered.total_usd.normalize());
        }
        Some(_) => lines += ", no requests",
        None => lines += ", no price known",
    }
    for object in &answer.metadata {
        lines += &format!("\n  {object} ({})", text::bytes(object.object.size));
    }
    for id in &answer.audit_log.request_ids {
        lines += &format!("\n  request {id}");
    }
    lines + "\n"
}
