//! Makes a case smaller for as long as its answer stays wrong.

use std::collections::BTreeSet;

use crate::{
    check::Case,
    engine::Engines,
    query::{Condition, From, Piece, Query},
    table::{Part, Table},
    value::Value,
    way::{Declares, Division, Encoded, Packed, Way},
};

/// Smaller cases that are tried.
const MOST_TRIES: usize = 300;

/// The smallest case that is found, which still fails.
///
/// It fails in the same manner: another fault that is met on the way is not followed.
pub(crate) async fn shrink(engines: &Engines, case: &Case, what: &str) -> Case {
    let mut smallest = case.clone();
    let mut tries = 0;
    loop {
        let mut changed = false;
        for smaller in smaller(&smallest) {
            tries += 1;
            if tries > MOST_TRIES {
                return smallest;
            }
            if !smaller.way.holds(&smaller.table) {
                continue;
            }
            let difference = smaller.difference(engines).await;
            if difference.is_some_and(|difference| difference.what == what) {
                smallest = smaller;
                changed = true;
                break;
            }
        }
        if !changed {
            return smallest;
        }
    }
}

/// Cases with something less, those that are much smaller first.
fn smaller(case: &Case) -> Vec<Case> {
    let tables = tables(&case.table).into_iter().map(|table| Case {
        table,
        ..case.clone()
    });
    let queries = queries(&case.query).into_iter().map(|query| Case {
        query,
        ..case.clone()
    });
    let ways = ways(&case.way).into_iter().map(|way| Case {
        way,
        ..case.clone()
    });
    let mut all: Vec<Case> = tables.chain(queries).chain(ways).collect();
    let used = case.query.columns();
    for place in (1..case.table.columns.len()).rev() {
        if !used.contains(&place) {
            all.extend(without_column(case, place));
        }
    }
    all
}

fn tables(table: &Table) -> Vec<Table> {
    let mut all = Vec::new();
    let with = |place: usize, part: Part| {
        let mut table = table.clone();
        table.parts[place] = part;
        table
    };
    for place in 0..table.parts.len() {
        if table.parts.len() > 1 {
            let mut fewer = table.clone();
            fewer.parts.remove(place);
            all.push(fewer);
        }
    }
    for (place, part) in table.parts.iter().enumerate() {
        let count = part.rows.len();
        if count > 3 {
            for rows in [&part.rows[..count / 2], &part.rows[count / 2..]] {
                let rows = rows.to_vec();
                all.push(with(
                    place,
                    Part {
                        rows,
                        ..part.clone()
                    },
                ));
            }
        } else {
            for row in 0..count {
                let mut part = part.clone();
                part.rows.remove(row);
                all.push(with(place, part));
            }
        }
    }
    all.retain(|table| table.parts.iter().any(|part| !part.rows.is_empty()));
    all
}

fn queries(query: &Query) -> Vec<Query> {
    let mut all = Vec::new();
    if let Some(condition) = &query.condition {
        let without = |condition| Query {
            condition,
            ..query.clone()
        };
        all.push(without(None));
        let parts = condition.smaller().into_iter();
        all.extend(parts.map(|condition| without(Some(condition))));
    }
    let plain = [
        Query {
            limit: None,
            offset: None,
            ..query.clone()
        },
        Query {
            offset: None,
            ..query.clone()
        },
        Query {
            order: Vec::new(),
            ..query.clone()
        },
        Query {
            having: None,
            ..query.clone()
        },
        Query {
            distinct: false,
            ..query.clone()
        },
    ];
    all.extend(plain.into_iter().filter(|plain| plain != query));
    for place in query.groups.unwrap_or_default()..query.items.len() {
        let in_order = query.order.iter().any(|order| order.item == place);
        if query.items.len() > 1 && !in_order {
            let mut fewer = query.clone();
            fewer.items.remove(place);
            for order in &mut fewer.order {
                order.item -= usize::from(order.item > place);
            }
            all.push(fewer);
        }
    }
    all
}

fn ways(way: &Way) -> Vec<Way> {
    let all = [
        Way {
            compression: Packed::Plain,
            ..way.clone()
        },
        Way {
            encoding: Encoded::Utf8,
            ..way.clone()
        },
        Way {
            piece_bytes: usize::MAX,
            ..way.clone()
        },
        Way {
            engine: 0,
            ..way.clone()
        },
        Way {
            hot: None,
            ..way.clone()
        },
        Way {
            params: false,
            ..way.clone()
        },
        Way {
            files: Division::One,
            ..way.clone()
        },
        Way {
            declares: Declares::Needed,
            ..way.clone()
        },
        Way {
            spelling: 0,
            ..way.clone()
        },
    ];
    all.into_iter().filter(|smaller| smaller != way).collect()
}

/// Without a column that the query does not name.
fn without_column(case: &Case, column: usize) -> Option<Case> {
    let mut case = case.clone();
    // All columns are asked for by a query of its own, which names them.
    let table = &mut case.table;
    if table.partition == Some(column) {
        return None;
    }
    table.partition = table
        .partition
        .map(|place| place - usize::from(place > column));
    table.columns.remove(column);
    for part in &mut table.parts {
        let places = part.lacks.iter().filter(|place| **place != column);
        part.lacks = places
            .map(|place| place - usize::from(*place > column))
            .collect::<BTreeSet<_>>();
        for row in &mut part.rows {
            let _: Value = row.remove(column);
        }
    }
    renumber(&mut case.query, column);
    if let Some(index) = &mut case.way.hot {
        index.retain(|place| *place != column);
        for place in index {
            *place -= usize::from(*place > column);
        }
    }
    Some(case)
}

fn renumber(query: &mut Query, column: usize) {
    let pieces = query.items.iter_mut().chain(&mut query.having);
    for piece in pieces {
        renumber_piece(piece, column);
    }
    if let Some(condition) = &mut query.condition {
        renumber_condition(condition, column);
    }
    if let From::Join { by, .. } = &mut query.from {
        *by -= usize::from(*by > column);
    }
}

fn renumber_condition(condition: &mut Condition, column: usize) {
    match condition {
        Condition::One(piece) => renumber_piece(piece, column),
        Condition::Not(one) | Condition::Unknown(one) => renumber_condition(one, column),
        Condition::And(left, right) | Condition::Or(left, right) => {
            renumber_condition(left, column);
            renumber_condition(right, column);
        }
    }
}

fn renumber_piece(piece: &mut Piece, column: usize) {
    for mark in ['@', '&', '#'] {
        let words =
            piece
                .sql
                .split(mark)
                .enumerate()
                .map(|(place, word)| match word.parse::<usize>() {
                    Ok(number) if place % 2 == 1 => {
                        (number - usize::from(number > column)).to_string()
                    }
                    _ => word.to_owned(),
                });
        piece.sql = words.collect::<Vec<_>>().join(&mark.to_string());
    }
}
