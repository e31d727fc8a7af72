//! A query planned once, for all values of its parameters: conditions, projections, order and limit over one table.
//!
//! What has another shape (joins, groups, subqueries, functions of the present time) has no template and is planned
//! for each run, over the same chosen rows.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
        compute::{
            SortColumn, SortOptions, filter_record_batch, lexsort_to_indices, take_record_batch,
        },
        datatypes::{DataType, SchemaRef},
    },
    common::{
        DFSchema, DataFusionError, Result, ScalarValue, internal_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        ColumnarValue, Expr, FetchType, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, SkipType, Volatility, execution_props::ExecutionProps,
        physical_planning_context::PhysicalPlanningContext, utils::conjunction,
    },
    physical_expr::{PhysicalExpr, ScalarFunctionExpr, create_physical_expr, expressions::Literal},
};

use super::{
    lookup::{Lookup, found, select, value_of},
    table::HotTable,
};
use crate::schema::is_text;

type Physical = Arc<dyn PhysicalExpr>;

/// An expression with or without places for values.
#[derive(Debug)]
struct Compiled {
    expr: Physical,
    has_slots: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Template {
    /// The table's name.
    pub(crate) table: String,
    /// The columns of the answer.
    pub(crate) schema: SchemaRef,
    columns: Vec<usize>,
    /// The table's own schema, of these columns.
    taken: SchemaRef,
    lookups: Vec<Lookup<Compiled>>,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Filter(Compiled),
    Project(Vec<Compiled>, SchemaRef),
    Sort(Vec<(Compiled, SortOptions)>, Option<usize>),
    Limit(usize, Option<usize>),
    Rename(SchemaRef),
}

/// Names and values of parameters, as placeholders name them: with `$`.
pub(crate) type Values = [(String, ScalarValue)];

impl Template {
    /// A template of an optimised plan with placeholders; `None` when it has another shape.
    pub(crate) fn of(plan: &LogicalPlan, values: &Values, props: &ExecutionProps) -> Option<Self> {
        let mut making = Making {
            values,
            props,
            table: None,
            steps: Vec::new(),
            filters: Vec::new(),
        };
        making.node(plan)?;
        let (table, own, columns) = making.table?;
        let filters = making.filters.into_iter();
        let lookups = filters.flat_map(|filter| found(&filter, &own));
        let lookups = lookups
            .map(|lookup| {
                lookup
                    .compiled(props)?
                    .map(|expr| Compiled::try_new(Arc::clone(expr)))
            })
            .collect::<Result<Vec<_>>>()
            .ok()?;
        let taken = own.project(&columns).ok()?.into();
        (!lookups.is_empty()).then(|| Self {
            table,
            schema: Arc::clone(plan.schema().inner()),
            columns,
            taken,
            lookups,
            steps: making.steps,
        })
    }

