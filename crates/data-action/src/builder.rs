//! From a loaded project to a running pipeline.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use flowlake_aws_access::{Access, iam_client, load_sdk_config, s3_client, sts_client};
use flowlake_cost_audit::{
    AuditLog, AuditSettings, BudgetSettings, Budgets, Clock as AuditClock, Destination,
    ErrorKind as AuditErrorKind, PriceTable, SharedBudget, StatementBoard,
    audit::{SealingKey, SegmentSink, ShipSettings, Shipper},
};
use flowlake_genesys_auth::Secret;
use flowlake_profiler::Profiler;
use flowlake_s3_stream::DiskCache;
use flowlake_transform::{HotTables, Transform, TransformSettings};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    Action, ActionDefinition, ActionError, AuditConfig, Clock, Config, Environment, ErrorCode,
    Inspector, ObjectCacheSettings, Pipeline, Project, ReadPolicy, SystemClock, TestBench,
    clock::HotTime,
    config::s3_place,
    ledger::{Ledger, Pricing, S3Board, S3Sink},
    pipeline::Parts,
    read::Reader,
    report::{LastFailures, LastRecord, Reporter},
    services::Services,
    stores::S3,
    usd::below_zero,
    workers::Workers,
};

/// The region of the prices, where none is configured.
const DEFAULT_REGION: &str = "us-east-1";
/// Processes that may each write a log of their own below one folder at the same time.
const MOST_FOLDERS: u32 = 1000;

/// Builds a [`Pipeline`]; see [`Pipeline::builder`].
#[derive(Debug)]
pub struct PipelineBuilder {
    project: Project,
    clock: Arc<dyn Clock>,
    broken_actions: bool,
    scans: Option<Handle>,
}

impl Pipeline {
    /// Starts from a loaded project.
    #[must_use]
    pub fn builder(project: Project) -> PipelineBuilder {
        PipelineBuilder {
            project,
            clock: Arc::new(SystemClock),
            broken_actions: false,
            scans: None,
        }
    }
}

impl PipelineBuilder {
    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Asks nothing of AWS: for questions over files of this machine alone.
    #[must_use]
    pub fn without_aws(mut self) -> Self {
        // The region is looked for in the network where nothing says it.
        let region = &mut self.project.config.aws.region;
        region.get_or_insert_with(|| DEFAULT_REGION.to_owned());
        self
    }

    /// Whether [`Self::build`] succeeds although some actions cannot be read; each of them then gives its error.
    #[must_use]
    pub fn with_broken_actions(mut self, allowed: bool) -> Self {
        self.broken_actions = allowed;
        self
    }

    /// Runs whatever reads files on this runtime: actions that are not hot, and the loads of hot tables. Answers from memory stay
    /// on the caller's runtime, so that the threads of one kind of work are not taken by the other.
    #[must_use]
    pub fn with_scans_on(mut self, runtime: Handle) -> Self {
        self.scans = Some(runtime);
        self
    }

    /// Checks everything that can be checked without asking AWS or Genesys, and opens the audit log.
    ///
    /// Secrets are read through `environment`.
    ///
    /// # Errors
    /// `config.invalid` and `sql.*` for what the project says; `audit.unavailable` when the log cannot be opened.
    pub async fn build(self, environment: &dyn Environment) -> Result<Pipeline, ActionError> {
        let documents = self.project.documents.clone();
        let built = Box::pin(self.built(environment)).await;
        built.map_err(|error| documents.locate(error))
    }

