//! Queries over a generated table, as trees that can be made smaller.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{
    dice::Dice,
    table::Table,
    value::{Kind, Value},
};

/// A piece of SQL: `@2@` stands for column 2, `&2&` for that of the second table of a join, `#2#` for its bare name, and each
/// `{}` for the next value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// The text.
    pub sql: String,
    /// The values.
    #[serde(default)]
    pub values: Vec<Value>,
}

/// A condition of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// One that has no parts.
    One(Piece),
    /// The contrary.
    Not(Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// One of both, or both.
    Or(Box<Self>, Box<Self>),
    /// Whether it is unknown.
    Unknown(Box<Self>),
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The table.
    Table,
    /// The table joined with itself by a column.
    Join {
        /// `JOIN`, `LEFT JOIN` and so on.
        kind: String,
        /// The column's place.
        by: usize,
    },
}

/// What rows are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The place of an item.
    pub item: usize,
    /// ` DESC`, ` NULLS FIRST` and so on.
    pub how: String,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// What is selected; column `cN` is item N.
    pub items: Vec<Piece>,
    /// What is read.
    pub from: From,
    /// Which rows.
    pub condition: Option<Condition>,
    /// The first items by which rows are grouped; `None` when they are not.
    pub groups: Option<usize>,
    /// Which groups.
    pub having: Option<Piece>,
    /// Whether equal rows are one.
    pub distinct: bool,
    /// What rows are ordered by.
    pub order: Vec<Order>,
    /// Most rows.
    pub limit: Option<usize>,
    /// Rows left out before.
    pub offset: Option<usize>,
}

/// How values get into SQL.
#[derive(Debug)]
pub(crate) enum Values<'a> {
    Literal,
    /// As parameters where there is a type for them, which are added here.
    Params(&'a mut Vec<Value>),
}

