//! The engine: one memory pool and one spill directory for all runs, a session of its own for each.

use std::{
    any::Any,
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::runtime::SpawnedTask,
    execution::{
        SessionState,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{MemoryLimit, MemoryPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, execute_stream},
    prelude::{SessionConfig, SessionContext},
};
use object_store::{ObjectStore, path::Path};
use tokio::{runtime::Handle, sync::oneshot};

#[cfg(feature = "cluster")]
use crate::cluster::{self, Cluster};
use crate::{
    BoundParams, Error, ErrorKind, Files, Limits, Prepared, RowStream, TableInfo, TableLocation,
    TransformSettings,
    asked_plan::{AskedPlan, of_request},
    error::{Asked, BoxError, binding, planning, planning_query, running},
    guard,
    memory::RunPool,
    most_rows::most_rows,
    scan::schema_cache::SchemaCache,
    scan_store::{ScanMeter, ScanStore},
    session,
    source::{Source, TableBuilder},
    stop::StopSwitch,
};
#[cfg(feature = "cluster")]
use datafusion::{execution::SessionStateBuilder, logical_expr::LogicalPlanBuilder};

/// What a query answers with, as far as its plan says.
#[derive(Debug, Clone)]
pub struct Output {
    /// The columns in the order of the SELECT.
    pub schema: SchemaRef,
    /// The most rows that the statement can give: 1 for `LIMIT 1` or an aggregate without GROUP BY; `None` when the
    /// statement sets no bound.
    pub max_rows: Option<u64>,
}

/// Gives the stores that a run reads from.
pub trait StoreResolver: Any + Send + Sync {
    /// The store of a bucket, or of all files of this machine for [`LOCAL_FILES`](crate::LOCAL_FILES).
    ///
    /// # Errors
    /// Whatever keeps the store from being used.
    fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BoxError>;

    /// Is asked when workers begin to read for a run: hears what their stores move.
    #[cfg(feature = "cluster")]
    fn moved_by_workers(&self) -> cluster::MovedByWorkers {
        Box::new(|_moved| Ok(()))
    }
}

/// What a query is run with.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The query.
    pub prepared: &'a Prepared,
    /// A value for each of its parameters.
    pub bound: &'a BoundParams,
    /// The files to read: no others are.
    pub files: &'a Files,
    /// Where they are read from.
    pub stores: &'a dyn StoreResolver,
}

/// Runs [`Prepared`] queries. Cheap to clone; clones share memory pool and spill space.
#[derive(Clone)]
pub struct Transform {
    runtime: Arc<RuntimeEnv>,
    config: SessionConfig,
    schemas: SchemaCache,
    /// Whose workers take part; none where all is done here.
    #[cfg(feature = "cluster")]
    cluster: Option<Cluster>,
}

/// A query over its files, ready to be started.
pub(crate) struct Planned {
    pub(crate) asked: AskedPlan,
    pub(crate) physical: Arc<dyn ExecutionPlan>,
    /// What its tables are.
    pub(crate) tables: Vec<TableInfo>,
}

/// What the runs of one [`Transform`] hold. Both are 0 when none runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineUsage {
    /// Bytes that are reserved in the memory pool.
    pub reserved_bytes: u64,
    /// Bytes of spilled rows on disk.
    pub spill_bytes: u64,
}

/// Builds a [`Transform`].
#[derive(Debug, Default)]
pub struct TransformBuilder {
    settings: TransformSettings,
}

impl Transform {
    /// Starts from default settings.
    #[must_use]
    pub fn builder() -> TransformBuilder {
        TransformBuilder::default()
    }

    /// Plans the query and starts it; rows come as the stream is polled, and dropping it stops everything.
    ///
    /// # Errors
    /// Any kind but those of rows not yet read, which come through the stream.
    pub async fn run(&self, run: &Run<'_>) -> Result<RowStream, Error> {
        let prepared = run.prepared;
        let meter = ScanMeter::new(scan_limit(prepared));
        self.run_metered(run, meter).await
    }

