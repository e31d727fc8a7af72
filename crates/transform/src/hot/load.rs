//! From files to hot tables, through the same scans as any other run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::{
    common::{
        TableReference,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
};
use futures::StreamExt;
use object_store::ObjectMeta;

use super::{
    budget::Held,
    lookup::found,
    query::HotQuery,
    table::{HotTable, HotTableBuilder, NotBuilt, Wanted},
    template::conditions,
};
use crate::{
    BoundParams, BoundValue, Error, Files, Run, StoreResolver, TableLocation, Transform,
    error::running, scan_store::ScanMeter,
};

/// All tables of a query, and what reading them took.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) tables: BTreeMap<String, Arc<HotTable>>,
    /// The versions that they were read from; each location names one object.
    pub(crate) files: Files,
    pub(crate) skipped_rows: u64,
    pub(crate) nulled_values: u64,
    pub(crate) unlisted: BTreeMap<String, Arc<str>>,
    pub(crate) absent: BTreeSet<String>,
}

impl Loaded {
    /// Bytes of memory that the tables take.
    pub(crate) fn bytes(&self) -> u64 {
        self.tables.values().map(|table| table.bytes()).sum()
    }

    /// The object of each location, in the version that the tables were read from.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&TableLocation, &ObjectMeta)> {
        self.files.found().iter().flat_map(|found| {
            let objects = found.objects.iter();
            objects.map(|object| (&found.table, object))
        })
    }
}

/// Why tables are not in memory.
#[derive(Debug, Clone)]
pub(crate) enum NotLoaded {
    NoRoom,
    Failed(Error),
}

impl From<Error> for NotLoaded {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<NotBuilt> for NotLoaded {
    fn from(error: NotBuilt) -> Self {
        match error {
            NotBuilt::NoRoom => Self::NoRoom,
            NotBuilt::Failed(error) => Self::Failed(running(error)),
        }
    }
}

impl Transform {
    /// Reads the columns that the query names, of all of its tables, from these files.
    pub(crate) async fn load(
        &self,
        query: &HotQuery,
        bound: &BoundParams,
        files: Files,
        stores: &dyn StoreResolver,
        held: impl Fn() -> Held,
        largest: u64,
    ) -> Result<Loaded, NotLoaded> {
        let prepared = &query.prepared;
        let limit = prepared.limits.max_scan_bytes.map(|limit| limit.as_u64());
        let meter = Arc::new(ScanMeter::new(limit));
        let session = self.session()?;
        let run = Run {
            prepared,
            bound,
            files: &files,
            stores,
        };
        let sources = self.sources(&session, &run, &meter).await?;
        // What is much larger as it is stored will not be smaller in memory; the rest shows while it is read.
        if sources.iter().any(|source| source.info.bytes > largest) {
            return Err(NotLoaded::NoRoom);
        }
        let plan = self.plan_over(&session, &sources, prepared, bound).await?;
        let named = named_columns(&plan);
        // `column IN ($list)` with an empty list is planned as false, and then the column is named nowhere.
        let is_empty_list =
            |value: &BoundValue| matches!(value, BoundValue::List(_, items) if items.is_empty());
        // What `* EXCLUDE (…)` leaves out is named nowhere either.
        let all = prepared.query.changes_all_columns()
            || bound.entries().any(|(_, value, _)| is_empty_list(value));
        let optimised = session.state().optimize(&plan).ok();
        let known: BTreeSet<String> = sources
            .iter()
            .flat_map(|source| source.info.columns.iter().map(|(name, _)| name.clone()))
            .collect();
        query.check_index(&known)?;
        let mut tables = BTreeMap::new();
        for source in &sources {
            let name = source.info.table.as_str();
            let table = TableReference::bare(name);
            let frame = session.table(table).await.map_err(running)?;
            let fields = frame.schema().fields();
            let mut columns: Vec<&str> = fields
                .iter()
                .map(|field| field.name().as_str())
                .filter(|column| all || named.contains(*column))
                .collect();
            if columns.is_empty() {
                columns.extend(fields.first().map(|field| field.name().as_str()));
            }
            let frame = frame.clone().select_columns(&columns).map_err(running)?;
            let schema = Arc::clone(frame.schema().inner());
            let wanted = wanted(query, optimised.as_ref(), name, &schema);
            let mut rows = frame.execute_stream().await.map_err(running)?;
            let mut builder = HotTableBuilder::new(rows.schema(), &wanted, held());
            while let Some(batch) = rows.next().await {
                builder.push(&batch.map_err(running)?)?;
            }
            tables.insert(name.to_owned(), Arc::new(builder.finish()?));
        }
        Ok(Loaded {
            tables,
            files,
            skipped_rows: meter.misfits().skipped_rows(),
            nulled_values: meter.misfits().nulled_values(),
            unlisted: meter.misfits().unlisted(),
            absent: meter.misfits().absent(),
        })
    }
}

/// The names of all columns that a plan speaks of; as it was written, so that any of its values can be planned over them.
fn named_columns(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = expr {
                    names.insert(column.name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    names
}

/// Declared indexes are by hash; sorted too where the query asks for ranges or beginnings.
fn wanted(
    query: &HotQuery,
    plan: Option<&LogicalPlan>,
    table: &str,
    schema: &datafusion::arrow::datatypes::Schema,
) -> BTreeMap<String, Wanted> {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    let mut sorted = BTreeSet::new();
    let mut equal = BTreeSet::new();
    for filter in plan.map_or_else(Vec::new, |plan| conditions(plan, table)) {
        for lookup in found(&filter, schema) {
            let name = schema.field(lookup.column).name().clone();
            if lookup.test.is_equality() {
                equal.insert(name);
            } else {
                sorted.insert(name);
            }
        }
    }
    for name in &query.index {
        let kinds = Wanted {
            hash: equal.contains(name) || !sorted.contains(name),
            sorted: sorted.contains(name),
        };
        wanted.insert(name.clone(), kinds);
    }
    wanted
}
