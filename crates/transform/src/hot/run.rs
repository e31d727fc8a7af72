//! One run over hot tables.

use std::sync::Arc;

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    logical_expr::execution_props::ExecutionProps,
    prelude::SessionContext,
};
use futures::StreamExt;

use super::{
    cache::HotTables,
    provider::HotProvider,
    query::{HotQuery, shape, values},
    template::{Template, Values},
    view::HotView,
};
use crate::{
    BoundParams, Error, RowStream, RunStats, error::running, guard, row_stream::Admission, session,
};

/// The rows of one run over hot tables.
#[derive(Debug)]
pub struct HotRows(Kind);

#[derive(Debug)]
enum Kind {
    /// Computed at once, from the rows that an index named.
    Ready {
        schema: SchemaRef,
        batch: Option<RecordBatch>,
        stats: RunStats,
    },
    /// Planned for this run.
    Stream(Box<RowStream>, RunStats),
}

impl HotRows {
    /// The columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        match &self.0 {
            Kind::Ready { schema, .. } => Arc::clone(schema),
            Kind::Stream(rows, _) => rows.schema(),
        }
    }

    /// The next rows.
    ///
    /// # Errors
    /// As [`crate::Transform::run`].
    pub async fn next(&mut self) -> Option<Result<RecordBatch, Error>> {
        match &mut self.0 {
            Kind::Ready { batch, .. } => batch.take().map(Ok),
            Kind::Stream(rows, _) => rows.next().await,
        }
    }

    /// What the run did. Rows and values that did not fit are those of the load.
    #[must_use]
    pub fn stats(&self) -> RunStats {
        match &self.0 {
            Kind::Ready { stats, .. } => stats.clone(),
            Kind::Stream(rows, loaded) => RunStats {
                skipped_rows: loaded.skipped_rows,
                nulled_values: loaded.nulled_values,
                unlisted: loaded.unlisted.clone(),
                absent: loaded.absent.clone(),
                ..rows.stats()
            },
        }
    }

    /// Whether the run needed no planning: an index named its rows.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        matches!(self.0, Kind::Ready { .. })
    }
}

impl HotTables {
    /// Answers the query at once, if its plan is kept and an index names its rows; `None` when it takes [`Self::run`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_at_once(
        &self,
        query: &HotQuery,
        bound: &BoundParams,
        view: &HotView,
    ) -> Option<Result<HotRows, Error>> {
        let template = query.template(&shape(bound), &view.schemas())??;
        Self::fill(&template, query, view, &values(bound))
    }

    /// Answers the query from the tables of `view`, with the same rows as a run over their files.
    ///
    /// Conditions are computed for the rows that an index names, not for all: an error that only other rows would cause, such
    /// as a division by zero, does not come.
    ///
    /// # Errors
    /// As [`crate::Transform::run`], but for errors of the store.
    pub async fn run(
        &self,
        query: &HotQuery,
        bound: &BoundParams,
        view: &HotView,
    ) -> Result<HotRows, Error> {
        let values = values(bound);
        let (shape, schemas) = (shape(bound), view.schemas());
        let template = match query.template(&shape, &schemas) {
            Some(template) => template,
            None => {
                let made = Box::pin(self.template(query, bound, view, &values)).await?;
                let made = made.map(Arc::new);
                query.keep(shape, schemas, made.clone());
                made
            }
        };
        if let Some(template) = template
            && let Some(rows) = Self::fill(&template, query, view, &values)
        {
            return rows;
        }
        query.note_computed(true);
        let session = self.session(view)?;
        let rows = Box::pin(self.engine().run_over(&session, &query.prepared, bound)).await?;
        Ok(HotRows(Kind::Stream(Box::new(rows), loaded(view))))
    }

    /// The rows that an index names; `None` when none helps.
    fn fill(
        template: &Template,
        query: &HotQuery,
        view: &HotView,
        values: &Values,
    ) -> Option<Result<HotRows, Error>> {
        let table = view.loaded().tables.get(&template.table)?;
        // What fails here is run as any other query, which tells why in its own words.
        let (batch, scanned) = template.run(table, values).ok().flatten()?;
        query.note_computed(false);
        let mut admission = Admission::new(&query.prepared.limits);
        let batch = match admission.admit(batch) {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let stats = RunStats {
            rows_out: admission.rows_out,
            rows_scanned: scanned as u64,
            truncated: admission.truncated,
            ..loaded(view)
        };
        let schema = Arc::clone(&template.schema);
        Some(Ok(HotRows(Kind::Ready {
            schema,
            batch,
            stats,
        })))
    }

    fn session(&self, view: &HotView) -> Result<SessionContext, Error> {
        let session = self.engine().session()?;
        for (name, table) in &view.loaded().tables {
            let provider = Arc::new(HotProvider(Arc::clone(table)));
            session::add_table(&session, name, provider).map_err(running)?;
        }
        Ok(session)
    }

    async fn template(
        &self,
        query: &HotQuery,
        bound: &BoundParams,
        view: &HotView,
        values: &Values,
    ) -> Result<Option<Template>, Error> {
        let session = self.session(view)?;
        let plan = self
            .engine()
            .unbound(&session, &query.prepared, bound)
            .await?;
        let state = session.state();
        // Functions of the present time are computed by the optimiser, so they are looked for before it.
        if Template::is_timeless(&plan)
            && let Ok(plan) = state.optimize(&plan)
            && guard::work(&plan, &query.prepared.limits).is_ok()
        {
            let mut props = ExecutionProps::new();
            props.mark_start_execution(Arc::clone(state.config_options()));
            return Ok(Template::of(&plan, values, &props));
        }
        Ok(None)
    }
}

/// What did not fit when the tables were read.
fn loaded(view: &HotView) -> RunStats {
    RunStats {
        skipped_rows: view.loaded().skipped_rows,
        nulled_values: view.loaded().nulled_values,
        unlisted: view.loaded().unlisted.clone(),
        absent: view.loaded().absent.clone(),
        ..RunStats::default()
    }
}