    /// The same for somebody who looks into files: [`RowStream::problems`] has the places of what did not fit.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_with_places(&self, run: &Run<'_>) -> Result<RowStream, Error> {
        let meter = ScanMeter::with_places(scan_limit(run.prepared));
        self.run_metered(run, meter).await
    }

    async fn run_metered(&self, run: &Run<'_>, meter: ScanMeter) -> Result<RowStream, Error> {
        let (prepared, meter) = (run.prepared, Arc::new(meter));
        let stop = StopSwitch::after(prepared.limits.timeout);
        let planned = self.physical(run, &meter);
        let planned = tokio::time::timeout(prepared.limits.timeout, planned)
            .await
            .map_err(|_elapsed| stop.timed_out())??;
        Self::started(planned, meter, stop, prepared)
    }

    /// Starts the operators of a plan.
    fn started(
        planned: Planned,
        meter: Arc<ScanMeter>,
        stop: StopSwitch,
        prepared: &Prepared,
    ) -> Result<RowStream, Error> {
        let Planned {
            asked,
            physical,
            tables,
        } = planned;
        let physical = stop.clone().into_joins(physical).map_err(running)?;
        let rows = execute_stream(Arc::clone(&physical), asked.session.task_ctx())
            .map_err(|error| asked.told(error))?;
        #[cfg(feature = "cluster")]
        let (rows, settled) =
            cluster::settling(rows, &physical, &meter, &asked.session.copied_config());
        let stream = RowStream::new(rows, asked, physical, meter, stop, &prepared.limits);
        #[cfg(feature = "cluster")]
        let stream = stream.with_settled(settled);
        Ok(stream.with_tables(tables))
    }

    /// The names of all functions that SQL has here, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`].
    pub fn functions(&self) -> Result<Vec<String>, Error> {
        let state = self.session()?.state();
        let scalar = state.scalar_functions().keys();
        let all = scalar
            .chain(state.aggregate_functions().keys())
            .chain(state.window_functions().keys());
        let all: BTreeSet<String> = all.cloned().collect();
        Ok(all.into_iter().collect())
    }

    /// What all runs hold at this moment.
    #[must_use]
    pub fn usage(&self) -> EngineUsage {
        EngineUsage {
            reserved_bytes: self.runtime.memory_pool.reserved() as u64,
            spill_bytes: self.runtime.disk_manager.used_disk_space(),
        }
    }

    /// The columns of the answer, without running the query. Schemas of files without one are found from their heads.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn output_schema(&self, run: &Run<'_>) -> Result<SchemaRef, Error> {
        Ok(self.output(run).await?.schema)
    }

    /// The columns of the answer, and how many rows it can have at most, without running the query.
    ///
    /// # Errors
    /// As of [`Self::output_schema`].
    pub async fn output(&self, run: &Run<'_>) -> Result<Output, Error> {
        let (session, unbound, _) = self.plan(run, &Arc::default()).await?;
        // To the end, so that what can never run is refused.
        Self::operators(&session, unbound.clone(), run.prepared, run.bound).await?;
        let (_, values) = run.prepared.query.bind(run.bound);
        let plan = unbound.with_param_values(values).map_err(running)?;
        Ok(Output {
            schema: Arc::clone(plan.schema().inner()),
            max_rows: most_rows(&plan),
        })
    }

    /// The optimised plan, and its operators, for looking at.
    pub(crate) async fn planned(&self, run: &Run<'_>) -> Result<Planned, Error> {
        let meter = Arc::default();
        let planned = self.physical(run, &meter);
        let limit = run.prepared.limits.timeout;
        tokio::time::timeout(limit, planned)
            .await
            .map_err(|_elapsed| StopSwitch::after(limit).timed_out())?
    }

    /// Size of the memory pool.
    pub(crate) fn pool_bytes(&self) -> u64 {
        match self.runtime.memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes as u64,
            _ => u64::MAX,
        }
    }

    /// A session with the tables, the optimised plan, and its operators.
    async fn physical(&self, run: &Run<'_>, meter: &Arc<ScanMeter>) -> Result<Planned, Error> {
        let (session, unbound, tables) = self.plan(run, meter).await?;
        let (asked, physical) = Self::operators(&session, unbound, run.prepared, run.bound).await?;
        Ok(Planned {
            asked,
            physical,
            tables,
        })
    }

    /// The optimised plan with its values, looked at by the guard, also as operators.
    async fn operators(
        session: &SessionContext,
        unbound: LogicalPlan,
        prepared: &Prepared,
        bound: &BoundParams,
    ) -> Result<(AskedPlan, Arc<dyn ExecutionPlan>), Error> {
        let mut state = session.state();
        if let Some(now) = bound.now() {
            // The moment that defaults such as `yesterday` were computed from: `now()` is of the same day.
            state.execution_props_mut().query_execution_start_time = Some(now);
        }
        let limits = prepared.limits.clone();
        let (_, values) = prepared.query.bind(bound);
        let has_params = bound.entries().next().is_some();
        let session = session.clone();
        apart(async move {
            let of_request = |told: Error| of_request(told, &unbound, &values, || state.clone());
            let with_values = unbound.clone().with_param_values(values.clone());
            let optimised = with_values.and_then(|plan| state.optimize(&plan));
            let plan = optimised.map_err(|error| {
                if !has_params {
                    return planning(error);
                }
                // The engine's words about a plan with values may quote them; those about one with placeholders do not.
                match state.optimize(&unbound) {
                    Err(told) => planning(told),
                    Ok(_) => of_request(binding(error)),
                }
            })?;
            guard::work(&plan, &limits)?;
            guard::constants(&plan, &state, has_params).map_err(of_request)?;
            let cut = cut(&plan, &limits, &state).map_err(running)?;
            let physical = state.query_planner().create_physical_plan(&cut, &state);
            let physical = physical.await.map_err(|error| {
                if has_params {
                    of_request(running(error))
                } else {
                    planning(error)
                }
            })?;
            let asked = AskedPlan {
                session,
                unbound,
                values,
                logical: plan,
            };
            Ok((asked, physical))
        })
        .await
    }

    /// Runs the query over tables that are there already.
    pub(crate) async fn run_over(
        &self,
        session: &SessionContext,
        prepared: &Prepared,
        bound: &BoundParams,
    ) -> Result<RowStream, Error> {
        let stop = StopSwitch::after(prepared.limits.timeout);
        let planned = async {
            let unbound = self.unbound(session, prepared, bound).await?;
            Self::operators(session, unbound, prepared, bound).await
        };
        let (asked, physical) = tokio::time::timeout(prepared.limits.timeout, planned)
            .await
            .map_err(|_elapsed| stop.timed_out())??;
        let planned = Planned {
            asked,
            physical,
            tables: Vec::new(),
        };
        Self::started(planned, Arc::default(), stop, prepared)
    }

    /// The guarded plan with typed placeholders, the session that it belongs to, and what its tables are.
    async fn plan(
        &self,
        run: &Run<'_>,
        meter: &Arc<ScanMeter>,
    ) -> Result<(SessionContext, LogicalPlan, Vec<TableInfo>), Error> {
        let session = self.session_of_run(run).await?;
        let sources = self.sources(&session, run, meter).await?;
        let plan = self
            .plan_over(&session, &sources, run.prepared, run.bound)
            .await?;
        let tables = sources.into_iter().map(|source| source.info);
        Ok((session, plan, tables.collect()))
    }

    /// The guarded plan with typed placeholders, over the tables of the session.
    pub(crate) async fn unbound(
        &self,
        session: &SessionContext,
        prepared: &Prepared,
        bound: &BoundParams,
    ) -> Result<LogicalPlan, Error> {
        let (statement, _) = prepared.query.bind(bound);
        let state = session.state();
        // The engine would compute them without a word as if OVER were not there.
        let with_over = prepared.query.functions_with_over();
        let scalar = with_over.iter().find(|name| {
            state.scalar_functions().contains_key(name.as_str())
                && !state.aggregate_functions().contains_key(name.as_str())
                && !state.window_functions().contains_key(name.as_str())
        });
        if let Some(name) = scalar {
            return Err(Error::new(
                ErrorKind::InvalidSql,
                format!("`{name}` is no function with OVER: leave OVER out"),
            ));
        }
        let query = prepared.query.clone();
        let tables: Vec<String> = prepared.tables.keys().cloned().collect();
        let planned = async move {
            let plan = state.statement_to_plan(statement).await;
            plan.map_err(|error| {
                let functions = || {
                    let scalar = state.scalar_functions().keys();
                    scalar
                        .chain(state.aggregate_functions().keys())
                        .chain(state.window_functions().keys())
                        .cloned()
                        .collect()
                };
                let asked = Asked {
                    has_alias: &|name| query.has_alias(name),
                    quoted: &|name| query.quoted(name),
                    tables: &tables,
                    functions: &functions,
                };
                planning_query(error, &asked)
            })
        };
        let plan = apart(planned).await?;
        guard::tables(&plan, &prepared.tables)?;
        guard::capitals(&plan, &prepared.query.capitals())?;
        guard::comparisons(&plan)?;
        distinct_columns(&plan)?;
        Ok(plan)
    }

    /// What the files of each table are, and which columns they have.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn tables(&self, run: &Run<'_>) -> Result<Vec<TableInfo>, Error> {
        let session = self.session()?;
        let meter = Arc::default();
        let sources = self.sources(&session, run, &meter);
        Ok(sources
            .await?
            .into_iter()
            .map(|source| source.info)
            .collect())
    }

    /// The tables over the files of the run; what is not declared is detected.
    pub(crate) async fn sources(
        &self,
        session: &SessionContext,
        run: &Run<'_>,
        meter: &Arc<ScanMeter>,
    ) -> Result<Vec<Source>, Error> {
        let stores = scan_stores(session, run, meter)?;
        let mut sources = Vec::new();
        for found in run.files.tables() {
            let TableLocation { table, location } = &found[0].table;
            let builder = TableBuilder {
                session,
                store: Arc::clone(&stores[location.bucket()]),
                cache: &self.schemas,
                meter,
                spec: &run.prepared.tables[table].spec,
                found,
            };
            sources.push(builder.table().await?);
        }
        Ok(sources)
    }

    /// A session with its own tables, stores and caches, on the shared memory and spill space.
    pub(crate) fn session(&self) -> Result<SessionContext, Error> {
        session::open(&self.config, &self.runtime).map_err(planning)
    }

    /// The same for a run that workers may take part in.
    #[cfg(feature = "cluster")]
    async fn session_of_run(&self, run: &Run<'_>) -> Result<SessionContext, Error> {
        let Some(cluster) = &self.cluster else {
            return self.session();
        };
        let hearer = run.stores.moved_by_workers();
        let begun = cluster.begin(&run.prepared.limits, hearer).await?;
        let config = cluster.config_of(self.config.clone(), begun);
        let builder = session::builder(&config, &self.runtime).map_err(planning)?;
        let builder = cluster.divides(builder).map_err(planning)?;
        Ok(SessionContext::new_with_state(builder.build()))
    }

    #[cfg(not(feature = "cluster"))]
    #[expect(clippy::unused_async, reason = "with workers, they are asked first")]
    async fn session_of_run(&self, _run: &Run<'_>) -> Result<SessionContext, Error> {
        self.session()
    }

    /// The same engine, whose runs workers take part in.
    #[cfg(feature = "cluster")]
    #[must_use]
    pub fn on_cluster(&self, cluster: &Cluster) -> Self {
        Self {
            cluster: Some(cluster.clone()),
            ..self.clone()
        }
    }

    /// The same engine, whose workers read files of text from start to end. For a run that failed with
    /// [`ErrorKind::FilesDivided`].
    #[cfg(feature = "cluster")]
    #[must_use]
    pub fn with_whole_files(&self) -> Self {
        Self {
            cluster: self.cluster.as_ref().map(Cluster::with_whole_files),
            ..self.clone()
        }
    }

    /// A session in the making for a part of another's plan, on the memory and spill space of this engine.
    #[cfg(feature = "cluster")]
    pub(crate) fn for_task(
        &self,
        builder: SessionStateBuilder,
    ) -> datafusion::common::Result<SessionStateBuilder> {
        session::for_task(builder, &self.config, &self.runtime)
    }
}