/// A name as SQL has to write it.
pub(crate) fn quoted(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain && !["select", "user", "order"].contains(&name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

impl Piece {
    fn new(sql: impl Into<String>, values: Vec<Value>) -> Self {
        Self {
            sql: sql.into(),
            values,
        }
    }

    /// A column by itself.
    pub(crate) fn column(place: usize) -> Self {
        Self::new(format!("@{place}@"), Vec::new())
    }

    /// The places of the columns that it names.
    pub(crate) fn columns(&self) -> Vec<usize> {
        let words = ['@', '&', '#'].iter().flat_map(|mark| {
            let parts = self.sql.split(*mark).skip(1).step_by(2);
            parts.filter_map(|place| place.parse().ok())
        });
        words.collect()
    }

    fn write(&self, table: &Table, from: &From, values: &mut Values<'_>, out: &mut String) {
        let mut rest = self.sql.as_str();
        let mut own = self.values.iter();
        while let Some(at) = rest.find(['@', '&', '#', '{']) {
            out.push_str(&rest[..at]);
            let mark = &rest[at..=at];
            let after = &rest[at + 1..];
            if mark == "{" {
                if let Some(value) = own.next() {
                    out.push_str(&written(value, values));
                }
                rest = after.strip_prefix('}').unwrap_or(after);
                continue;
            }
            let (place, behind) = after.split_once(mark).unwrap_or((after, ""));
            let place: usize = place.parse().unwrap_or_default();
            let name = quoted(&table.columns[place].name);
            let prefix = match (mark, from) {
                ("@", From::Join { .. }) => "l.",
                ("&", _) => "r.",
                _ => "",
            };
            let _ = write!(out, "{prefix}{name}");
            rest = behind;
        }
        out.push_str(rest);
    }
}

fn written(value: &Value, values: &mut Values<'_>) -> String {
    match values {
        Values::Params(params) if value.kind().is_some_and(|kind| kind.param().is_some()) => {
            params.push(value.clone());
            format!("$p{}", params.len() - 1)
        }
        _ => value.sql(),
    }
}

impl Condition {
    pub(crate) fn pieces(&self) -> Vec<&Piece> {
        match self {
            Self::One(piece) => vec![piece],
            Self::Not(one) | Self::Unknown(one) => one.pieces(),
            Self::And(left, right) | Self::Or(left, right) => {
                [left.pieces(), right.pieces()].concat()
            }
        }
    }

    /// Conditions with a part less.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        match self {
            Self::One(_) => Vec::new(),
            Self::Not(one) => {
                let inside = one.smaller().into_iter();
                let mut all = vec![one.as_ref().clone()];
                all.extend(inside.map(|one| Self::Not(Box::new(one))));
                all
            }
            Self::Unknown(one) => {
                let inside = one.smaller().into_iter();
                inside.map(|one| Self::Unknown(Box::new(one))).collect()
            }
            Self::And(left, right) | Self::Or(left, right) => {
                let both = |left, right| match self {
                    Self::And(..) => Self::And(left, right),
                    _ => Self::Or(left, right),
                };
                let mut all = vec![left.as_ref().clone(), right.as_ref().clone()];
                all.extend(
                    left.smaller()
                        .into_iter()
                        .map(|left| both(Box::new(left), right.clone())),
                );
                all.extend(
                    right
                        .smaller()
                        .into_iter()
                        .map(|right| both(left.clone(), Box::new(right))),
                );
                all
            }
        }
    }

    pub(crate) fn write(&self, table: &Table, from: &From, values: &mut Values<'_>) -> String {
        let mut out = String::new();
        self.write_into(table, from, values, &mut out);
        out
    }

    fn write_into(&self, table: &Table, from: &From, values: &mut Values<'_>, out: &mut String) {
        let mut joined = |left: &Self, word: &str, right: &Self| {
            out.push('(');
            left.write_into(table, from, values, out);
            out.push_str(word);
            right.write_into(table, from, values, out);
            out.push(')');
        };
        match self {
            Self::One(piece) => piece.write(table, from, values, out),
            Self::And(left, right) => joined(left, " AND ", right),
            Self::Or(left, right) => joined(left, " OR ", right),
            Self::Not(one) => {
                out.push_str("NOT (");
                one.write_into(table, from, values, out);
                out.push(')');
            }
            Self::Unknown(one) => {
                out.push('(');
                one.write_into(table, from, values, out);
                out.push_str(") IS NULL");
            }
        }
    }
}

impl Query {
    /// All rows of the table with all columns, by `id`.
    pub(crate) fn all(table: &Table) -> Self {
        Self {
            items: (0..table.columns.len()).map(Piece::column).collect(),
            order: vec![Order {
                item: 0,
                how: String::new(),
            }],
            ..Self::of(vec![Piece::column(0)])
        }
    }

    /// The numbers of the rows for which the condition holds.
    pub(crate) fn ids(condition: Condition) -> Self {
        Self {
            condition: Some(condition),
            ..Self::of(vec![Piece::column(0)])
        }
    }

    const fn of(items: Vec<Piece>) -> Self {
        Self {
            items,
            from: From::Table,
            condition: None,
            groups: None,
            having: None,
            distinct: false,
            order: Vec::new(),
            limit: None,
            offset: None,
        }
    }

    /// Whether its rows are rows of the table, one for one.
    pub(crate) fn is_of_rows(&self) -> bool {
        self.from == From::Table && self.groups.is_none() && !self.distinct && !self.is_windowed()
    }

    fn is_windowed(&self) -> bool {
        self.items.iter().any(|item| item.sql.contains(" OVER "))
    }

    /// Whether the order of its rows is certain.
    pub(crate) fn is_ordered(&self) -> bool {
        let by_id = |order: &Order| self.items[order.item].sql == "@0@";
        self.is_of_rows() && self.order.iter().any(by_id)
    }

    pub(crate) fn pieces(&self) -> Vec<&Piece> {
        let mut all: Vec<&Piece> = self.items.iter().chain(&self.having).collect();
        all.extend(self.condition.iter().flat_map(Condition::pieces));
        all
    }