    async fn built(self, environment: &dyn Environment) -> Result<Pipeline, ActionError> {
        let documents = self.project.documents.clone();
        let scans = self.scans.clone();
        let cache = self.project.config.object_cache.as_ref();
        let disk = cache.map(ObjectCacheSettings::open).transpose()?;
        let CheckedProject {
            services,
            hot,
            config,
            budget,
            prices,
            destination,
            region,
            hash_key,
            sealing_key,
            ship,
            board,
        } = Box::pin(self.checked(environment, disk)).await?;
        let clock: Arc<dyn AuditClock> = Arc::new(CalendarClock(Arc::clone(&services.clock)));
        // What is spent by two processes at the same time is in one log, where it has a limit.
        let is_limited = budget.has_limits() || budget.shared.is_some();
        let (audit, directory) =
            open_audit(&config.audit, sealing_key.as_ref(), &clock, is_limited)
                .map_err(|error| error.at_key(["audit", "log"]))?;
        let budgets = if is_limited || destination == Destination::Internet {
            // After the log is open: nobody else writes it any more.
            Budgets::restore(budget, Arc::clone(&clock), &directory)?
        } else {
            Budgets::new(budget, Arc::clone(&clock))
        };
        let budgets = match board {
            Some((board, shared)) => {
                let (id, node) = (audit.id().to_owned(), config.audit.node.clone());
                budgets.sharing(&shared, board, id, node)
            }
            None => budgets,
        };
        let shipper =
            ship.map(|(sink, settings)| Shipper::start(directory.clone(), sink, settings, clock));
        let ship = config.audit.ship.as_ref();
        let ships_first = ship.is_some_and(|ship| ship.before_answer);
        let pricing = Pricing {
            prices,
            region,
            destination,
            free_allowance: config.cost.free_allowance,
            s3: services.s3.settings().clone(),
        };
        let services = Arc::new(services);
        let ledger = Arc::new(Ledger {
            audit,
            node: config.audit.node.clone(),
            budgets,
            pricing: Arc::new(pricing),
            shipper: shipper.map(Arc::new),
            ships_first,
            hash_key,
            clock: Arc::clone(&services.clock),
        });
        let running = TaskTracker::new();
        let reporter = Arc::new(Reporter {
            profiler: Arc::new(Profiler::new(config.profiler)),
            last_failures: LastFailures::default(),
            last_record: LastRecord::default(),
        });
        Ok(Pipeline::new(Parts {
            reader: Reader::new(&services, &ledger, hot, &config.cache, running.clone()),
            services,
            ledger,
            reporter,
            documents,
            is_beside: !config.audit.in_free_folder && directory != config.audit.log.directory,
            audit_directory: directory,
            running,
            scans,
            stop: CancellationToken::new(),
        }))
    }

    /// Checks the same as [`Self::build`], and opens nothing: beside a running server too.
    ///
    /// # Errors
    /// `config.invalid` for what `flowlake.toml` says. An action that cannot be read stops none of the others.
    pub async fn inspect(
        mut self,
        environment: &dyn Environment,
    ) -> Result<Inspector, ActionError> {
        self.broken_actions = true;
        // The engine makes its spill directory when it is built, and no query is run here that could spill.
        let spill = self.project.config.transform.spill_directory.take();
        let documents = self.project.documents.clone();
        let checked = match spill.filter(|path| path.exists() && !path.is_dir()) {
            Some(path) => Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("the spill directory {} is no directory", path.display()),
                "Correct `spill_directory` in [transform].",
            )
            .at_key(["transform", "spill_directory"])),
            None => Box::pin(self.checked(environment, None)).await,
        };
        match checked {
            Ok(checked) => Ok(Inspector::new(checked.services)),
            Err(error) => Err(documents.locate(error)),
        }
    }

    /// Checks the actions, and opens and asks nothing: for tests of actions over objects of their own.
    ///
    /// # Errors
    /// `config.invalid` for what `flowlake.toml` says. An action that cannot be read stops none of the others.
    pub fn bench(self) -> Result<TestBench, ActionError> {
        let Project {
            config,
            actions,
            mut broken,
            documents,
            ..
        } = self.project;
        let actions = check_actions(actions, &mut broken, |_| None);
        let settings = TransformSettings {
            // That of the project may be a running server's.
            spill_directory: None,
            ..config.transform
        };
        let engine = Transform::builder().with_settings(settings).build();
        let engine = engine.map_err(of_section("transform"));
        let parts = engine.and_then(|engine| Ok((engine, ReadPolicy::try_new(&config.policy)?)));
        let (engine, policy) = parts.map_err(|error| documents.locate(error))?;
        Ok(TestBench {
            actions,
            broken,
            policy,
            engine,
        })
    }

    async fn checked(
        self,
        environment: &dyn Environment,
        disk: Option<DiskCache>,
    ) -> Result<CheckedProject, ActionError> {
        let Project {
            config,
            actions: definitions,
            mut broken,
            ..
        } = self.project;
        let actions = check_actions(definitions, &mut broken, |_| None);
        if !self.broken_actions
            && let Some(error) = all_of(&broken)
        {
            return Err(error);
        }
        config.audit.own_directory()?;
        let sdk = Box::pin(load_sdk_config(&config.aws)).await?;
        let s3 = s3_client(&sdk, &config.aws);
        let access = Access::builder(
            iam_client(&sdk, &config.aws),
            sts_client(&sdk, &config.aws),
            s3.clone(),
        )
        .with_settings(config.access.clone())
        .with_session_tags(config.aws.session_tags())
        .build()
        .map_err(of_section("access"))?;
        let hash_key = match &config.audit.hash_key {
            Some(source) => source
                .read(environment)
                .map_err(|error| error.at_key(["audit", "hash_key"]))?,
            None => Secret::new(Uuid::new_v4().to_string()),
        };
        let s3 = Arc::new(S3::new(s3, config.s3.clone(), disk));
        let engine = Transform::builder()
            .with_settings(config.transform.clone())
            .build()
            .map_err(of_section("transform"))?;
        let time = Arc::new(HotTime::new(Arc::clone(&self.clock)));
        let hot = HotTables::builder(engine.clone(), time)
            .with_settings(config.hot.clone())
            .with_runtime(self.scans)
            .build()
            .map_err(of_section("hot"))?;
        let region = sdk
            .region()
            .map_or_else(|| DEFAULT_REGION.to_owned(), ToString::to_string);
        let genesys = config.genesys.as_ref();
        for client in &config.server.clients {
            client.check(&actions, &broken, self.clock.now())?;
        }
        Ok(CheckedProject {
            hot,
            budget: budget_settings(config.budget.clone(), &actions, &broken)?,
            prices: config.cost.price_table()?,
            destination: config.cost.destination()?,
            region,
            hash_key,
            sealing_key: config.audit.sealing_key(environment)?,
            ship: sink(&config.audit, &s3)?,
            board: board(config.budget.shared.as_ref(), &s3)?,
            services: Services {
                actions,
                broken,
                policy: ReadPolicy::try_new(&config.policy)?,
                access,
                s3,
                engine,
                workers: Workers::new(config.cluster.as_ref(), environment)?,
                genesys: genesys
                    .map(|settings| settings.tokens(environment))
                    .transpose()?,
                clock: self.clock,
            },
            config,
        })
    }
}