/// Runs planning in a thread of its own: a plan can take the processor for seconds without yielding, and a worker has other tasks.
async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let (held, mut dropped) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let planning = SpawnedTask::spawn_blocking(move || {
        // It ends at the next pause when nobody waits for it any more.
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = &mut dropped => None,
                done = work => Some(done),
            }
        })
    });
    let done = planning.await;
    drop(held);
    match done {
        Ok(Some(result)) => result,
        Err(error) if error.is_panic() => Err(Error::new(
            // The engine is not ours.
            ErrorKind::InvalidSql,
            "the engine cannot plan this SQL: write it in another way",
        )),
        Ok(None) | Err(_) => Err(Error::new(ErrorKind::Internal, "planning was broken off")),
    }
}

fn scan_limit(prepared: &Prepared) -> Option<u64> {
    prepared.limits.max_scan_bytes.map(|limit| limit.as_u64())
}

/// The plan that is run: workers stop when more rows would be given than the answer may have. Otherwise nobody would hear of what
/// they did until then.
#[cfg(feature = "cluster")]
fn cut<'a>(
    plan: &'a LogicalPlan,
    limits: &Limits,
    state: &SessionState,
) -> datafusion::common::Result<Cow<'a, LogicalPlan>> {
    let rows = i64::try_from(limits.max_rows).ok();
    let rows = rows.and_then(|rows| usize::try_from(rows).ok()?.checked_add(1));
    match rows.filter(|_| cluster::divides(state)) {
        Some(rows) => LogicalPlanBuilder::from(plan.clone())
            .limit(0, Some(rows))?
            .build()
            .map(Cow::Owned),
        None => Ok(Cow::Borrowed(plan)),
    }
}