    pub(crate) fn columns(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self
            .pieces()
            .iter()
            .flat_map(|piece| piece.columns())
            .collect();
        if let From::Join { by, .. } = self.from {
            all.push(by);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The SQL over the table `t`.
    pub(crate) fn sql(&self, table: &Table, values: &mut Values<'_>) -> String {
        self.sql_over(table, "t", values)
    }

    /// The SQL over a table of that name, or a subquery.
    pub(crate) fn sql_over(&self, table: &Table, over: &str, values: &mut Values<'_>) -> String {
        let mut sql = "SELECT ".to_owned();
        if self.distinct {
            sql.push_str("DISTINCT ");
        }
        for (place, item) in self.items.iter().enumerate() {
            if place > 0 {
                sql.push_str(", ");
            }
            item.write(table, &self.from, values, &mut sql);
            let _ = write!(sql, " AS c{place}");
        }
        let _ = match &self.from {
            From::Table => write!(sql, " FROM {over}"),
            From::Join { kind, by } => {
                let name = quoted(&table.columns[*by].name);
                write!(sql, " FROM {over} l {kind} {over} r ON l.{name} = r.{name}")
            }
        };
        if let Some(condition) = &self.condition {
            sql.push_str(" WHERE ");
            condition.write_into(table, &self.from, values, &mut sql);
        }
        if let Some(groups) = self.groups.filter(|groups| *groups > 0) {
            sql.push_str(" GROUP BY ");
            let places: Vec<String> = (1..=groups).map(|place| place.to_string()).collect();
            sql.push_str(&places.join(", "));
        }
        if let Some(having) = &self.having {
            sql.push_str(" HAVING ");
            having.write(table, &self.from, values, &mut sql);
        }
        for (place, order) in self.order.iter().enumerate() {
            let word = if place == 0 { " ORDER BY" } else { "," };
            let _ = write!(sql, "{word} {}{}", order.item + 1, order.how);
        }
        for (word, count) in [("LIMIT", self.limit), ("OFFSET", self.offset)] {
            if let Some(count) = count {
                let _ = write!(sql, " {word} {count}");
            }
        }
        sql
    }
}

/// Makes queries over one table.
#[derive(Debug)]
pub(crate) struct Queries<'a> {
    pub(crate) table: &'a Table,
    pub(crate) dice: &'a mut Dice,
}

const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
const HOW: [&str; 5] = [
    "",
    " DESC",
    " NULLS FIRST",
    " DESC NULLS LAST",
    " ASC NULLS LAST",
];

impl Queries<'_> {
    /// A condition of a few parts.
    pub(crate) fn condition(&mut self) -> Condition {
        match self.dice.below(10) {
            0..=4 => self.one(),
            5 | 6 => Condition::And(Box::new(self.one()), Box::new(self.condition())),
            7 | 8 => Condition::Or(Box::new(self.one()), Box::new(self.condition())),
            _ => Condition::Not(Box::new(self.condition())),
        }
    }

    /// Rows whose value is among those of other rows.
    fn among(&mut self) -> Condition {
        let place = self.flat();
        let before = vec![Value::Integer(self.dice.between(0, 12))];
        let inner = if self.dice.once_in(2) {
            format!("@{place}@ IN (SELECT z.#{place}# FROM t z WHERE z.#0# < {{}})")
        } else {
            let name = format!("z.#{place}# = t.#{place}# AND z.#0# < {{}}");
            format!("EXISTS (SELECT 1 FROM t z WHERE {name})")
        };
        let inner = Condition::One(Piece::new(inner, before));
        match self.dice.below(3) {
            0 => Condition::Not(Box::new(inner)),
            1 => Condition::And(Box::new(inner), Box::new(self.one())),
            _ => inner,
        }
    }

    /// A column that can be compared, grouped and ordered by.
    fn flat(&mut self) -> usize {
        let places = self.table.places_of(|kind| !kind.is_nested());
        *self.dice.one(&places)
    }

