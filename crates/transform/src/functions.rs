//! Functions of this field that `DataFusion` lacks, and bounds on those that it has; described in `docs/functions.md`.

mod arguments;
mod bins;
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
    kept_text, marked,
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
    all.extend(kept_text::in_plans());
    all
}

fn own_aggregates() -> impl Iterator<Item = AggregateUDF> {
    std::iter::once(sum::function()).chain(ended::functions())
}

/// The functions that are ours. One whose result can be much larger than its arguments is bounded as well ([`bounded`]).
fn own() -> Vec<ScalarUDF> {
    let mut functions = business_days::functions();
    functions.extend(local_time::functions());
    functions.extend(phone::functions());
    functions
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;

    use super::{bounded, own};

    /// Functions of ours whose result is small whatever their arguments are.
    const SMALL: [&str; 8] = [
        "add_business_days",
        "business_days_between",
        "from_local_time",
        "is_business_day",
        "local_date",
        "local_time",
        "phone_region",
        "to_e164",
    ];

    #[test]
    fn each_function_of_ours_is_bounded_or_known_to_be_small() {
        let functions = own();
        let names = functions.iter().map(|function| function.name());
        let mut small: Vec<_> = names.filter(|name| !bounded::is_bounded(name)).collect();
        small.sort_unstable();
        assert_eq!(small, SMALL, "can the result of a new function be large?");
    }

    #[test]
    fn bounded_functions_have_the_names_that_the_engine_knows_them_by() {
        let session = SessionStateBuilder::new_with_default_features().build();
        let is_known = |name: &&str| {
            let function = session.scalar_functions().get(*name);
            function.is_some_and(|function| function.name() == *name)
        };
        let unknown: Vec<_> = bounded::GROWING
            .iter()
            .filter(|name| !is_known(name))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
