//! A run of many tables and queries, and what it finds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use flowlake_transform::Error;
use futures::{StreamExt, stream};

use crate::{
    check::{Case, Difference, Expected, Outcome, Reference, compare},
    dice::Dice,
    engine::{Engines, Placed},
    query::{Condition, From, Queries, Query},
    shrink::shrink,
    surprise,
    table::Table,
    value::Value,
    way::Way,
};

/// Conditions, queries and ways of one table.
const CONDITIONS: usize = 10;
const VALUES: usize = 4;
const QUERIES: usize = 12;
const WAYS: usize = 6;
const SURPRISES: usize = 4;
/// One table in this many has lists or objects too.
const NESTED_ONCE_IN: usize = 4;
/// Findings of one table that are made smaller and kept: more are mostly the same one.
const MOST_OF_A_TABLE: usize = 3;
/// One table in this many is a large one, of which less is asked.
const LARGE_ONCE_IN: u64 = 400;

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The first table's seed; the next table has the next.
    pub seed: u64,
    /// Queries that are answered and compared, at least, unless there are no more tables.
    pub queries: u64,
    /// Tables, at most: with the seed, a run's share of a longer one.
    pub tables: u64,
    /// Tables that are worked on side by side, each by one thread at a time.
    pub at_a_time: usize,
    /// Findings after which no new table is begun.
    pub most_findings: usize,
}

/// A wrong answer.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The table's seed: a run with it and one query meets the table again.
    pub seed: u64,
    /// The smallest case that was found; none where there is no query to keep.
    pub case: Option<Case>,
    /// What is wrong.
    pub difference: Difference,
    /// What was asked, and of what.
    pub shown: String,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    /// Answers that were compared.
    pub queries: u64,
    /// Runs of an engine, those of the plain way among them.
    pub runs: u64,
    /// Runs over tables in memory that an index answered, without planning.
    pub direct: u64,
    /// Tables.
    pub tables: u64,
    /// The seed of the first table, and the first one that was not finished: a run with it goes on here.
    pub seeds: (u64, u64),
    /// Queries that no way answers, by their error.
    pub refused: BTreeMap<String, u64>,
    /// Wrong answers.
    pub findings: Vec<Finding>,
}

/// Runs until enough queries were compared, or `stop` is done; `watch` sees the report after each table.
///
/// # Errors
/// When no engine can be built.
pub async fn run(
    settings: &Settings,
    stop: impl Future<Output = ()>,
    mut watch: impl FnMut(&Report),
) -> Result<Report, Error> {
    let engines = Arc::new(Engines::new()?);
    let mut report = Report {
        seeds: (settings.seed, settings.seed),
        ..Report::default()
    };
    let mut stop = std::pin::pin!(stop);
    let tables = (0..settings.tables).map(|number| {
        let engines = Arc::clone(&engines);
        let seed = settings.seed.wrapping_add(number);
        async move { (seed, tokio::spawn(table(engines, seed)).await) }
    });
    // Seeds that were finished before one in front of them.
    let mut ahead = BTreeSet::new();
    let mut tables = std::pin::pin!(stream::iter(tables).buffer_unordered(settings.at_a_time));
    while report.queries < settings.queries && report.findings.len() < settings.most_findings {
        let next = tokio::select! {
            biased;
            () = &mut stop => None,
            next = tables.next() => next,
        };
        let Some((seed, done)) = next else {
            break;
        };
        // A panic inside the engine is caught by it; any other is one of these tests.
        let done = done.expect("a table is worked on to its end");
        report.tables += 1;
        ahead.insert(seed);
        while ahead.remove(&report.seeds.1) {
            report.seeds.1 = report.seeds.1.wrapping_add(1);
        }
        report.queries += done.queries;
        report.findings.extend(done.findings);
        for (message, count) in done.refused {
            *report.refused.entry(message).or_default() += count;
        }
        report.runs = engines.runs.load(Relaxed);
        report.direct = engines.direct.load(Relaxed);
        watch(&report);
    }
    Ok(report)
}