    fn one(&mut self) -> Condition {
        let place = self.dice.below(self.table.columns.len());
        if self.table.columns[place].kind.is_nested() {
            return Condition::One(self.of_nested(place));
        }
        Condition::One(match self.dice.below(9) {
            0 => Piece::new(format!("@{place}@ IS NULL"), Vec::new()),
            1 => Piece::new(format!("@{place}@ IS NOT NULL"), Vec::new()),
            2 => self.by_two_columns(place),
            3 | 4 => self.of_any_kind(place),
            _ => self.of_kind(place),
        })
    }

    /// A value of the column, or one near it, or any of its kind.
    fn value(&mut self, place: usize) -> Value {
        let kind = self.table.columns[place].kind;
        let known: Vec<Value> = self.table.values(place).cloned().collect();
        let value = if known.is_empty() || self.dice.once_in(8) {
            match kind {
                Kind::Integer => Value::Integer(self.dice.between(-2, 12)),
                Kind::Float => Value::Float(0.5),
                Kind::Decimal => Value::Decimal(self.dice.between(0, 30_000)),
                Kind::String => Value::String("m".to_owned()),
                Kind::Boolean => Value::Boolean(true),
                Kind::Date => Value::Date(20_455),
                Kind::Timestamp => Value::Timestamp(20_455 * 86_400_000_000 + 500_000),
                Kind::Timestamptz => Value::Timestamptz(20_455 * 86_400_000_000 + 500_000),
                Kind::Integers | Kind::Object => Value::Null,
            }
        } else {
            self.dice.one(&known).clone()
        };
        match value {
            Value::Integer(number) if self.dice.once_in(4) => {
                Value::Integer(number.saturating_add(1).max(i64::MIN + 1))
            }
            Value::Timestamp(micros) if self.dice.once_in(3) => {
                Value::Timestamp(micros + [1, 500_000, -1, 1000][self.dice.below(4)])
            }
            Value::Timestamptz(micros) if self.dice.once_in(3) => {
                Value::Timestamptz(micros + [1, 500_000, -1, 1000][self.dice.below(4)])
            }
            other => other,
        }
    }

    fn of_any_kind(&mut self, place: usize) -> Piece {
        let (a, b, c) = (self.value(place), self.value(place), self.value(place));
        let comparison = *self.dice.one(&COMPARISONS);
        match self.dice.below(8) {
            0 | 1 => Piece::new(format!("@{place}@ {comparison} {{}}"), vec![a]),
            2 => Piece::new(format!("{{}} {comparison} @{place}@"), vec![a]),
            3 if self.dice.once_in(2) => Piece::new(
                format!("@{place}@ IN ({{}})"),
                vec![Value::Many(vec![a, b, c])],
            ),
            3 => Piece::new(format!("@{place}@ IN ({{}}, {{}}, {{}})"), vec![a, b, c]),
            4 => Piece::new(format!("@{place}@ NOT IN ({{}}, {{}})"), vec![a, b]),
            5 => Piece::new(format!("@{place}@ BETWEEN {{}} AND {{}}"), vec![a, b]),
            6 => Piece::new(format!("@{place}@ IS DISTINCT FROM {{}}"), vec![a]),
            _ => Piece::new(
                format!("coalesce(@{place}@, {{}}) {comparison} {{}}"),
                vec![a, b],
            ),
        }
    }

    fn by_two_columns(&mut self, place: usize) -> Piece {
        let kind = self.table.columns[place].kind;
        let is_number = |kind| matches!(kind, Kind::Integer | Kind::Float | Kind::Decimal);
        let others = self
            .table
            .places_of(|other| other == kind || is_number(other) && is_number(kind));
        let other = *self.dice.one(&others);
        let comparison = *self.dice.one(&COMPARISONS);
        if self.dice.once_in(4) {
            return Piece::new(format!("nullif(@{place}@, @{other}@) IS NULL"), Vec::new());
        }
        Piece::new(format!("@{place}@ {comparison} @{other}@"), Vec::new())
    }

