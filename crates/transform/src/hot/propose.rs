//! Proposes the index that a hot query lacks, from its conditions and before a row is read.

use std::{collections::BTreeSet, sync::Arc};

use super::{index::indexable, lookup::found, query::HotQuery, template::conditions};
use crate::{Error, Run, Transform, error::running};

impl Transform {
    /// The columns whose index would spare the query looking at all rows of a table: of each table that is asked for by
    /// conditions and by no indexed column, the one that is best to look up by.
    ///
    /// Only the heads of files are read.
    ///
    /// # Errors
    /// As [`Transform::tables`]; [`crate::ErrorKind::UnknownColumn`] when the query's own index names a column that no table has.
    pub async fn propose_index(
        &self,
        query: &HotQuery,
        run: &Run<'_>,
    ) -> Result<Vec<String>, Error> {
        let session = self.session()?;
        let sources = self.sources(&session, run, &Arc::default()).await?;
        let mut known = BTreeSet::new();
        for source in &sources {
            known.extend(source.info.columns.iter().map(|(name, _)| name.clone()));
        }
        query.check_index(&known)?;
        let plan = self
            .plan_over(&session, &sources, run.prepared, run.bound)
            .await?;
        let plan = session.state().optimize(&plan).map_err(running)?;
        let mut proposed = Vec::new();
        for source in &sources {
            let table = source.info.table.as_str();
            let frame = session.table(table).await.map_err(running)?;
            let schema = frame.schema().inner();
            let lookups: Vec<_> = conditions(&plan, table)
                .iter()
                .flat_map(|filter| found(filter, schema))
                .filter(|lookup| indexable(schema.field(lookup.column).data_type()))
                .collect();
            let name = |column: usize| schema.field(column).name();
            if lookups
                .iter()
                .any(|lookup| query.index.contains(name(lookup.column)))
            {
                continue;
            }
            let best = lookups
                .iter()
                .min_by_key(|lookup| !lookup.test.is_equality());
            proposed.extend(best.map(|lookup| name(lookup.column).clone()));
        }
        proposed.sort();
        proposed.dedup();
        Ok(proposed)
    }
}
