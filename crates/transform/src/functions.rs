//! Functions of this field that `DataFusion` lacks, and bounds on those that it has; described in `docs/functions.md`.

mod arguments;
mod bounded;
mod business_days;
mod checked;
mod epoch;
mod floats;
mod growth;
mod local_time;
mod phone;
mod rounding;
mod series;
mod sum;
mod to_timestamp;

#[cfg(feature = "cluster")]
use std::{collections::HashMap, hash::BuildHasher};

use std::sync::Arc;

use datafusion::{execution::SessionStateBuilder, logical_expr::ScalarUDF};

#[cfg(feature = "cluster")]
use crate::{comparisons::Computed, marked};

pub(crate) use self::{
    arguments::InvalidArgument,
    bounded::{Bounded, GrowthRefused},
    checked::{TooLarge, unchecked},
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
        .push(Arc::new(sum::function()));
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
    all
}

fn own() -> Vec<ScalarUDF> {
    let mut functions = business_days::functions();
    functions.extend(local_time::functions());
    functions.extend(phone::functions());
    functions
}