    fn of_kind(&mut self, place: usize) -> Piece {
        let a = self.value(place);
        let comparison = *self.dice.one(&COMPARISONS);
        match self.table.columns[place].kind {
            Kind::Integer => match self.dice.below(4) {
                0 => Piece::new(format!("@{place}@ % 3 = 1"), Vec::new()),
                1 => Piece::new(format!("@{place}@ {comparison} 4.5"), Vec::new()),
                2 => Piece::new(
                    format!("CAST(@{place}@ AS VARCHAR) LIKE {{}}"),
                    vec![Value::String("%1%".to_owned())],
                ),
                _ => Piece::new(
                    format!("CASE WHEN @{place}@ > {{}} THEN 1 ELSE 0 END = 1"),
                    vec![a],
                ),
            },
            Kind::Float | Kind::Decimal => match self.dice.below(3) {
                0 => Piece::new(format!("@{place}@ {comparison} 7"), Vec::new()),
                1 => Piece::new(format!("@{place}@ * 2 {comparison} {{}}"), vec![a]),
                _ => Piece::new(format!("abs(@{place}@) {comparison} {{}}"), vec![a]),
            },
            Kind::String => self.of_text(place, a),
            Kind::Boolean => {
                let sql = *self.dice.one(&[
                    "@_@",
                    "NOT @_@",
                    "@_@ IS TRUE",
                    "@_@ IS NOT FALSE",
                    "@_@ = false",
                    "@_@ IS UNKNOWN",
                ]);
                Piece::new(sql.replace("@_@", &format!("@{place}@")), Vec::new())
            }
            Kind::Date | Kind::Timestamp | Kind::Timestamptz => self.of_time(place, a),
            Kind::Integers | Kind::Object => self.of_nested(place),
        }
    }

    /// A condition on what a list or an object holds.
    fn of_nested(&mut self, place: usize) -> Piece {
        let number = vec![Value::Integer(self.dice.between(0, 3))];
        let comparison = *self.dice.one(&COMPARISONS);
        let is_list = self.table.columns[place].kind == Kind::Integers;
        match (self.dice.below(4), is_list) {
            (0, _) => Piece::new(format!("@{place}@ IS NULL"), Vec::new()),
            (1, true) => Piece::new(format!("@{place}@[1] {comparison} {{}}"), number),
            (2, true) => Piece::new(format!("array_has(@{place}@, {{}})"), number),
            (_, true) => Piece::new(format!("array_length(@{place}@) > 1"), Vec::new()),
            (1, false) => Piece::new(format!("@{place}@['n'] {comparison} {{}}"), number),
            (2, false) => Piece::new(format!("@{place}@['s'] IS NOT NULL"), Vec::new()),
            (_, false) => Piece::new(
                format!("@{place}@['s'] = {{}}"),
                vec![Value::String("Sales".to_owned())],
            ),
        }
    }

    fn of_text(&mut self, place: usize, a: Value) -> Piece {
        let text = match &a {
            Value::String(text) => text.clone(),
            _ => String::new(),
        };
        let start: String = text.chars().take(2).collect();
        let string = |text: &str| vec![Value::String(text.to_owned())];
        match self.dice.below(12) {
            0 => Piece::new(format!("@{place}@ LIKE {{}}"), string(&format!("{start}%"))),
            1 => Piece::new(
                format!("@{place}@ NOT LIKE {{}}"),
                string(&format!("%{start}%")),
            ),
            2 => Piece::new(
                format!("@{place}@ ILIKE {{}}"),
                string(&format!("%{start}")),
            ),
            3 => Piece::new(format!("@{place}@ LIKE {{}}"), string("_a%")),
            4 => Piece::new(format!("starts_with(@{place}@, {{}})"), string(&start)),
            5 => Piece::new(format!("upper(@{place}@) = upper({{}})"), vec![a]),
            6 => Piece::new(format!("length(@{place}@) > 3"), Vec::new()),
            7 => Piece::new(
                format!("@{place}@ || 'x' = {{}}"),
                string(&format!("{text}x")),
            ),
            8 => Piece::new(format!("substr(@{place}@, 1, 1) = 'a'"), Vec::new()),
            9 => Piece::new(format!("@{place}@ ~ '^[a-z]+$'"), Vec::new()),
            10 => Piece::new(format!("strpos(@{place}@, {{}}) > 0"), string(&start)),
            _ => Piece::new(format!("trim(@{place}@) = {{}}"), string(text.trim())),
        }
    }