    /// Whether every function of the plan gives the same for the same arguments, at any time.
    pub(crate) fn is_timeless(plan: &LogicalPlan) -> bool {
        let mut timeless = true;
        let walked = plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    if let Expr::ScalarFunction(call) = expr {
                        timeless &= call.func.signature().volatility == Volatility::Immutable;
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        walked.is_ok() && timeless
    }

    /// The rows for these values; `None` when no index helps.
    pub(crate) fn run(
        &self,
        table: &HotTable,
        values: &Values,
    ) -> Result<Option<(RecordBatch, usize)>> {
        let value = |operand: &Compiled| operand.value(values);
        let lookups = self.lookups.iter().map(|lookup| lookup.map(value));
        let Some(rows) = select(table, &lookups.collect::<Result<Vec<_>>>()?)? else {
            return Ok(None);
        };
        let mut batch = table.take(&rows, &self.columns, &self.taken)?;
        for step in &self.steps {
            batch = step.apply(batch, values)?;
        }
        Ok(Some((batch, rows.len())))
    }
}

struct Making<'a> {
    values: &'a Values,
    props: &'a ExecutionProps,
    table: Option<(String, SchemaRef, Vec<usize>)>,
    steps: Vec<Step>,
    /// Conditions in terms of the table's own columns.
    filters: Vec<Expr>,
}

impl Making<'_> {
    /// Adds the steps of a node behind those of its input.
    fn node(&mut self, plan: &LogicalPlan) -> Option<()> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let schema: SchemaRef = scan.source.schema();
                let columns = scan
                    .projection
                    .clone()
                    .unwrap_or_else(|| (0..schema.fields().len()).collect());
                if scan.fetch.is_some() {
                    return None;
                }
                // The provider takes filters as hints alone: each is above the scan once more.
                self.table = Some((scan.table_name.table().to_owned(), schema, columns));
            }
            LogicalPlan::Filter(filter) => {
                self.node(&filter.input)?;
                let expr = self.without_placeholders(&filter.predicate)?;
                if self
                    .steps
                    .iter()
                    .all(|step| matches!(step, Step::Filter(_) | Step::Rename(_)))
                {
                    self.filters.push(expr.clone());
                }
                let physical = self.physical(&expr, filter.input.schema())?;
                self.steps.push(Step::Filter(physical));
            }
            LogicalPlan::Projection(projection) => {
                self.node(&projection.input)?;
                let exprs = projection
                    .expr
                    .iter()
                    .map(|expr| {
                        let expr = self.without_placeholders(expr)?;
                        self.physical(&expr, projection.input.schema())
                    })
                    .collect::<Option<Vec<_>>>()?;
                let schema = Arc::clone(projection.schema.inner());
                self.steps.push(Step::Project(exprs, schema));
            }
            LogicalPlan::Sort(sort) => {
                self.node(&sort.input)?;
                let keys = sort
                    .expr
                    .iter()
                    .map(|key| {
                        let expr = self.without_placeholders(&key.expr)?;
                        let options = SortOptions {
                            descending: !key.asc,
                            nulls_first: key.nulls_first,
                        };
                        Some((self.physical(&expr, sort.input.schema())?, options))
                    })
                    .collect::<Option<Vec<_>>>()?;
                self.steps.push(Step::Sort(keys, sort.fetch));
            }
            LogicalPlan::Limit(limit) => {
                self.node(&limit.input)?;
                let (Ok(SkipType::Literal(skip)), Ok(FetchType::Literal(fetch))) =
                    (limit.get_skip_type(), limit.get_fetch_type())
                else {
                    return None;
                };
                self.steps.push(Step::Limit(skip, fetch));
            }
            LogicalPlan::SubqueryAlias(alias) => {
                self.node(&alias.input)?;
                self.steps
                    .push(Step::Rename(Arc::clone(alias.schema.inner())));
            }
            _ => return None,
        }
        Some(())
    }

    fn physical(&self, expr: &Expr, schema: &DFSchema) -> Option<Compiled> {
        let context = PhysicalPlanningContext::default();
        let expr = create_physical_expr(expr, schema, self.props, &context).ok()?;
        Compiled::try_new(expr).ok()
    }

    /// Each placeholder as a function whose place a value takes in each run.
    fn without_placeholders(&self, expr: &Expr) -> Option<Expr> {
        let unfit = expr.exists(|node| {
            Ok(match node {
                Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::OuterReferenceColumn(..) => true,
                // What a pattern may be is judged by its value.
                Expr::SimilarTo(_) => true,
                Expr::ScalarFunction(call) => {
                    call.func.signature().volatility != Volatility::Immutable
                        || call.func.name().starts_with("regexp_")
                }
                Expr::BinaryExpr(binary) => binary.op.to_string().contains('~'),
                _ => false,
            })
        });
        if !matches!(unfit, Ok(false)) {
            return None;
        }
        let replaced = expr.clone().transform_up(|node| match node {
            Expr::Placeholder(placeholder) => {
                let found = self.values.iter().find(|(name, _)| *name == placeholder.id);
                let Some((name, value)) = found else {
                    return internal_err!("an unknown placeholder");
                };
                let slot = Slot::new(name.clone(), value.data_type());
                Ok(Transformed::yes(ScalarUDF::from(slot).call(Vec::new())))
            }
            // The value comes in the type that it is compared in.
            Expr::Cast(cast) => Ok(match slot_of(&cast.expr) {
                Some(slot) if is_text(&slot.kind) && is_text(cast.field.data_type()) => {
                    let slot = Slot::new(slot.name.clone(), cast.field.data_type().clone());
                    Transformed::yes(ScalarUDF::from(slot).call(Vec::new()))
                }
                _ => Transformed::no(Expr::Cast(cast)),
            }),
            other => Ok(Transformed::no(other)),
        });
        replaced.ok().map(|replaced| replaced.data)
    }
}