/// An error of a part of the process as one of its section of flowlake.toml, whose key the message names.
fn of_section<E: Into<ActionError>>(section: &'static str) -> impl Fn(E) -> ActionError {
    move |error| error.into().at_key([section])
}

/// Checks each action, unless `known` has it already; those that cannot be run go to `broken`.
pub(crate) fn check_actions(
    definitions: BTreeMap<String, ActionDefinition>,
    broken: &mut BTreeMap<String, ActionError>,
    known: impl Fn(&str) -> Option<Arc<Action>>,
) -> BTreeMap<String, Arc<Action>> {
    let mut actions = BTreeMap::new();
    for (name, definition) in definitions {
        let action = known(&name).map_or_else(|| Action::try_new(definition).map(Arc::new), Ok);
        match action {
            Ok(action) => {
                actions.insert(name, action);
            }
            Err(error) => {
                broken.insert(name, error);
            }
        }
    }
    actions
}

/// One error for all actions that cannot be read: the first, with the messages of the others.
pub(crate) fn all_of(broken: &BTreeMap<String, ActionError>) -> Option<ActionError> {
    let first = broken.values().next()?;
    let messages: Vec<&str> = broken.values().map(ActionError::message).collect();
    Some(
        ActionError::new(first.code(), messages.join("; "), first.advice())
            .with_excerpt(first.excerpt().cloned())
            .with_source(first.clone()),
    )
}

/// A project that was checked, before anything of it is opened.
struct CheckedProject {
    services: Services,
    hot: HotTables,
    config: Config,
    budget: BudgetSettings,
    prices: PriceTable,
    destination: Destination,
    region: String,
    hash_key: Secret,
    sealing_key: Option<SealingKey>,
    ship: Option<(Arc<dyn SegmentSink>, ShipSettings)>,
    /// Where a budget is shared, and how.
    board: Option<(Arc<dyn StatementBoard>, SharedBudget)>,
}

/// The pipeline's clock, as the audit log and the budgets take it.
#[derive(Debug)]
struct CalendarClock(Arc<dyn Clock>);

impl AuditClock for CalendarClock {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.now()
    }
}

