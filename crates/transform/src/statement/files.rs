//! Questions that name their files themselves, and how a question is recorded.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, TableFactor, Value, ValueWithSpan, Visit, VisitMut,
    Visitor, VisitorMut,
};

use super::QueryText;

/// Characters of an outline; what is longer is cut off.
const LONGEST_OUTLINE: usize = 4000;
/// The name of files that have none that a table could have.
const UNNAMED: &str = "files";

impl QueryText {
    /// Puts names of tables where the SQL names files in single quotes, and gives these names with their uris. A table is called
    /// as its file, so that its columns can be named with it: `'data/calls.csv'` is `calls`. `taken` are names of other tables.
    pub(crate) fn take_files<'a>(
        &mut self,
        taken: impl Iterator<Item = &'a String>,
    ) -> BTreeMap<String, String> {
        let mut names = Names(taken.cloned().collect());
        let _ = Visit::visit(self.query.as_ref(), &mut names);
        let mut files = TakeFiles {
            taken: names.0,
            tables: BTreeMap::new(),
        };
        let _ = VisitMut::visit(self.query.as_mut(), &mut files);
        let tables = files.tables.into_iter();
        tables.map(|(uri, name)| (name, uri)).collect()
    }

    /// The SQL with `?` for each constant, and for each name that may be one: names of tables, columns and functions are left.
    pub(crate) fn outline(&self) -> String {
        let mut query = self.query.clone();
        let _ = VisitMut::visit(query.as_mut(), &mut LeaveOut);
        let mut text = query.to_string();
        if let Some((end, _)) = text.char_indices().nth(LONGEST_OUTLINE) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

/// Names that tables have in the query.
struct Names(BTreeSet<String>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(with.map(|cte| cte.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor
            && let [ObjectNamePart::Identifier(name)] = name.0.as_slice()
            && name.quote_style != Some('\'')
        {
            self.0.insert(name.value.clone());
        }
        ControlFlow::Continue(())
    }
}

struct TakeFiles {
    taken: BTreeSet<String>,
    /// Names of tables by uri.
    tables: BTreeMap<String, String>,
}

impl VisitorMut for TakeFiles {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table {
            name, args: None, ..
        } = factor
            && let [ObjectNamePart::Identifier(file)] = name.0.as_mut_slice()
            && file.quote_style == Some('\'')
        {
            let table = match self.tables.get(&file.value) {
                Some(table) => table.clone(),
                None => {
                    let table = self.free(&table_name(&file.value));
                    self.tables.insert(file.value.clone(), table.clone());
                    table
                }
            };
            *file = Ident {
                value: table,
                quote_style: Some('"'),
                span: file.span,
            };
        }
        ControlFlow::Continue(())
    }
}

impl TakeFiles {
    /// The name, or the name with a number where another table is called so.
    fn free(&mut self, name: &str) -> String {
        let numbered = (1..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names
            .find(|name| self.taken.insert(name.clone()))
            .expect("there are more numbers than tables")
    }
}

/// What a table of the files at a uri is called: the last part of the uri with a name, `calls` of `s3://lake/calls/2026-*.csv.gz`.
#[must_use]
pub fn table_name(uri: &str) -> String {
    let path = uri.split_once("://").map_or(uri, |(_, path)| path);
    let path = if path == "-" { "stdin" } else { path };
    let mut segments = path.rsplit('/');
    segments
        .find_map(|segment| {
            let stem = segment.trim_start_matches('.').split('.').next()?;
            let is_wild = stem.contains(['*', '?', '[', '{', '=']);
            let is_name = stem.starts_with(|c: char| c.is_alphabetic());
            (is_name && !is_wild).then(|| {
                let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
                stem.to_lowercase().chars().map(plain).collect()
            })
        })
        .unwrap_or_else(|| UNNAMED.to_owned())
}

struct LeaveOut;

impl VisitorMut for LeaveOut {
    type Break = ();

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if !matches!(
            value.value,
            Value::Placeholder(_) | Value::Null | Value::Boolean(_)
        ) {
            value.value = Value::Placeholder("?".to_owned());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // Text that somebody has put in double quotes is a name to SQL.
        if let Expr::Identifier(name) = expr
            && !name
                .value
                .starts_with(|c: char| c.is_alphabetic() || c == '_')
        {
            "?".clone_into(&mut name.value);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::{QueryText, table_name};

    #[test]
    fn a_table_is_called_as_its_file() {
        for (uri, name) in [
            ("data/calls.csv", "calls"),
            ("s3://lake/Calls-2026.csv.gz", "calls_2026"),
            ("s3://lake/calls/date=2026-*/part-*.csv", "calls"),
            ("data/*.csv", "data"),
            ("s3://lake/calls/", "calls"),
            ("/tmp/2026/*.csv", "tmp"),
            ("*.csv", "files"),
            (".hidden.csv", "hidden"),
            ("-", "stdin"),
            ("/dev/stdin", "stdin"),
        ] {
            assert_eq!(table_name(uri), name, "{uri}");
        }
    }

    #[test]
    fn one_file_is_one_table_and_no_two_have_a_name() {
        let sql = "WITH calls AS (SELECT 1) SELECT * FROM 'a/calls.csv' x JOIN 'b/calls.csv' y ON x.id = y.id JOIN 'a/calls.csv' z ON true";
        let mut query = QueryText::parse(sql).unwrap();
        let files = query.take_files(["calls_1".to_owned()].iter());
        let files: Vec<_> = files
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            files,
            [("calls_2", "a/calls.csv"), ("calls_3", "b/calls.csv")]
        );
    }

    #[test]
    fn an_outline_has_no_constants() {
        let sql = "SELECT ani, 'x' AS y FROM t WHERE ani = '+12025550142' AND d > DATE '2026-01-01' AND \"+12025550142\" = 5 AND b = $name LIMIT 10";
        let outline = QueryText::parse(sql).unwrap().outline();
        assert!(!outline.contains("2025550142"), "{outline}");
        assert!(
            !outline.contains("2026") && !outline.contains("10"),
            "{outline}"
        );
        assert!(
            outline.contains("SELECT ani, ? AS y FROM t WHERE ani = ?"),
            "{outline}"
        );
        assert!(outline.contains("$name"), "{outline}");
        let long = format!("SELECT {}a FROM t", "a, ".repeat(2000));
        assert_eq!(
            QueryText::parse(&long).unwrap().outline().chars().count(),
            4001
        );
    }
}