impl Step {
    fn apply(&self, batch: RecordBatch, values: &Values) -> Result<RecordBatch> {
        match self {
            Self::Filter(condition) => {
                let kept = condition.array(&batch, values)?;
                let kept = kept.as_boolean();
                if kept.true_count() == batch.num_rows() {
                    return Ok(batch);
                }
                Ok(filter_record_batch(&batch, kept)?)
            }
            Self::Project(exprs, schema) => {
                let arrays = exprs.iter().map(|expr| expr.array(&batch, values));
                let arrays = arrays.collect::<Result<Vec<_>>>()?;
                with_schema(schema, arrays, batch.num_rows())
            }
            Self::Sort(keys, fetch) => {
                let columns = keys.iter().map(|(expr, options)| {
                    Ok::<_, DataFusionError>(SortColumn {
                        values: expr.array(&batch, values)?,
                        options: Some(*options),
                    })
                });
                let order = lexsort_to_indices(&columns.collect::<Result<Vec<_>>>()?, *fetch)?;
                Ok(take_record_batch(&batch, &order)?)
            }
            Self::Limit(skip, fetch) => {
                let skip = (*skip).min(batch.num_rows());
                let left = batch.num_rows() - skip;
                Ok(batch.slice(skip, fetch.map_or(left, |fetch| fetch.min(left))))
            }
            Self::Rename(schema) => {
                let rows = batch.num_rows();
                with_schema(schema, batch.columns().to_vec(), rows)
            }
        }
    }
}

fn with_schema(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        arrays,
        &options,
    )?)
}

impl Compiled {
    fn try_new(expr: Physical) -> Result<Self> {
        let mut has_slots = false;
        expr.apply(|node| {
            has_slots |= slot(node).is_some();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Self { expr, has_slots })
    }

    /// The expression with values in its slots.
    fn with(&self, values: &Values) -> Result<Physical> {
        if !self.has_slots {
            return Ok(Arc::clone(&self.expr));
        }
        let filled = Arc::clone(&self.expr).transform_up(|node| {
            Ok(match slot(&node) {
                Some(slot) => {
                    let literal = Literal::new(slot.value(values)?);
                    Transformed::yes(Arc::new(literal) as Physical)
                }
                None => Transformed::no(node),
            })
        })?;
        Ok(filled.data)
    }

    /// Its values for the rows of a batch.
    fn array(&self, batch: &RecordBatch, values: &Values) -> Result<ArrayRef> {
        let found = self.with(values)?.evaluate(batch)?;
        found.into_array(batch.num_rows())
    }

    /// Its value, where it depends on no column.
    fn value(&self, values: &Values) -> Result<ScalarValue> {
        match slot(&self.expr) {
            Some(slot) => slot.value(values),
            None => value_of(&self.with(values)?),
        }
    }
}

fn slot(expr: &Physical) -> Option<&Slot> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    call.fun().inner().downcast_ref::<Slot>()
}

fn slot_of(expr: &Expr) -> Option<&Slot> {
    match expr {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<Slot>(),
        _ => None,
    }
}

/// Where a parameter's value comes to stand.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Slot {
    name: String,
    kind: DataType,
    signature: Signature,
}

impl Slot {
    fn new(name: String, kind: DataType) -> Self {
        Self {
            name,
            kind,
            signature: Signature::nullary(Volatility::Immutable),
        }
    }

    /// The value that comes to stand here.
    fn value(&self, values: &Values) -> Result<ScalarValue> {
        match values.iter().find(|(name, _)| *name == self.name) {
            Some((_, value)) if value.data_type() == self.kind => Ok(value.clone()),
            Some((_, ScalarValue::Utf8(text))) if self.kind == DataType::Utf8View => {
                Ok(ScalarValue::Utf8View(text.clone()))
            }
            Some((_, ScalarValue::Utf8(text))) if self.kind == DataType::LargeUtf8 => {
                Ok(ScalarValue::LargeUtf8(text.clone()))
            }
            _ => internal_err!("a parameter without a value of its type"),
        }
    }
}

impl ScalarUDFImpl for Slot {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.kind.clone())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("a parameter without a value")
    }
}

/// All conditions of a plan on one table, whatever stands between.
pub(crate) fn conditions(plan: &LogicalPlan, table: &str) -> Vec<Expr> {
    let mut found = Vec::new();
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.table() == table
        {
            found.extend(conjunction(scan.filters.iter().cloned()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