/// Asks a kept case again; what is wrong with its answer, if anything.
///
/// # Errors
/// When no engine can be built.
pub async fn again(case: &Case) -> Result<Option<Difference>, Error> {
    Ok(case.difference(&Engines::new()?).await)
}

/// What is known of a table while it is worked on.
#[derive(Debug)]
struct Work {
    engines: Arc<Engines>,
    seed: u64,
    report: Report,
    known: BTreeSet<String>,
}

async fn table(engines: Arc<Engines>, seed: u64) -> Report {
    let mut dice = Dice::new(seed);
    let large = seed % LARGE_ONCE_IN == LARGE_ONCE_IN - 1;
    let mut table = if large {
        Table::generate_large(&mut dice)
    } else {
        Table::generate(&mut dice)
    };
    if !large && dice.once_in(NESTED_ONCE_IN) {
        table.add_nested(&mut dice);
    }
    let share = if large { 4 } else { 1 };
    let mut work = Work {
        engines: Arc::clone(&engines),
        seed,
        report: Report::default(),
        known: BTreeSet::new(),
    };
    let plain = Way::plain();
    let reference = Reference::new(&engines, &table, &plain).await;
    let mut conditions = Vec::new();
    for _ in 0..CONDITIONS / share {
        let mut queries = Queries {
            table: &table,
            dice: &mut dice,
        };
        let condition = queries.condition();
        // The same SQL with other values, where values are parameters.
        for _ in 1..VALUES {
            conditions.push(with_values(&condition, &table, &mut dice));
        }
        conditions.push(condition);
    }
    let known = reference.conditions(&conditions).await;
    let mut queries = vec![Query::all(&table)];
    for _ in 0..QUERIES / share {
        let mut make = Queries {
            table: &table,
            dice: &mut dice,
        };
        let query = make.query();
        // Of a large table, millions of rows would be joined.
        if !large || query.from == From::Table {
            queries.push(query);
        }
    }
    let mut expected = Vec::new();
    for query in &queries {
        expected.push(reference.expected(query).await);
    }
    work.meet(&reference, &table).await;
    for _ in 0..WAYS / share {
        if work.report.findings.len() >= MOST_OF_A_TABLE {
            break;
        }
        let way = Way::generate(&mut dice, &table);
        let placed = engines.place(&table, &way).await;
        for (query, expected) in queries.iter().zip(&expected) {
            work.compare(&placed, (&table, &way), query, expected).await;
        }
        // A table in memory keeps the plan of a query for the next values.
        let step = if way.hot.is_some() { 1 } else { VALUES / 2 };
        for (place, condition) in conditions.iter().enumerate().skip(step - 1).step_by(step) {
            let which = dice.below(4) % 3;
            let asked = match which {
                0 => condition.clone(),
                1 => Condition::Not(Box::new(condition.clone())),
                _ => Condition::Unknown(Box::new(condition.clone())),
            };
            let rows = |all: &Vec<[Vec<String>; 3]>| {
                let rows = all[place][which].iter();
                Expected::of(rows.map(|id| vec![id.clone()]).collect())
            };
            let expected = known.as_ref().map(rows).map_err(Clone::clone);
            let query = Query::ids(asked);
            work.compare(&placed, (&table, &way), &query, &expected)
                .await;
        }
    }
    for _ in 0..SURPRISES {
        work.report.queries += 1;
        let (shown, difference) = surprise::check(&engines, &mut dice).await;
        work.report
            .findings
            .extend(difference.map(|difference| Finding {
                seed,
                case: None,
                difference,
                shown,
            }));
    }
    work.report
}