    fn of_time(&mut self, place: usize, a: Value) -> Piece {
        let day = Value::Date(20_454 + i32::try_from(self.dice.below(5)).unwrap_or_default());
        let comparison = *self.dice.one(&COMPARISONS);
        match self.dice.below(6) {
            0 => Piece::new(format!("@{place}@ {comparison} {{}}"), vec![day]),
            1 => Piece::new(format!("extract(month FROM @{place}@) = 1"), Vec::new()),
            2 => Piece::new(
                format!("date_trunc('day', @{place}@) {comparison} {{}}"),
                vec![day],
            ),
            3 => Piece::new(
                format!("@{place}@ + INTERVAL '1 day' {comparison} {{}}"),
                vec![a],
            ),
            4 => Piece::new(
                format!("@{place}@ {comparison} '{}'", a.plain()),
                Vec::new(),
            ),
            _ => Piece::new(
                format!("CAST(@{place}@ AS DATE) {comparison} {{}}"),
                vec![day],
            ),
        }
    }

    fn item(&mut self) -> Piece {
        let place = self.dice.below(self.table.columns.len());
        let kind = self.table.columns[place].kind;
        let sql = match (self.dice.below(5), kind) {
            (0, Kind::Integer) => "@_@ % 7",
            (0, Kind::String) => "upper(@_@)",
            (0, Kind::Boolean) => "NOT @_@",
            (0, Kind::Date | Kind::Timestamp) => "date_trunc('month', @_@)",
            (0, Kind::Float | Kind::Decimal) => "@_@ * 2",
            (1, _) => "@_@ IS NULL",
            (2, Kind::String) => "coalesce(@_@, 'none')",
            (2, Kind::Date) => "CAST(@_@ AS VARCHAR)",
            (0, Kind::Integers) => "array_length(@_@)",
            (2 | 3, Kind::Integers) => "@_@[1]",
            (0, Kind::Object) => "@_@['s']",
            (2 | 3, Kind::Object) => "@_@['n']",
            _ => "@_@",
        };
        Piece::new(sql.replace("@_@", &format!("@{place}@")), Vec::new())
    }

    fn flat_item(&mut self) -> Piece {
        let item = self.item();
        if self.is_nested(&item) {
            Piece::column(0)
        } else {
            item
        }
    }

    /// Whether the values of a piece are lists or objects.
    fn is_nested(&self, piece: &Piece) -> bool {
        let places = piece.columns();
        let nested = |&place: &usize| self.table.columns[place].kind.is_nested();
        places.iter().any(nested) && *piece == Piece::column(places[0])
    }

    fn aggregate(&mut self) -> Piece {
        let place = self.dice.below(self.table.columns.len());
        let kind = self.table.columns[place].kind;
        let sums =
            self.table.columns[place].name != "id" && kind == Kind::Decimal || kind == Kind::Float;
        let sql = match (self.dice.below(9), kind) {
            (0, _) => "count(*)",
            (1, _) => "count(@_@)",
            (2..=6, kind) if kind.is_nested() => "count(*) FILTER (WHERE @_@ IS NOT NULL)",
            (2, _) => "count(DISTINCT @_@)",
            (3, _) if sums => "sum(@_@)",
            (3, Kind::Integer) => "sum(@_@ % 1000)",
            (4, _) if sums => "avg(@_@)",
            (4, Kind::Boolean) => "bool_or(@_@)",
            (3, Kind::Boolean) => "bool_and(@_@)",
            (5 | 3, kind) if kind != Kind::Boolean => "min(@_@)",
            (6 | 4, kind) if kind != Kind::Boolean => "max(@_@)",
            (7, _) => "count(*) FILTER (WHERE @_@ IS NULL)",
            (8, _) => "first_value(@_@ ORDER BY @0@)",
            _ => "array_agg(@_@ ORDER BY @0@)",
        };
        Piece::new(sql.replace("@_@", &format!("@{place}@")), Vec::new())
    }

