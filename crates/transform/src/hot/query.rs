//! A prepared query over hot tables, with the plans that it is run by.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use datafusion::{arrow::datatypes::SchemaRef, common::ScalarValue};

use super::template::Template;
use crate::{BoundParams, BoundValue, Error, ErrorKind, Prepared};

/// Shapes of parameters (lengths of lists, digits of decimals) that templates are kept for.
const KEPT_TEMPLATES: usize = 64;

/// Queries that were made so far.
static QUERIES: AtomicU64 = AtomicU64::new(0);

/// A [`Prepared`] query whose tables are kept in memory.
#[derive(Debug)]
pub struct HotQuery {
    name: String,
    /// No other query of this process has it.
    number: u64,
    pub(crate) prepared: Prepared,
    pub(crate) index: BTreeSet<String>,
    templates: Mutex<HashMap<String, Kept>>,
    /// Whether the last answer was computed over rows that no index named.
    is_computed: AtomicBool,
}

#[derive(Debug, Clone)]
struct Kept {
    /// The schemas of the tables that the template was made over.
    schemas: Vec<SchemaRef>,
    template: Option<Arc<Template>>,
}

impl HotQuery {
    /// A query whose tables are kept in memory under `name`, with indexes on the columns that `index` names.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] when a table is a prefix or a glob: only single objects have a version to watch.
    pub fn try_new(
        name: impl Into<String>,
        prepared: Prepared,
        index: impl IntoIterator<Item = String>,
    ) -> Result<Self, Error> {
        if let Some(table) = prepared.inexact_table() {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                format!(
                    "a hot action reads single objects, and a uri of table `{table}` is a prefix or a glob"
                ),
            ));
        }
        Ok(Self {
            name: name.into(),
            number: QUERIES.fetch_add(1, Relaxed),
            prepared,
            index: index.into_iter().collect(),
            templates: Mutex::default(),
            is_computed: AtomicBool::new(false),
        })
    }

    /// Whether an index names the rows of its answers, as far as the last one tells: such an answer takes microseconds.
    #[must_use]
    pub fn is_look_up(&self) -> bool {
        !self.is_computed.load(Relaxed)
    }

    /// Notes how an answer was found.
    pub(crate) fn note_computed(&self, is_computed: bool) {
        // Most of the time nothing changes, and all threads read it.
        if self.is_computed.load(Relaxed) != is_computed {
            self.is_computed.store(is_computed, Relaxed);
        }
    }

    /// The query itself.
    #[must_use]
    pub const fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Whether the columns that are to be indexed are among those that the tables have.
    pub(crate) fn check_index(&self, known: &BTreeSet<String>) -> Result<(), Error> {
        match self.index.iter().find(|name| !known.contains(*name)) {
            None => Ok(()),
            Some(unknown) => Err(Error::new(
                ErrorKind::UnknownColumn,
                format!("`index` names `{unknown}`, which no table of the action has"),
            )),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A number that tells this query from all others of the process, those of the same name included.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The template that was kept for this shape, if the tables still have the columns that it was made over.
    pub(crate) fn template(
        &self,
        shape: &str,
        schemas: &[SchemaRef],
    ) -> Option<Option<Arc<Template>>> {
        let templates = self
            .templates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let kept = templates.get(shape)?;
        (kept.schemas.as_slice() == schemas).then(|| kept.template.clone())
    }

    pub(crate) fn keep(
        &self,
        shape: String,
        schemas: Vec<SchemaRef>,
        template: Option<Arc<Template>>,
    ) {
        let mut templates = self
            .templates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if templates.len() >= KEPT_TEMPLATES {
            templates.clear();
        }
        templates.insert(shape, Kept { schemas, template });
    }
}

/// What of the values a plan depends on, without the values.
pub(crate) fn shape(bound: &BoundParams) -> String {
    let mut shape = String::new();
    for (name, value, _) in bound.entries() {
        let _ = match value {
            BoundValue::Decimal { scale, .. } => write!(shape, "{name}.{scale};"),
            BoundValue::List(_, items) => {
                let scales: BTreeMap<_, _> = items
                    .iter()
                    .enumerate()
                    .filter_map(|(place, item)| match item {
                        BoundValue::Decimal { scale, .. } => Some((place, *scale)),
                        _ => None,
                    })
                    .collect();
                write!(shape, "{name}[{}]{scales:?};", items.len())
            }
            _ => Ok(()),
        };
    }
    shape
}

/// Names of placeholders, with `$`, and their values.
pub(crate) fn values(bound: &BoundParams) -> Vec<(String, ScalarValue)> {
    let mut values = Vec::new();
    for (name, value, _) in bound.entries() {
        values.push((format!("${name}"), value.to_scalar()));
        if let BoundValue::List(_, items) = value {
            let items = items.iter().enumerate();
            values.extend(items.map(|(place, item)| {
                (
                    format!("${}", crate::statement::item_name(name, place)),
                    item.to_scalar(),
                )
            }));
        }
    }
    values
}