impl Work {
    /// The plain way itself, against the table as it is meant.
    async fn meet(&mut self, reference: &Reference<'_>, table: &Table) {
        let expected = reference.expected(&Query::all(table)).await;
        let plain = Way::plain();
        let placed = Arc::clone(&self.engines);
        let placed = placed.place(table, &plain).await;
        self.compare(&placed, (table, &plain), &Query::all(table), &expected)
            .await;
    }

    async fn compare(
        &mut self,
        placed: &Placed<'_>,
        (table, way): (&Table, &Way),
        query: &Query,
        expected: &Result<Expected, crate::engine::Refusal>,
    ) {
        self.report.queries += 1;
        let difference = match compare(placed, (table, way), query, expected).await {
            Outcome::Same => return,
            Outcome::Refused(message) => {
                *self.report.refused.entry(message).or_default() += 1;
                return;
            }
            Outcome::Different(difference) => difference,
        };
        // One query that is answered wrongly in one manner by many ways is one finding.
        let key = format!("{query:?} {}", difference.what);
        if !self.known.insert(key) || self.report.findings.len() >= MOST_OF_A_TABLE {
            return;
        }
        let case = Case {
            table: table.clone(),
            way: way.clone(),
            query: query.clone(),
        };
        let smallest = shrink(&self.engines, &case, &difference.what).await;
        let difference = smallest
            .difference(&self.engines)
            .await
            .unwrap_or(difference);
        self.report.findings.push(Finding {
            seed: self.seed,
            shown: smallest.shown(&self.engines).await,
            case: Some(smallest),
            difference,
        });
    }
}

/// A condition with other values of the same kinds.
fn with_values(condition: &Condition, table: &Table, dice: &mut Dice) -> Condition {
    let mut changed = condition.clone();
    replace(&mut changed, table, dice);
    changed
}

fn replace(condition: &mut Condition, table: &Table, dice: &mut Dice) {
    match condition {
        Condition::One(piece) => {
            for value in &mut piece.values {
                replace_value(value, table, dice);
            }
        }
        Condition::Not(one) | Condition::Unknown(one) => replace(one, table, dice),
        Condition::And(left, right) | Condition::Or(left, right) => {
            replace(left, table, dice);
            replace(right, table, dice);
        }
    }
}

fn replace_value(value: &mut Value, table: &Table, dice: &mut Dice) {
    if let Value::Many(values) = value {
        for value in values {
            replace_value(value, table, dice);
        }
        return;
    }
    let Some(kind) = value.kind() else { return };
    let places = table.places_of(|other| other == kind);
    let known: Vec<&Value> = places
        .iter()
        .flat_map(|place| table.values(*place))
        .collect();
    if !known.is_empty() {
        *value = (*dice.one(&known)).clone();
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            what,
            expected,
            found,
        } = &self.difference;
        writeln!(formatter, "seed={}: {what}", self.seed)?;
        writeln!(formatter, "{}", self.shown)?;
        writeln!(formatter, "--- expected\n{expected}\n--- found\n{found}")?;
        if let Some(case) = &self.case {
            let case = serde_json::to_string(case).map_err(|_| fmt::Error)?;
            writeln!(
                formatter,
                "--- to keep it, in tests/differential/regressions/\n{case}"
            )?;
        }
        Ok(())
    }
}

impl Report {
    /// Counts, and the errors of what is refused.
    #[must_use]
    pub fn summary(&self) -> String {
        let refused: u64 = self.refused.values().sum();
        let mut text = format!(
            "{} queries over {} tables (from seed={}, to go on with seed={}) compared in {} runs, {} of them without planning; {refused} refused by all ways, {} findings",
            self.queries,
            self.tables,
            self.seeds.0,
            self.seeds.1,
            self.runs,
            self.direct,
            self.findings.len()
        );
        for (message, count) in &self.refused {
            let _ = write!(text, "\nrefused {count} times: {message}");
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.summary())?;
        for finding in &self.findings {
            writeln!(formatter, "\n{finding}")?;
        }
        Ok(())
    }
}
