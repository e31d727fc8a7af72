//! Functions of this field that `DataFusion` lacks, and bounds on those that it has; described in `docs/functions.md`.

mod arguments;
mod bounded;
mod business_days;
mod checked;
mod ended;
mod epoch;
mod floats;
mod growth;
mod local_time;
mod phone;
mod quotient;
mod rounding;
mod series;
mod sum;
mod to_timestamp;

#[cfg(feature = "cluster")]
use std::{collections::HashMap, hash::BuildHasher};

use std::sync::Arc;

use datafusion::{
    execution::SessionStateBuilder,
    logical_expr::{AggregateUDF, ScalarUDF},
};

#[cfg(feature = "cluster")]
use crate::{
    comparisons::Computed,
    marked,
    writable::{Writable, WritableOrNull},
};

pub(crate) use self::{
    arguments::InvalidArgument,
    bounded::{Bounded, GrowthRefused},
    checked::unchecked,
    quotient::quotient,
    series::{SERIES, Series},
};

/// Adds our functions and bounds to a session in the making.
pub(crate) fn register(builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut builder = builder
        .with_analyzer_rule(Arc::new(Bounded))
        .with_analyzer_rule(Arc::new(checked::CheckedArithmetic))
        .with_analyzer_rule(Arc::new(floats::PlainFloats))
        .with_table_functions(series::functions());
    builder
        .scalar_functions()
        .get_or_insert_default()
        .extend(own().into_iter().map(Arc::new));
    builder
        .aggregate_functions()
        .get_or_insert_default()
        .extend(own_aggregates().map(Arc::new));
    builder
}

/// The functions that plans have after our rules, by the names that plans have them by.
#[cfg(feature = "cluster")]
pub(crate) fn in_plans<S: BuildHasher>(
    known: &HashMap<String, Arc<ScalarUDF>, S>,
) -> Vec<Arc<ScalarUDF>> {
    let mut all = bounded::in_plans(known);
    all.extend(checked::in_plans());
    all.push(marked::function::<floats::PlainFloat>());
    all.push(marked::function::<Computed>());
    all.push(marked::function::<Writable>());
    all.push(marked::function::<WritableOrNull>());
    all.push(quotient::function());
    all
}

fn own_aggregates() -> impl Iterator<Item = AggregateUDF> {
    std::iter::once(sum::function()).chain(ended::functions())
}

fn own() -> Vec<ScalarUDF> {
    let mut functions = business_days::functions();
    functions.extend(local_time::functions());
    functions.extend(phone::functions());
    functions
}
