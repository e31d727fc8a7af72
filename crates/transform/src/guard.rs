//! One read-only query over the action's own tables, and nothing else.

use std::collections::BTreeMap;

use datafusion::{
    common::{DataFusionError, tree_node::TreeNodeRecursion},
    execution::context::SQLOptions,
    logical_expr::LogicalPlan,
    sql::{
        parser::{DFParser, Statement},
        sqlparser::ast::Statement as SqlStatement,
    },
};

use crate::{Error, ErrorKind, error::planning, prepared::Table};

/// Checks that the text is one query, before anything is planned.
pub(crate) fn one_query(sql: &str) -> Result<(), Error> {
    let statements = DFParser::parse_sql(sql).map_err(planning)?;
    match statements.len() {
        0 => return Err(Error::new(ErrorKind::InvalidSql, "the SQL is empty")),
        1 => {}
        count => return Err(not_allowed(&format!("{count} statements; write one"))),
    }
    match statements.front() {
        Some(Statement::Statement(statement)) => match statement.as_ref() {
            SqlStatement::Query(_) => Ok(()),
            other => Err(not_allowed(&format!(
                "`{}` statements",
                keyword(&other.to_string())
            ))),
        },
        Some(other) => Err(not_allowed(&format!(
            "`{}` statements",
            keyword(&other.to_string())
        ))),
        None => Ok(()),
    }
}

/// Checks a plan: no change of anything, no table but the declared ones.
pub(crate) fn verify(plan: &LogicalPlan, tables: &BTreeMap<String, Table>) -> Result<(), Error> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
        .map_err(|_error| not_allowed("changes to data, schemas or settings"))?;
    let mut found = Ok(());
    let walked = plan.apply_with_subqueries(|node| {
        if let Some(what) = forbidden(node, tables) {
            found = Err(not_allowed(&what));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.and(
        walked
            .map(drop)
            .map_err(|error: DataFusionError| planning(error)),
    )
}

fn forbidden(node: &LogicalPlan, tables: &BTreeMap<String, Table>) -> Option<String> {
    match node {
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.table();
            let own = scan
                .table_name
                .schema()
                .is_none_or(|schema| schema == "public")
                && tables.contains_key(name);
            (!own).then(|| {
                format!(
                    "reading `{}`, which is not declared under [tables]",
                    scan.table_name
                )
            })
        }
        LogicalPlan::RecursiveQuery(_) => Some("recursive queries".to_owned()),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => {
            Some("EXPLAIN and DESCRIBE".to_owned())
        }
        LogicalPlan::Ddl(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::Statement(_) => Some("changes to data, schemas or settings".to_owned()),
        LogicalPlan::Extension(_) => Some("extensions of the engine".to_owned()),
        _ => None,
    }
}

fn not_allowed(what: &str) -> Error {
    Error::new(
        ErrorKind::NotAllowed,
        format!("not allowed in an action: {what}"),
    )
}

/// The first word of a statement.
fn keyword(statement: &str) -> String {
    statement
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::one_query;
    use crate::ErrorKind;

    #[test]
    fn only_one_query_passes() {
        assert!(one_query("SELECT 1").is_ok());
        assert!(one_query("WITH a AS (SELECT 1 AS x) SELECT * FROM a;").is_ok());
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
        ] {
            let kind = one_query(sql).unwrap_err().kind();
            assert!(
                matches!(kind, ErrorKind::NotAllowed | ErrorKind::InvalidSql),
                "{sql}: {kind:?}"
            );
        }
    }

    #[test]
    fn what_is_no_sql_is_said() {
        assert_eq!(
            one_query("SELEC 1").unwrap_err().kind(),
            ErrorKind::InvalidSql
        );
        assert_eq!(one_query("").unwrap_err().kind(), ErrorKind::InvalidSql);
    }
}