#[cfg(not(feature = "cluster"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "with workers, the plan is changed"
)]
fn cut<'a>(
    plan: &'a LogicalPlan,
    _limits: &Limits,
    _state: &SessionState,
) -> datafusion::common::Result<Cow<'a, LogicalPlan>> {
    Ok(Cow::Borrowed(plan))
}

/// One store for each bucket, which gives the files of the run and nothing else, known to the session.
fn scan_stores<'a>(
    session: &SessionContext,
    run: &Run<'a>,
    meter: &Arc<ScanMeter>,
) -> Result<BTreeMap<&'a str, Arc<dyn ObjectStore>>, Error> {
    let mut files: BTreeMap<&str, HashSet<Path>> = BTreeMap::new();
    for (bucket, object) in run.files.objects() {
        files
            .entry(bucket)
            .or_default()
            .insert(object.location.clone());
    }
    let mut stores = BTreeMap::new();
    for (bucket, files) in files {
        let inner = run.stores.store(bucket).map_err(|error| {
            Error::new(
                ErrorKind::Store,
                format!("the store of bucket `{bucket}` cannot be used"),
            )
            .with_source(error)
        })?;
        let store = ScanStore::new(inner, Arc::clone(meter), files);
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        session::add_store(session, bucket, Arc::clone(&store))?;
        stores.insert(bucket, store);
    }
    Ok(stores)
}