/// The limits of flowlake.toml with those of the action files.
pub(crate) fn budget_settings(
    mut settings: BudgetSettings,
    actions: &BTreeMap<String, Arc<Action>>,
    broken: &BTreeMap<String, ActionError>,
) -> Result<BudgetSettings, ActionError> {
    let invalid = |message: String, advice: &str, keys: &[&str]| {
        let error = ActionError::new(ErrorCode::ConfigInvalid, message, advice);
        Err(error.at_key(["budget"].iter().chain(keys).copied()))
    };
    if let Some(unknown) = settings
        .actions
        .keys()
        .find(|name| !actions.contains_key(*name) && !broken.contains_key(*name))
    {
        return invalid(
            format!("[budget.actions] names `{unknown}`, which is no action"),
            "Use the `name` of an action file.",
            &["actions", unknown],
        );
    }
    let advice = "Set it to 0 to refuse every read, or leave it out for none.";
    if let Some(key) = below_zero(&settings.total) {
        let message = format!("`{key}` of the total in [budget] is below zero");
        return invalid(message, advice, &["total", key]);
    }
    for (name, limits) in &settings.actions {
        if let Some(key) = below_zero(limits) {
            let message = format!("`{key}` of the budget of action `{name}` is below zero");
            return invalid(message, advice, &["actions", name, key]);
        }
    }
    for (name, action) in actions {
        let Some(limits) = &action.definition.budget else {
            continue;
        };
        if settings
            .actions
            .insert(name.clone(), limits.clone())
            .is_some()
        {
            return invalid(
                format!("the budget of action `{name}` is set twice"),
                "Set it in the action's file or under [budget.actions], not in both.",
                &["actions", name],
            );
        }
    }
    Ok(settings)
}

/// The folder of logs of questions that are asked while another process writes the log.
fn beside(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push("-questions");
    directory.with_file_name(name)
}

/// Opens the log, and gives its folder.
fn open_audit(
    settings: &AuditConfig,
    sealing_key: Option<&SealingKey>,
    clock: &Arc<dyn AuditClock>,
    is_limited: bool,
) -> Result<(AuditLog, PathBuf), ActionError> {
    let open = |directory: PathBuf| {
        let log = AuditSettings {
            directory: directory.clone(),
            ..settings.log.clone()
        };
        let mut builder = AuditLog::builder(log).with_clock(Arc::clone(clock));
        if let Some(key) = sealing_key {
            builder = builder.with_sealing_key(key.clone());
        }
        builder.open().map(|log| (log, directory))
    };
    let directory = &settings.log.directory;
    let directory = match settings.in_free_folder {
        true => directory.clone(),
        false => match open(settings.own_directory()?) {
            Err(error)
                if error.kind() == AuditErrorKind::Locked && settings.or_beside && !is_limited =>
            {
                beside(directory)
            }
            opened => return Ok(opened?),
        },
    };
    let mut opened = open(directory.join("1"));
    for number in 2..=MOST_FOLDERS {
        match opened {
            Err(error) if error.kind() == AuditErrorKind::Locked => {
                opened = open(directory.join(number.to_string()));
            }
            _ => break,
        }
    }
    Ok(opened?)
}

/// Where a budget is shared.
#[expect(
    clippy::type_complexity,
    reason = "two of the arguments that the sharing of budgets is started with"
)]
fn board(
    shared: Option<&SharedBudget>,
    s3: &S3,
) -> Result<Option<(Arc<dyn StatementBoard>, SharedBudget)>, ActionError> {
    let Some(shared) = shared else {
        return Ok(None);
    };
    let place = s3_place("[budget.shared]", &shared.uri)?;
    let board = S3Board::new(s3.client().clone(), place);
    Ok(Some((Arc::new(board), shared.clone())))
}

/// Where finished segments are shipped to.
#[expect(
    clippy::type_complexity,
    reason = "the two arguments that a shipper is started with"
)]
fn sink(
    settings: &AuditConfig,
    s3: &S3,
) -> Result<Option<(Arc<dyn SegmentSink>, ShipSettings)>, ActionError> {
    let Some(ship) = &settings.ship else {
        return Ok(None);
    };
    let (bucket, prefix) = ship.place()?;
    let sink = S3Sink {
        store: s3.bucket(&bucket)?,
        prefix,
    };
    Ok(Some((Arc::new(sink), ship.settings())))
}