    /// A query of any shape.
    pub(crate) fn query(&mut self) -> Query {
        let condition = (!self.dice.once_in(4)).then(|| self.condition());
        let query = match self.dice.below(11) {
            10 => {
                return Query {
                    condition: Some(self.among()),
                    ..Query::of(vec![Piece::column(0)])
                };
            }
            0..=3 => self.of_rows(),
            4 | 5 => self.of_groups(),
            6 => Query {
                items: (0..self.dice.between(1, 3))
                    .map(|_| self.aggregate())
                    .collect(),
                groups: Some(0),
                ..Query::of(Vec::new())
            },
            7 => Query {
                items: (0..self.dice.between(1, 2))
                    .map(|_| self.flat_item())
                    .collect(),
                distinct: true,
                ..Query::of(Vec::new())
            },
            8 => self.of_window(),
            _ => self.of_join(),
        };
        Query { condition, ..query }
    }

    fn of_rows(&mut self) -> Query {
        let mut items: Vec<Piece> = (0..self.dice.between(0, 4)).map(|_| self.item()).collect();
        let at = self.dice.below(items.len() + 1);
        items.insert(at, Piece::column(0));
        let mut order = Vec::new();
        if !self.dice.once_in(3) {
            if self.dice.once_in(2) {
                let mut item = self.dice.below(items.len());
                if self.is_nested(&items[item]) {
                    item = at;
                }
                let how = (*self.dice.one(&HOW)).to_owned();
                order.push(Order { item, how });
            }
            if !self.dice.once_in(4) && order.iter().all(|order| order.item != at) {
                let how = (*self.dice.one(&["", " DESC"])).to_owned();
                order.push(Order { item: at, how });
            }
        }
        let limited = self.dice.once_in(2);
        Query {
            limit: limited.then(|| self.dice.below(12)),
            offset: (limited && self.dice.once_in(3)).then(|| self.dice.below(6)),
            order,
            ..Query::of(items)
        }
    }

    fn of_groups(&mut self) -> Query {
        let groups = if self.dice.once_in(4) { 2 } else { 1 };
        let mut items: Vec<Piece> = (0..groups).map(|_| self.flat_item()).collect();
        items.extend((0..self.dice.between(1, 3)).map(|_| self.aggregate()));
        Query {
            groups: Some(groups),
            having: self
                .dice
                .once_in(4)
                .then(|| Piece::new("count(*) > 1", Vec::new())),
            ..Query::of(items)
        }
    }

    fn of_window(&mut self) -> Query {
        let (place, by) = (self.flat(), self.flat());
        let window = match self.dice.below(4) {
            0 => format!("row_number() OVER (PARTITION BY @{by}@ ORDER BY @0@)"),
            1 => format!("lag(@{place}@) OVER (ORDER BY @0@)"),
            2 => format!("count(@{place}@) OVER (PARTITION BY @{by}@)"),
            _ => format!(
                "max(@{place}@) OVER (ORDER BY @0@ ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)"
            ),
        };
        Query::of(vec![Piece::column(0), Piece::new(window, Vec::new())])
    }

    fn of_join(&mut self) -> Query {
        let by = self.flat();
        let kind = *self
            .dice
            .one(&["JOIN", "LEFT JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
        let other = if kind.len() > 9 { "@0@" } else { "&0&" };
        Query {
            from: From::Join {
                kind: kind.to_owned(),
                by,
            },
            ..Query::of(vec![Piece::column(0), Piece::new(other, Vec::new())])
        }
    }
}
