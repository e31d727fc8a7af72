//! Whether a way of reading a table answers a query as it must.
//!
//! What must be answered comes from the plain way: one Arrow file, one thread, and the conditions as a column of the answer, so
//! that nothing can be ruled out before it is read. The order, the limit and the choice of rows are then applied here.

use std::collections::BTreeMap;

use flowlake_transform::ErrorKind;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Answer, Engines, Placed, Refusal},
    query::{Condition, Query, Values},
    table::Table,
    value::same,
    way::Way,
};

/// Stands for the condition until it is written.
const MARK: &str = "__condition__";

/// A table, a way and a query whose answer is wrong. It is kept in `regressions/` and asked again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The table.
    pub table: Table,
    /// How it is written and read.
    pub way: Way,
    /// What is asked.
    pub query: Query,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In one sentence.
    pub what: String,
    /// What was expected, a row a line.
    pub expected: String,
    /// What came.
    pub found: String,
}

/// The outcome of one comparison.
#[derive(Debug)]
pub(crate) enum Outcome {
    Same,
    /// Neither way answers, for the same kind of reason.
    Refused(String),
    Different(Difference),
}

/// What the plain way answers.
pub(crate) struct Reference<'a> {
    table: &'a Table,
    placed: Placed<'a>,
    whole: Vec<Vec<String>>,
}

impl<'a> Reference<'a> {
    pub(crate) async fn new(engines: &'a Engines, table: &'a Table, plain: &'a Way) -> Self {
        Self {
            table,
            placed: engines.place(table, plain).await,
            whole: table.answer(),
        }
    }

    /// For each condition, the rows for which it is true, false and unknown.
    pub(crate) async fn conditions(
        &self,
        all: &[Condition],
    ) -> Result<Vec<[Vec<String>; 3]>, Refusal> {
        let conditions = all.iter().enumerate().map(|(place, condition)| {
            let from = &crate::query::From::Table;
            let sql = condition.write(self.table, from, &mut Values::Literal);
            format!(", ({sql}) AS p{place}")
        });
        let conditions: String = conditions.collect();
        let sql = format!("SELECT id{conditions} FROM t");
        let answer = self.placed.ask(&sql, &[]).await?;
        let of = |place: usize, wanted: &str| {
            let rows = answer.rows.iter().filter(|row| row[place + 1] == wanted);
            rows.map(|row| row[0].clone()).collect()
        };
        let places = 0..all.len();
        Ok(places
            .map(|place| ["true", "false", "null"].map(|wanted| of(place, wanted)))
            .collect())
    }

    /// The answer to a query.
    pub(crate) async fn expected(&self, query: &Query) -> Result<Expected, Refusal> {
        if *query == Query::all(self.table) {
            return Ok(Expected::of(self.whole.clone()));
        }
        let unlimited = Query {
            limit: None,
            offset: None,
            ..query.clone()
        };
        let over = "(SELECT * FROM t LIMIT 1000000)";
        // The engine has no subquery in a column of the answer.
        let can_be_a_column = |condition: &&Condition| {
            let mut pieces = condition.pieces().into_iter();
            query.is_of_rows() && pieces.all(|piece| !piece.sql.contains("SELECT"))
        };
        let Some(condition) = query.condition.as_ref().filter(can_be_a_column) else {
            let sql = unlimited.sql_over(self.table, over, &mut Values::Literal);
            let answer = self.placed.ask(&sql, &[]).await?;
            return Ok(Expected::of(answer.rows));
        };
        let mut marked = Query {
            condition: None,
            ..unlimited
        };
        let sql = condition.write(self.table, &query.from, &mut Values::Literal);
        marked.items.push(crate::query::Piece {
            sql: MARK.to_owned(),
            values: Vec::new(),
        });
        let sql = marked
            .sql_over(self.table, over, &mut Values::Literal)
            .replacen(MARK, &format!("({sql})"), 1);
        let answer = self.placed.ask(&sql, &[]).await?;
        let chosen = answer.rows.into_iter().filter_map(|mut row| {
            let holds = row.pop()?;
            (holds == "true").then_some(row)
        });
        Ok(Expected::of(chosen.collect()))
    }
}

/// The rows that a query without its limit answers.
#[derive(Debug)]
pub(crate) struct Expected {
    rows: Vec<Vec<String>>,
}

impl Expected {
    pub(crate) const fn of(rows: Vec<Vec<String>>) -> Self {
        Self { rows }
    }
}

/// Asks a placed table, and compares.
pub(crate) async fn compare(
    placed: &Placed<'_>,
    (table, way): (&Table, &Way),
    query: &Query,
    expected: &Result<Expected, Refusal>,
) -> Outcome {
    let mut params = Vec::new();
    let mut values = if way.params {
        Values::Params(&mut params)
    } else {
        Values::Literal
    };
    let sql = query.sql(table, &mut values);
    let found = placed.ask(&sql, &params).await;
    let malformed = |refusal: &Refusal| refusal.kind == Some(ErrorKind::MalformedData);
    if found.as_ref().is_err_and(malformed) && way.may_be_refused(table) {
        return Outcome::Same;
    }
    judge(query, expected, &found)
}

