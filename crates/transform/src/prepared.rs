//! An action's SQL, tables and parameters, checked as far as that goes without reading a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::DataType;
use serde_json::{Map, Value};

use crate::{
    BoundParams, BoundValue, Error, ErrorKind, LOCAL_FILES, Limits, Location, ParamSpec, ParamType,
    TableSpec,
    formats::infer::text_type,
    guard,
    params::ParamSet,
    statement::QueryText,
    uri::{Reach, UriTemplate},
};

/// What an action declares.
#[derive(Debug, Clone)]
pub struct TransformSpec {
    /// One SELECT; `$name` stands for a parameter.
    pub sql: String,
    /// The tables that it may name.
    pub tables: BTreeMap<String, TableSpec>,
    /// The parameters.
    pub params: BTreeMap<String, ParamSpec>,
    /// What one run may take.
    pub limits: Limits,
}

/// A checked [`TransformSpec`].
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) query: QueryText,
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) params: ParamSet,
    pub(crate) limits: Limits,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) spec: TableSpec,
    uris: Vec<UriTemplate>,
}

impl Table {
    /// The names of the parameters in its uris.
    fn uri_params(&self) -> impl Iterator<Item = &str> {
        self.uris.iter().flat_map(UriTemplate::params)
    }
}

/// Where files of a table are, once the parameters are known: one for each of its uris.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLocation {
    /// The table's name.
    pub table: String,
    /// The objects that the uri names.
    pub location: Location,
}