/// An answer has columns. Two of one name would be one field in a row of JSON.
fn distinct_columns(plan: &LogicalPlan) -> Result<(), Error> {
    if plan.schema().fields().is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidSql,
            "the answer has no column: name some behind SELECT, or write `*` for all",
        ));
    }
    let mut names = BTreeSet::new();
    for field in plan.schema().fields() {
        if !names.insert(field.name()) {
            return Err(Error::new(
                ErrorKind::InvalidSql,
                format!(
                    "two columns of the answer are called `{}`: give one another name with AS",
                    field.name()
                ),
            ));
        }
    }
    Ok(())
}

impl TransformBuilder {
    /// Memory, spill space and threads.
    #[must_use]
    pub fn with_settings(mut self, settings: TransformSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Checks the settings and prepares the spill space.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`].
    pub fn build(self) -> Result<Transform, Error> {
        let settings = self.settings;
        let bytes = usize::try_from(settings.memory.as_u64()).unwrap_or(usize::MAX);
        let too_little = [
            (bytes < 1 << 20, "`memory` must be at least 1 MiB"),
            (settings.batch_rows == 0, "`batch_rows` must be at least 1"),
            (settings.threads == Some(0), "`threads` must be at least 1"),
        ];
        if let Some((_, what)) = too_little.iter().find(|(is_wrong, _)| *is_wrong) {
            let message = format!("{what} in [transform]");
            return Err(Error::new(ErrorKind::InvalidSpec, message));
        }
        let pool: Arc<dyn MemoryPool> = Arc::new(RunPool::new(bytes));
        let mode = settings
            .spill_directory
            .map_or(DiskManagerMode::OsTmpDirectory, |folder| {
                DiskManagerMode::Directories(vec![folder])
            });
        let disk = DiskManagerBuilder::default()
            .with_mode(mode)
            .with_max_temp_directory_size(settings.max_spill.as_u64());
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(pool)
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|error| {
                Error::new(
                    ErrorKind::InvalidSpec,
                    "the `spill_directory` of [transform] cannot be used",
                )
                .with_source(error)
            })?;
        let mut config = SessionConfig::new()
            .with_batch_size(settings.batch_rows)
            .with_information_schema(false);
        if let Some(threads) = settings.threads {
            config = config.with_target_partitions(threads);
        }
        // Errors of planning then say where in the SQL they are.
        config.options_mut().sql_parser.collect_spans = true;
        config.options_mut().execution.parquet.pushdown_filters = true;
        // The bound of one file without values hides that of the others (DataFusion 55.2): `min` beside `max` over several files
        // was wrong. Without it, `min` and `max` that footers do not answer read all groups of rows.
        config
            .options_mut()
            .optimizer
            .enable_aggregate_dynamic_filter_pushdown = false;
        config.options_mut().execution.time_zone = Some("UTC".to_owned());
        Ok(Transform {
            runtime,
            config,
            schemas: SchemaCache::new(),
            #[cfg(feature = "cluster")]
            cluster: None,
        })
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Run")
            .field("files", self.files)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Transform").finish_non_exhaustive()
    }
}