fn judge(
    query: &Query,
    expected: &Result<Expected, Refusal>,
    found: &Result<Answer, Refusal>,
) -> Outcome {
    let different = |what: &str, expected: String, found: String| {
        Outcome::Different(Difference {
            what: what.to_owned(),
            expected,
            found,
        })
    };
    let refusal = |refusal: &Refusal| {
        let kind = refusal
            .kind
            .map_or_else(String::new, |kind| format!("{kind:?}: "));
        format!("{kind}{}", refusal.message)
    };
    match (expected, found) {
        (_, Err(found)) if found.kind == Some(ErrorKind::Internal) => {
            different("an internal error", String::new(), refusal(found))
        }
        (Err(expected), _) if expected.kind == Some(ErrorKind::Internal) => different(
            "an internal error of the plain way",
            String::new(),
            refusal(expected),
        ),
        (Err(expected), Err(_)) => Outcome::Refused(refusal(expected)),
        (Err(expected), Ok(found)) => different(
            "answered, although the plain way refuses",
            refusal(expected),
            lines(&found.rows),
        ),
        (Ok(expected), Err(found)) => different(
            "refused, although the plain way answers",
            lines(&expected.rows),
            refusal(found),
        ),
        (Ok(expected), Ok(found)) => match differ(query, &expected.rows, &found.rows) {
            None => Outcome::Same,
            Some(what) => {
                let expected = window(query, &expected.rows);
                different(what, lines(expected), lines(&found.rows))
            }
        },
    }
}

/// The rows that the limit leaves.
fn window<'a>(query: &Query, rows: &'a [Vec<String>]) -> &'a [Vec<String>] {
    let start = query.offset.unwrap_or_default().min(rows.len());
    let most = query.limit.unwrap_or(usize::MAX);
    &rows[start..start + most.min(rows.len() - start)]
}

/// What differs, if anything.
fn differ(query: &Query, all: &[Vec<String>], found: &[Vec<String>]) -> Option<&'static str> {
    let window = window(query, all);
    if window.len() != found.len() {
        return Some("another number of rows");
    }
    if query.is_ordered() {
        let equal = window.iter().zip(found).all(|(a, b)| same_row(a, b));
        return (!equal).then_some("other rows, or in another order");
    }
    // Of rows that are equal in what they are ordered by, any may come first, and any may be left out.
    let keys = |row: &[String]| -> Vec<String> {
        let keys = query.order.iter().map(|order| row[order.item].clone());
        keys.collect()
    };
    let in_order = window.iter().zip(found).all(|(a, b)| keys(a) == keys(b));
    if !in_order {
        return Some("rows in another order");
    }
    let whole = query.limit.is_none() && query.offset.is_none();
    (!(whole && same_rows(window, found) || !whole && has_rows(all, found))).then_some("other rows")
}

fn same_row(left: &[String], right: &[String]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
}

fn sorted(rows: &[Vec<String>]) -> Vec<&Vec<String>> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort();
    rows
}

fn same_rows(left: &[Vec<String>], right: &[Vec<String>]) -> bool {
    let pairs = sorted(left).into_iter().zip(sorted(right));
    pairs.into_iter().all(|(a, b)| same_row(a, b))
}

/// Whether all of `some` are among `all`, as often as they are there.
fn has_rows(all: &[Vec<String>], some: &[Vec<String>]) -> bool {
    let mut left: BTreeMap<&Vec<String>, usize> = BTreeMap::new();
    for row in all {
        *left.entry(row).or_default() += 1;
    }
    some.iter().all(|row| {
        let count = left.get_mut(row);
        count.is_some_and(|count| {
            let is_left = *count > 0;
            *count = count.saturating_sub(1);
            is_left
        })
    })
}

/// Rows a line each, as many as one looks at.
fn lines(rows: &[Vec<String>]) -> String {
    let mut lines: Vec<String> = rows.iter().take(20).map(|row| row.join(" | ")).collect();
    if rows.len() > lines.len() {
        lines.push(format!("… {} rows", rows.len()));
    }
    lines.join("\n")
}

impl Case {
    /// What is wrong with the answer, if anything still is. Asked a few times, since some faults depend on which thread is first.
    pub(crate) async fn difference(&self, engines: &Engines) -> Option<Difference> {
        let plain = Way::plain();
        let reference = Reference::new(engines, &self.table, &plain).await;
        let expected = reference.expected(&self.query).await;
        let placed = engines.place(&self.table, &self.way).await;
        for _ in 0..3 {
            let outcome = compare(&placed, (&self.table, &self.way), &self.query, &expected).await;
            if let Outcome::Different(difference) = outcome {
                return Some(difference);
            }
        }
        None
    }

    /// The action that asks, and the files that it reads.
    pub(crate) async fn shown(&self, engines: &Engines) -> String {
        let mut params = Vec::new();
        let mut values = if self.way.params {
            Values::Params(&mut params)
        } else {
            Values::Literal
        };
        let sql = self.query.sql(&self.table, &mut values);
        let placed = engines.place(&self.table, &self.way).await;
        placed.shown(&sql, &params)
    }
}
