//! Columns that have no value in any file, as far as was looked. They are text, since all that may still come is text; where the
//! SQL does not take text of them, as `sum` does not, they are of the first type that it takes. What comes later and is not of
//! that type does not fit, as in any other column.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    logical_expr::LogicalPlan,
    prelude::SessionContext,
};

use crate::{
    BoundParams, Error, ErrorKind, Prepared, Transform, error::planning, session, source::Source,
};

/// The types that such a column may have, in the order in which they are tried.
const KINDS: [DataType; 3] = [
    DataType::Int64,
    DataType::Timestamp(TimeUnit::Microsecond, None),
    DataType::Boolean,
];
/// Types of columns by their table and name.
type Choice<'a> = Vec<(&'a str, &'a str, DataType)>;

impl Transform {
    /// Adds the tables to the session, and plans the query over them.
    ///
    /// # Errors
    /// As [`Self::unbound`].
    pub(crate) async fn plan_over(
        &self,
        session: &SessionContext,
        sources: &[Source],
        prepared: &Prepared,
        bound: &BoundParams,
    ) -> Result<LogicalPlan, Error> {
        for source in sources {
            let table = Arc::clone(&source.table);
            session::add_table(session, &source.info.table, table).map_err(planning)?;
        }
        let refused = match self.unbound(session, prepared, bound).await {
            Err(error) if error.kind() == ErrorKind::InvalidSql => error,
            planned => return planned,
        };
        for choice in choices(&columns(sources, prepared)) {
            for source in sources {
                let name = source.info.table.as_str();
                let own = choice.iter().filter(|(table, ..)| *table == name);
                let kinds: BTreeMap<&str, &DataType> =
                    own.map(|(_, column, kind)| (*column, kind)).collect();
                let table = Arc::new(source.table.retyped(&kinds));
                session::replace_table(session, name, table).map_err(planning)?;
            }
            if let Ok(plan) = self.unbound(session, prepared, bound).await {
                return Ok(plan);
            }
        }
        Err(refused)
    }
}

/// The columns without a value that the SQL may name.
fn columns<'a>(sources: &'a [Source], prepared: &Prepared) -> Vec<(&'a str, &'a str)> {
    let sql = prepared.query.statement().to_string();
    let of = |source: &'a Source| {
        let names = source.table.untyped().iter().map(String::as_str);
        names.map(|name| (source.info.table.as_str(), name))
    };
    let all = sources.iter().flat_map(of);
    all.filter(|(_, name)| sql.contains(name)).collect()
}

/// All get the same type, or one alone gets any; of two, each gets any.
fn choices<'a>(columns: &[(&'a str, &'a str)]) -> Vec<Choice<'a>> {
    if columns.is_empty() {
        return Vec::new();
    }
    let alike = KINDS.iter().map(|kind| {
        let columns = columns.iter();
        columns
            .map(|&(table, name)| (table, name, kind.clone()))
            .collect()
    });
    let alone = columns.iter().flat_map(|&(table, name)| {
        let kinds = KINDS.iter();
        kinds.map(move |kind| vec![(table, name, kind.clone())])
    });
    let mut all: Vec<Choice<'a>> = alike.chain(alone).collect();
    if let &[(table, name), (other_table, other)] = columns {
        for kind in &KINDS {
            let others = KINDS.iter().filter(|other| *other != kind);
            all.extend(others.map(|other_kind| {
                vec![
                    (table, name, kind.clone()),
                    (other_table, other, other_kind.clone()),
                ]
            }));
        }
    }
    all
}