impl Prepared {
    /// Checks everything that can be checked without a file: the SQL parses and is one SELECT, each `$name` is declared,
    /// each declared parameter is used, and the locations are well formed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`], [`ErrorKind::InvalidParamSpec`], [`ErrorKind::UndeclaredParam`], [`ErrorKind::InvalidSql`], [`ErrorKind::NotAQuery`],
    /// [`ErrorKind::NotAllowed`].
    pub fn try_new(spec: TransformSpec) -> Result<Self, Error> {
        if spec.tables.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                "no table is declared under [tables]",
            ));
        }
        Self::checked(QueryText::parse(&spec.sql)?, spec, None)
    }

    /// The same for a question that a person asks: its SQL may name files itself (`FROM 's3://bucket/key'`,
    /// `FROM 'data/*.csv'`), and files of this machine too, relative to `folder`, which is absolute. Parameters that are no part of
    /// a uri are sensitive.
    ///
    /// # Errors
    /// As of [`Self::try_new`].
    pub fn ask(mut spec: TransformSpec, folder: &Path) -> Result<Self, Error> {
        let mut query = QueryText::parse(&spec.sql)?;
        for (name, uri) in query.take_files(spec.tables.keys()) {
            spec.tables.insert(name, TableSpec::at(&uri));
        }
        Self::checked(query, spec, Some(folder))
    }

    fn checked(
        query: QueryText,
        spec: TransformSpec,
        folder: Option<&Path>,
    ) -> Result<Self, Error> {
        guard::syntax(&query)?;
        let tables = spec
            .tables
            .into_iter()
            .map(|(name, spec)| {
                Ok((
                    name.clone(),
                    Table {
                        uris: spec.validate(&name, folder)?,
                        spec,
                    },
                ))
            })
            .collect::<Result<BTreeMap<_, _>, Error>>()?;
        let mut params = spec.params;
        if folder.is_some() {
            // Nobody has said which values are personal. What is in a file's name is recorded with it.
            let in_uris: BTreeSet<&str> = tables.values().flat_map(Table::uri_params).collect();
            for (name, param) in &mut params {
                param.sensitive = Some(!in_uris.contains(name.as_str()));
            }
        }
        let params = ParamSet::try_new(params)?;
        let mut used = query.placeholders()?;
        used.extend(
            tables
                .values()
                .flat_map(Table::uri_params)
                .map(str::to_owned),
        );
        if let Some(name) = used.iter().find(|name| !params.contains(name)) {
            return Err(Error::new(
                ErrorKind::UndeclaredParam,
                format!("the parameter `{name}` is used and not declared"),
            )
            .at(query.place_of(name)));
        }
        if let Some(name) = params.names().find(|name| !used.contains(*name)) {
            return Err(Error::new(
                ErrorKind::InvalidParamSpec,
                format!(
                    "the parameter `{name}` is declared and used neither in the SQL nor in a uri"
                ),
            ));
        }
        for name in tables.values().flat_map(Table::uri_params) {
            let Some(param) = params.get(name) else {
                continue;
            };
            let why = if param.spec.is_sensitive() {
                "is sensitive and would become part of a key: keys are recorded in the clear"
            } else if param.spec.kind == ParamType::List {
                "is a list and cannot be part of a key"
            } else {
                continue;
            };
            return Err(Error::new(
                ErrorKind::InvalidParamSpec,
                format!("the parameter `{name}` {why}"),
            ));
        }
        Ok(Self {
            query,
            tables,
            params,
            limits: spec.limits,
        })
    }

    /// Whether the same files and parameters give the same rows whenever they are asked: no function of the SQL tells the time or is
    /// random.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.query.is_repeatable()
    }

    /// Checks parameter values and fills in defaults; `now` is what `yesterday` is relative to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParam`], naming the parameter and what is expected, never the value.
    pub fn bind(
        &self,
        values: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<BoundParams, Error> {
        self.params.bind(values, now)
    }

    /// The same for planning without running: a missing parameter that no uri names gets some value of its type.
    ///
    /// # Errors
    /// As of [`Self::bind`].
    pub fn bind_to_plan(
        &self,
        values: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<BoundParams, Error> {
        self.params.bind_or(values, now, |name, spec| {
            let mut in_uris = self.tables.values().flat_map(Table::uri_params);
            (!in_uris.any(|param| param == name)).then(|| BoundValue::stand_in(spec))
        })
    }

    /// Whether these values, of some of its parameters, are as declared.
    ///
    /// # Errors
    /// As of [`Self::bind`].
    pub fn check_values(
        &self,
        values: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let stand_in = |_: &str, spec: &ParamSpec| Some(BoundValue::stand_in(spec));
        self.params.bind_or(values, now, stand_in).map(drop)
    }

    /// Where each table's files are, one for each uri of a table.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParam`] for a value that cannot be part of a key.
    pub fn locations(&self, bound: &BoundParams) -> Result<Vec<TableLocation>, Error> {
        self.tables
            .iter()
            .flat_map(|(name, table)| table.uris.iter().map(move |uri| (name, uri)))
            .map(|(name, uri)| {
                Ok(TableLocation {
                    table: name.clone(),
                    location: uri.fill(bound)?,
                })
            })
            .collect()
    }

    /// The SQL with its constants left out, for a record: they may be personal data.
    #[must_use]
    pub fn outline(&self) -> String {
        self.query.outline()
    }

    /// Whether it reads no object of S3.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let mut uris = self.tables.values().flat_map(|table| &table.uris);
        uris.all(|uri| uri.bucket() == LOCAL_FILES)
    }

    /// Everything that its tables can name, whatever the parameters are: what a policy has to allow.
    pub fn reach(&self) -> impl Iterator<Item = Reach> {
        let uris = self.tables.values().flat_map(|table| &table.uris);
        uris.map(UriTemplate::reach)
    }

    /// A table of which a uri names more than one object.
    pub(crate) fn inexact_table(&self) -> Option<&str> {
        let mut tables = self.tables.iter();
        tables
            .find(|(_, table)| !table.uris.iter().all(UriTemplate::is_exact))
            .map(|(name, _)| name.as_str())
    }

    /// What one run may take.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl ParamType {
    /// The type of a value that somebody writes without one: the narrowest that a field of CSV with this text would have.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        match text_type(text) {
            DataType::Int64 => Self::Integer,
            DataType::Decimal128(..) => Self::Decimal,
            // A parameter has no float; what is no number of digits is text.
            DataType::Float64 if text.contains(|c: char| c.is_ascii_digit()) => Self::Decimal,
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(..) => Self::Timestamp,
            _ => Self::String,
        }
    }
}
