//! What the text of a query may not hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use datafusion::sql::sqlparser::{
    ast::{
        BinaryOperator, DataType, DuplicateTreatment, ExactNumberInfo, Expr, Function, FunctionArg,
        FunctionArguments, GroupByExpr, ObjectName, ObjectNamePart, Query, Select, SetExpr,
        SetOperator, SetQuantifier, Spanned, TableFactor, TableFunctionArgs, Visit, Visitor,
        WindowFrame, WindowFrameBound, WindowFrameUnits, WindowType, visit_relations,
    },
    tokenizer::Span,
};

use super::arguments::first_refused;
use crate::{
    Error,
    functions::SERIES,
    statement::{QueryText, not_allowed_at},
};

/// Most tables that a query may come to when every WITH is written out where it is used: the engine writes them out.
const MOST_RELATIONS: u64 = 500;
/// Most columns of a CUBE or ROLLUP: a cube of n columns groups the rows 2^n times.
const MOST_CUBED: usize = 6;
/// Most rows of a frame that these functions copy for each row.
const MOST_COPIED: u64 = 100;
/// Functions that keep all rows before the present one when used with OVER, once for each row.
const GROWING_WINDOWS: [&str; 3] = ["array_agg", "string_agg", "list"];

/// Checks the text of a query. Refusals name line and column.
pub(crate) fn syntax(query: &QueryText) -> Result<(), Error> {
    let mut guard = Syntax::default();
    if let ControlFlow::Break(refusal) = query.statement().visit(&mut guard) {
        return Err(*refusal);
    }
    let relations = query.query().map_or(0, |query| guard.expanded(query));
    if relations > MOST_RELATIONS {
        return Err(crate::statement::not_allowed(&format!(
            "more than {MOST_RELATIONS} tables, counting those of each WITH wherever it is used"
        )));
    }
    Ok(())
}

#[derive(Default)]
struct Syntax {
    /// Tables that each WITH names, by its own name; of two with one name, both together.
    named: BTreeMap<String, Vec<String>>,
}

type Found = ControlFlow<Box<Error>>;

fn refuse(what: &str, span: Span) -> Found {
    ControlFlow::Break(Box::new(not_allowed_at(what, span)))
}

impl Syntax {
    /// Tables of the whole query with every WITH written out.
    fn expanded(&self, query: &Query) -> u64 {
        let mut counts = BTreeMap::new();
        let mut body = query.clone();
        body.with = None;
        relations(&body)
            .iter()
            .map(|name| self.count(name, &mut counts, &mut BTreeSet::new()))
            .fold(0, u64::saturating_add)
    }

    fn count(
        &self,
        name: &str,
        counts: &mut BTreeMap<String, u64>,
        within: &mut BTreeSet<String>,
    ) -> u64 {
        if let Some(count) = counts.get(name) {
            return *count;
        }
        let Some(tables) = self.named.get(name) else {
            return 1;
        };
        // A WITH of the name of a table can read that table, not itself: recursion is refused.
        if !within.insert(name.to_owned()) {
            return 1;
        }
        let count = tables
            .iter()
            .map(|table| self.count(table, counts, within))
            .fold(1, u64::saturating_add);
        within.remove(name);
        counts.insert(name.to_owned(), count);
        count
    }
}

impl Visitor for Syntax {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &Query) -> Found {
        if let Some(with) = &query.with {
            if with.recursive {
                return refuse(
                    "recursive queries: write generate_series(…) for a series of numbers or days",
                    with.with_token.0.span,
                );
            }
            for cte in &with.cte_tables {
                let tables = self.named.entry(cte.alias.name.value.clone()).or_default();
                tables.extend(relations(&cte.query));
            }
        }
        if !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty()
        {
            return refuse(
                "FOR, SETTINGS, FORMAT and `|>` behind a query",
                query.span(),
            );
        }
        changes(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Found {
        if let Some(into) = &select.into {
            return refuse("SELECT INTO", into.name.span());
        }
        let ignored = [
            (select.top.is_some(), "TOP: write LIMIT at the end"),
            (select.prewhere.is_some(), "PREWHERE: write WHERE"),
            (
                !select.distribute_by.is_empty(),
                "DISTRIBUTE BY: leave it out",
            ),
            (
                !select.cluster_by.is_empty() || !select.sort_by.is_empty(),
                "CLUSTER BY and SORT BY: write ORDER BY",
            ),
            (
                select.value_table_mode.is_some() || select.select_modifiers.is_some(),
                "words between SELECT and the columns other than DISTINCT and ALL",
            ),
        ];
        if let Some((_, what)) = ignored.into_iter().find(|(is_there, _)| *is_there) {
            return refuse(what, select.select_token.0.span);
        }
        if !select.lateral_views.is_empty() || !select.connect_by.is_empty() {
            return refuse("LATERAL VIEW and CONNECT BY", select.select_token.0.span);
        }
        if let GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) =
            &select.group_by
            && !modifiers.is_empty()
        {
            return refuse(
                "WITH CUBE and WITH ROLLUP: write GROUP BY CUBE (…) or GROUP BY ROLLUP (…)",
                select.select_token.0.span,
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Found {
        // The schema that the engine puts the tables of an action in.
        let in_public = matches!(relation.0.as_slice(), [ObjectNamePart::Identifier(schema), _] if schema.value.eq_ignore_ascii_case("public"));
        if relation.0.len() > 1 && !in_public {
            return refuse(
                &format!(
                    "`{}`: tables have one name and no schema",
                    display_name(relation)
                ),
                relation.span(),
            );
        }
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == ' ';
        let name = match relation.0.last() {
            Some(ObjectNamePart::Identifier(name)) => Some(name.value.as_str()),
            _ => None,
        };
        if !name.is_some_and(|name| name.chars().all(plain)) {
            return refuse(
                &format!("`{}`, which is no name of a table", display_name(relation)),
                relation.span(),
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Found {
        match factor {
            TableFactor::Table {
                name,
                args: Some(TableFunctionArgs { args, .. }),
                ..
            }
            | TableFactor::Function { name, args, .. } => table_function(name, args),
            TableFactor::Table { .. } => ignored_of_table(factor),
            TableFactor::Derived {
                sample: Some(_), ..
            } => refuse(SAMPLE, factor.span()),
            TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::UNNEST { .. } => ControlFlow::Continue(()),
            other => refuse("this kind of table", other.span()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Found {
        match expr {
            Expr::Cube(columns) | Expr::Rollup(columns) if columns.len() > MOST_CUBED => refuse(
                &format!("CUBE and ROLLUP of more than {MOST_CUBED} columns"),
                columns
                    .iter()
                    .flatten()
                    .next()
                    .map_or_else(Span::empty, Spanned::span),
            ),
            Expr::Function(function) => {
                several_distinct(function)?;
                growing_window(function)
            }
            Expr::BinaryOp {
                op: BinaryOperator::Arrow,
                ..
            }
            | Expr::Lambda(_) => refuse(
                "`x -> …`, a function that stands in an argument: write FROM (SELECT id, unnest(list) AS x FROM t) and a condition or an expression on x",
                expr.span(),
            ),
            Expr::BinaryOp {
                op: BinaryOperator::BitwiseXor,
                ..
            } => refuse(
                "`^`, which is a power in other dialects and exclusive or in this one: write power(a, b)",
                expr.span(),
            ),
            Expr::SimilarTo { .. } => refuse(
                "SIMILAR TO, whose patterns the engine takes for regular expressions: write LIKE, or regexp_like(text, '^…$')",
                expr.span(),
            ),
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. }
                if matches!(right.as_ref(), Expr::Subquery(_)) =>
            {
                refuse(
                    "ANY and ALL of a subquery but for `= ANY` and `<> ALL`: compare with (SELECT min(…) FROM …) or (SELECT max(…) FROM …)",
                    expr.span(),
                )
            }
            Expr::AtTimeZone { time_zone, .. } if !matches!(time_zone.as_ref(), Expr::Value(_)) => {
                refuse(
                    "a zone behind AT TIME ZONE that is no constant: write local_time(moment, zone)",
                    time_zone.span(),
                )
            }
            Expr::Cast { data_type, .. } => ignored_length(data_type, expr.span()),
            Expr::TypedString(typed) => ignored_length(&typed.data_type, expr.span()),
            _ => ControlFlow::Continue(()),
        }
    }
}

const SAMPLE: &str = "TABLESAMPLE: leave rows out by a condition or LIMIT";

/// What the engine would read over behind the name of a table.
fn ignored_of_table(factor: &TableFactor) -> Found {
    let TableFactor::Table {
        alias,
        with_hints,
        version,
        partitions,
        json_path,
        sample,
        index_hints,
        ..
    } = factor
    else {
        return ControlFlow::Continue(());
    };
    // FINAL is no word of this dialect, and would be taken for another name of the table.
    let is_final = alias.as_ref().is_some_and(|alias| {
        !alias.explicit
            && alias.name.quote_style.is_none()
            && alias.name.value.eq_ignore_ascii_case("final")
    });
    let ignored = [
        (sample.is_some(), SAMPLE),
        (
            !partitions.is_empty(),
            "PARTITION: write a condition on the partition's column",
        ),
        (
            version.is_some(),
            "a version of a table: each run reads the present files",
        ),
        (
            !with_hints.is_empty() || !index_hints.is_empty(),
            "hints behind a table: leave them out",
        ),
        (is_final, "FINAL: leave it out"),
        (
            json_path.is_some(),
            "a path behind a table: name the member as column['member']",
        ),
    ];
    match ignored.into_iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => refuse(what, factor.span()),
        None => ControlFlow::Continue(()),
    }
}

/// The engine reads over the length of a type of text.
fn ignored_length(data_type: &DataType, span: Span) -> Found {
    let instead = match data_type {
        DataType::Varchar(Some(_))
        | DataType::Char(Some(_))
        | DataType::Character(Some(_))
        | DataType::CharacterVarying(Some(_))
        | DataType::CharVarying(Some(_))
        | DataType::Nvarchar(Some(_))
        | DataType::String(Some(_)) => {
            "its length would be ignored: write VARCHAR, and left(…, n) to cut text"
        }
        DataType::Float(number) if !matches!(number, ExactNumberInfo::None) => {
            "its precision would be ignored: write REAL or DOUBLE"
        }
        _ => return ControlFlow::Continue(()),
    };
    refuse(&format!("the type `{data_type}`; {instead}"), span)
}

fn table_function(name: &ObjectName, arguments: &[FunctionArg]) -> Found {
    let known = table_name(name).is_some_and(|name| SERIES.contains(&name.to_lowercase().as_str()));
    if !known {
        return refuse(
            &format!("the table function `{}`", display_name(name)),
            name.span(),
        );
    }
    match first_refused(arguments) {
        None => ControlFlow::Continue(()),
        Some(span) => refuse(
            &format!(
                "in the arguments of `{}` as a table, which may hold numbers, times, parameters and few functions of them",
                display_name(name)
            ),
            span,
        ),
    }
}

/// `INSERT` and other statements that write can stand where a query's body stands.
fn changes(body: &SetExpr) -> Found {
    match body {
        SetExpr::Insert(statement)
        | SetExpr::Update(statement)
        | SetExpr::Delete(statement)
        | SetExpr::Merge(statement) => refuse("changes to data", statement.span()),
        SetExpr::Table(_) => refuse("TABLE as a query: write SELECT", body.span()),
        SetExpr::SetOperation {
            op: SetOperator::Intersect | SetOperator::Except | SetOperator::Minus,
            set_quantifier: SetQuantifier::All | SetQuantifier::AllByName,
            ..
        } => refuse(
            "INTERSECT ALL and EXCEPT ALL: write INTERSECT or EXCEPT, which give each row once, or number equal rows with row_number() and compare the numbers too",
            body.span(),
        ),
        SetExpr::SetOperation { left, right, .. } => {
            changes(left)?;
            changes(right)
        }
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
    }
}

/// The engine takes one column here, and says so only when it runs.
fn several_distinct(function: &Function) -> Found {
    let FunctionArguments::List(list) = &function.args else {
        return ControlFlow::Continue(());
    };
    let is_count =
        table_name(&function.name).is_some_and(|name| name.eq_ignore_ascii_case("count"));
    let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    if is_count && is_distinct && list.args.len() > 1 {
        return refuse(
            "count(DISTINCT a, b): write count(DISTINCT (a, b)), where a null is a value as others, or count the rows of a subquery with SELECT DISTINCT a, b",
            function.name.span(),
        );
    }
    ControlFlow::Continue(())
}

fn growing_window(function: &Function) -> Found {
    let Some(name) = table_name(&function.name) else {
        return refuse("functions with more than one name", function.name.span());
    };
    let grows = GROWING_WINDOWS.contains(&name.to_lowercase().as_str());
    // The engine cannot take a row out of a text again.
    let moves = !name.eq_ignore_ascii_case("string_agg");
    let is_small = match &function.over {
        Some(WindowType::WindowSpec(window)) => {
            moves && window.window_frame.as_ref().is_some_and(is_small)
        }
        Some(WindowType::NamedWindow(_)) => false,
        None => true,
    };
    if !grows || is_small {
        return ControlFlow::Continue(());
    }
    refuse(
        &format!(
            "`{name}` with OVER, which copies all rows before each row: give `array_agg` a frame of at most {MOST_COPIED} rows, as in ROWS BETWEEN 10 PRECEDING AND CURRENT ROW"
        ),
        function.name.span(),
    )
}

/// Whether a frame has few rows at every row.
fn is_small(frame: &WindowFrame) -> bool {
    let rows = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(Some(rows)) | WindowFrameBound::Following(Some(rows)) => {
            rows.to_string().parse::<u64>().ok()
        }
        WindowFrameBound::Preceding(None) | WindowFrameBound::Following(None) => None,
    };
    let end = frame.end_bound.as_ref();
    let ends = (rows(&frame.start_bound), end.map_or(Some(0), rows));
    match ends {
        (Some(start), Some(end)) => {
            frame.units == WindowFrameUnits::Rows && start.saturating_add(end) < MOST_COPIED
        }
        _ => false,
    }
}

/// The names of tables in a query, as often as they stand there.
///
/// What a WITH inside it reads is counted there and here: too much rather than too little.
fn relations(query: &Query) -> Vec<String> {
    let mut names = Vec::new();
    let _ = visit_relations(query, |relation| {
        names.extend(table_name(relation).map(str::to_owned));
        ControlFlow::<()>::Continue(())
    });
    names
}

/// The one name, as written.
pub(super) fn table_name(name: &ObjectName) -> Option<&str> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(identifier)] => Some(&identifier.value),
        _ => None,
    }
}

/// A name from the SQL, short enough for a message.
fn display_name(name: &ObjectName) -> String {
    let text = name.to_string();
    let mut display_name: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    if display_name.len() < text.len() {
        display_name.push('…');
    }
    display_name
}

#[cfg(test)]
mod tests {
    use super::syntax;
    use crate::{ErrorKind, statement::QueryText};

    fn check(sql: &str) -> Result<(), crate::Error> {
        syntax(&QueryText::parse(sql)?)
    }

    #[test]
    fn only_one_query_passes() {
        check("SELECT 1").unwrap();
        check("WITH a AS (SELECT 1 AS x) SELECT * FROM a;").unwrap();
        check("SELECT * FROM a JOIN (b JOIN c USING (k)) USING (k)").unwrap();
        for sql in [
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE calls",
            "INSERT INTO calls VALUES (1)",
            "UPDATE calls SET a = 1",
            "DELETE FROM calls",
            "CREATE TABLE t AS SELECT 1",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'file:///etc/passwd'",
            "COPY calls TO 's3://elsewhere/x.csv'",
            "SET datafusion.execution.batch_size = 1",
            "SHOW TABLES",
            "EXPLAIN ANALYZE SELECT 1",
            "DESCRIBE calls",
            "PREPARE p AS SELECT 1",
            "SELECT * INTO x FROM calls",
            "WITH x AS (INSERT INTO calls VALUES (1)) SELECT 1",
        ] {
            let kind = check(sql).unwrap_err().kind();
            assert!(
                matches!(
                    kind,
                    ErrorKind::NotAllowed | ErrorKind::NotAQuery | ErrorKind::InvalidSql
                ),
                "{sql}: {kind:?}"
            );
        }
    }

    #[test]
    fn refusals_say_where() {
        let message = |sql| check(sql).unwrap_err().to_string();
        assert_eq!(
            message("SELECT *\nFROM information_schema.tables"),
            "not allowed: `information_schema.tables`: tables have one name and no schema, at line 2, column 6"
        );
        assert!(message("SELECT 1\n FROM \"file:///etc/passwd\"").ends_with("at line 2, column 7"));
        assert!(
            message("WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a")
                .ends_with("at line 1, column 1")
        );
        assert!(
            message("SELECT * FROM read_csv('/etc/passwd')")
                .contains("`read_csv`, at line 1, column 15")
        );
    }

    #[test]
    fn withs_that_multiply_are_counted() {
        let mut sql = "WITH c0 AS (SELECT 1 AS x)".to_owned();
        for n in 1..40 {
            let last = n - 1;
            sql += &format!(", c{n} AS (SELECT * FROM c{last} UNION ALL SELECT * FROM c{last})");
        }
        let error = check(&format!("{sql} SELECT * FROM c39")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAllowed);
        check("WITH t AS (SELECT * FROM t) SELECT * FROM t AS a, t AS b").unwrap();
    }

    #[test]
    fn what_is_no_sql_is_said() {
        assert_eq!(check("SELEC 1").unwrap_err().kind(), ErrorKind::InvalidSql);
        assert_eq!(check("").unwrap_err().kind(), ErrorKind::InvalidSql);
        let deep = format!("SELECT {}1{}", "(".repeat(2000), ")".repeat(2000));
        assert_eq!(check(&deep).unwrap_err().kind(), ErrorKind::InvalidSql);
    }
}
