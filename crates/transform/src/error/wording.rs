//! The engine's messages of planning, in an analyst's words.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

use super::classify::nearest;
use crate::too_large::{BEYOND_CALENDAR, BEYOND_NANOSECONDS};

/// Functions that other databases have, and what to write here.
const ELSEWHERE: [(&str, &str); 31] = [
    ("charindex", "strpos(text, part)"),
    ("convert", "CAST(x AS type)"),
    ("count_if", "count(*) FILTER (WHERE condition)"),
    ("countif", "count(*) FILTER (WHERE condition)"),
    ("dateadd", "moment + INTERVAL '1 day'"),
    ("date_add", "moment + INTERVAL '1 day'"),
    (
        "datediff",
        "date_part('epoch', b - a) for seconds, or b - a of two dates for days",
    ),
    (
        "date_diff",
        "date_part('epoch', b - a) for seconds, or b - a of two dates for days",
    ),
    ("date_format", "to_char(moment, '%d.%m.%Y')"),
    ("date_sub", "moment - INTERVAL '1 day'"),
    ("format", "to_char(moment, '%d.%m.%Y')"),
    ("getdate", "now()"),
    ("group_concat", "string_agg(text, ',')"),
    ("if", "CASE WHEN condition THEN a ELSE b END"),
    ("iff", "CASE WHEN condition THEN a ELSE b END"),
    ("iif", "CASE WHEN condition THEN a ELSE b END"),
    ("isnull", "coalesce(a, b)"),
    ("len", "length(text)"),
    ("listagg", "string_agg(text, ',')"),
    ("locate", "strpos(text, part)"),
    ("month", "date_part('month', day)"),
    ("percentile", "approx_percentile_cont(x, 0.95)"),
    ("quantile", "approx_percentile_cont(x, 0.95)"),
    ("regexp_extract", "regexp_match(text, pattern)[1]"),
    ("safe_cast", "TRY_CAST(x AS type)"),
    ("str_to_date", "to_date(text, '%d.%m.%Y')"),
    ("strftime", "to_char(moment, '%d.%m.%Y')"),
    ("sysdate", "now()"),
    ("to_number", "CAST(text AS DOUBLE)"),
    ("unix_timestamp", "date_part('epoch', moment)"),
    ("year", "date_part('year', day)"),
];

/// Functions that are none without OVER.
const WINDOWS: [&str; 11] = [
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// Below this two names have little in common.
const NEAR: f64 = 0.85;

type Rule = (Regex, fn(&Captures<'_>) -> String);

/// The message without what is about the engine, and with what to write instead.
pub(super) fn reworded(text: &str) -> String {
    for (pattern, told) in RULES.iter() {
        if let Some(found) = pattern.captures(text) {
            return told(&found);
        }
    }
    plain(text)
}

/// Words that a query begins with.
const BEGINNINGS: [&str; 4] = ["SELECT", "WITH", "FROM", "VALUES"];

/// What the parser says of a text that is no SQL, with the place first.
pub(super) fn unreadable(text: &str) -> String {
    static SAID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?s)^sql parser error: (?:Expected: (.+), found: (.+?)|(.+?))(?: at Line: (\d+), Column: (\d+))?$")
            .expect("the pattern is valid")
    });
    let Some(said) = SAID.captures(text) else {
        return format!("the SQL cannot be read: {text}");
    };
    let part = |number: usize| said.get(number).map(|part| part.as_str());
    let at = match (part(4), part(5)) {
        (Some(line), Some(column)) => format!(" at line {line}, column {column}"),
        _ => String::new(),
    };
    match (part(1), part(2), part(3)) {
        (Some(expected), Some("EOF"), _) => format!("the SQL ends where {expected} is expected"),
        (Some(expected), Some(found), _) => {
            let meant = (expected == "an SQL statement")
                .then(|| nearest(&found.to_uppercase(), &BEGINNINGS))
                .flatten();
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            format!(
                "the SQL cannot be read{at}: {expected} is expected, and `{found}` stands there{meant}"
            )
        }
        (_, _, Some(what)) => format!("the SQL cannot be read{at}: {}", lowercase_first(what)),
        _ => format!("the SQL cannot be read: {text}"),
    }
}

fn lowercase_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rule = |pattern: &str, told: fn(&Captures<'_>) -> String| -> Rule {
        (Regex::new(pattern).expect("the pattern is valid"), told)
    };
    vec![
        rule(r"There is no window function named (\w+)", |found| {
            format!("`{}` is no function with OVER: leave OVER out", &found[1])
        }),
        rule(
            r"Cannot infer common argument type for (?:comparison |logical boolean |regex |AtAt )?operation (.+?) (=|!=|<>|<=|>=|<|>|IS DISTINCT FROM|IS NOT DISTINCT FROM|AND|OR|~\*?|!~\*?|LIKE|ILIKE|\S+) (.+)",
            |found| compared(&found[1], &found[2], &found[3]),
        ),
        rule(
            r"Cannot coerce arithmetic expression (.+?) ([-+*/%]) (.+?) to valid types",
            |found| computed(&found[1], &found[2], &found[3]),
        ),
        rule(
            r"Can ?not find compatible types to compare (.+?) with \[(.+?)(?:,.*)?\]",
            |found| compared(&found[1], "IN", &found[2]),
        ),
        rule(
            r"Failed to coerce types (.+?) and (.+?) in BETWEEN",
            |found| compared(&found[1], "BETWEEN", &found[2]),
        ),
        rule(
            r"There isn't a common type to coerce (.+?) and (.+?) in LIKE expression",
            |found| {
                format!(
                    "LIKE compares texts, and here {} stands beside {}: CAST the other to VARCHAR",
                    a(&found[1]),
                    a(&found[2])
                )
            },
        ),
        rule(
            r"Failed to coerce then \((.+?)\) and else \((.+?)\)",
            |found| {
                format!(
                    "THEN gives {} and ELSE {}: CAST one of them to the type of the other",
                    a(&found[1]),
                    a(&found[2])
                )
            },
        ),
        rule(
            r"Cannot get result type for temporal operation (.+?) ([-+*/%]) (.+?):",
            |found| computed(&found[1], &found[2], &found[3]),
        ),
        rule(
            r"Cannot cast string '(.*)' to value of (.+) type",
            |found| no_value(&found[1], &found[2]),
        ),
        rule(r"Error parsing timestamp from '(.*?)':", |found| {
            no_value(&found[1], "timestamp")
        }),
        rule(r"Can't cast value (.+) to type (.+)", |found| {
            format!(
                "`{}` is too large or too small for its type, {}",
                &found[1],
                a(&found[2])
            )
        }),
        rule(
            r#"Invalid input syntax for type interval: "(.*)""#,
            |found| {
                format!(
                    "`'{}'` is no interval, such as INTERVAL '7 days'",
                    &found[1]
                )
            },
        ),
        rule(
            r"(.+) is too (?:large|small) to store in a Decimal\d+ of precision (\d+)",
            |found| {
                format!(
                    "`{}` has too many digits for a decimal of {}",
                    plain(&found[1]),
                    &found[2]
                )
            },
        ),
        rule(
            r"(?i)cannot cast to interval|Interval (?:component|field value) out of range|interval.*[Oo]verflow",
            |_| BEYOND_CALENDAR.to_owned(),
        ),
        rule(r"(?i)Cannot automatically convert .+ to interval", |_| {
            "an interval is one text or number with its unit: INTERVAL '3 months'".to_owned()
        }),
        rule(
            r"Failed to convert \S+ to temporal for|Arrow error: Compute error: .*[Oo]verflow",
            |_| BEYOND_CALENDAR.to_owned(),
        ),
        rule(
            r"Overflow converting .+ to Nanosecond|exceeds the representable i64 range",
            |_| BEYOND_NANOSECONDS.to_owned(),
        ),
        rule(
            r"Only identifiers and literals are supported in tuples",
            |_| {
                "a row of values is compared with rows of as many, which hold no further rows and no subquery: (a, b) IN ((1, 2), (3, 4))".to_owned()
            },
        ),
        rule(r"Dot access not supported for non-string expr", |_| {
            "a member of what a function gives is taken by its name in brackets: named_struct('a', 1)['a']".to_owned()
        }),
        rule(
            r"Decimal\(precision = (\d+), scale = (-?\d+)\) should satisfy",
            |found| {
                format!(
                    "there is no DECIMAL({}, {}): a decimal has from 1 to 38 digits, and no more of them behind the point than there are",
                    &found[1], &found[2]
                )
            },
        ),
        rule(r"frame offsets for ROWS / GROUPS must be", |_| {
            "a frame counts rows from 0 on: ROWS BETWEEN 1 PRECEDING AND CURRENT ROW".to_owned()
        }),
        rule(
            r"There is only support Literal types for field at idx: \d+ in Window",
            |_| {
                "a function with OVER takes constants behind its first argument, such as lag(column, 1, 0): write coalesce(lag(column, 1), …) for a value of the row".to_owned()
            },
        ),
        rule(r"Invalid escape character in LIKE", |_| {
            "ESCAPE takes one character".to_owned()
        }),
        rule(r"Cannot cast timezone to different timezone", |_| {
            "there is no such time in the zone, or there are two, since its clocks were changed there: from_local_time(TIMESTAMP '2026-01-31 10:30:00', 'Europe/Berlin') takes each time of a place".to_owned()
        }),
        rule(r"Encountered non UTF-8 data", |_| {
            "the bytes of a constant are no text in UTF-8".to_owned()
        }),
        rule(
            r"Expected (?:an integer value|a signed integer literal)",
            |_| "the second argument of `lag`, `lead` and `nth_value` is a whole number".to_owned(),
        ),
        rule(
            r"Failed to coerce case \((.+?)\) and when \((.+)\) to common types",
            |found| {
                format!(
                    "CASE compares {} with {}: CAST one of them to the type of the other",
                    a(&found[1]),
                    a(&found[2])
                )
            },
        ),
        rule(r"(?s)Unsupported ast node in sqltorel: (\w+)", |found| {
            format!("the engine knows no {} here", found[1].to_uppercase())
        }),
        rule(r"Unsupported Value", |_| {
            "a constant of this kind is not known here: write text as 'text', bytes as X'00ff'"
                .to_owned()
        }),
        rule(
            r"Argument (?:\w+\.)?(\S+) to grouping function is not in grouping columns",
            |found| {
                format!(
                    "`grouping` takes a column of GROUP BY, and `{}` is none",
                    &found[1]
                )
            },
        ),
        rule(
            r"Physical plan does not support logical expression (?:Exists|InSubquery)",
            |_| {
                "IN (SELECT …) and EXISTS give no column here: put them into WHERE, or LEFT JOIN the subquery and look whether its column is null".to_owned()
            },
        ),
        rule(
            r"Projections require unique expression names.* AS ([^ ]+)\W at position",
            |found| {
                format!(
                    "two columns of the answer are called `{}`: give one another name with AS",
                    &found[1]
                )
            },
        ),
        rule(r"Projections require unique expression names", |_| {
            "two columns of the answer have the same name: give one another name with AS".to_owned()
        }),
        rule(
            r"Physical plan does not support logical expression WindowFunction",
            |_| {
                "a function with OVER cannot stand in WHERE: compute it in a subquery, or write QUALIFY".to_owned()
            },
        ),
        rule(r"Aggregate function calls cannot be nested", |_| {
            "an aggregate cannot stand inside another: compute the inner one in a subquery"
                .to_owned()
        }),
        rule(
            r"Cannot find column with position (\d+) in SELECT clause. Valid columns: 1 to (\d+)",
            |found| {
                format!(
                    "GROUP BY {} names the place of a column, and SELECT has {}",
                    &found[1], &found[2]
                )
            },
        ),
        rule(
            r"For SELECT DISTINCT, ORDER BY expressions (\S+) must appear",
            |found| {
                format!(
                    "with SELECT DISTINCT, ORDER BY takes columns of the answer alone: select `{}` too",
                    unqualified(&found[1])
                )
            },
        ),
        rule(
            r"Schema contains duplicate qualified field name (\w+)\.",
            |found| {
                format!(
                    "two tables are called `{}` here: give one another name",
                    &found[1]
                )
            },
        ),
        rule(r"Field \S+ not found in struct", |_| {
            "the object has no member of the name that is asked for".to_owned()
        }),
        rule(r"Field name must be a non-empty string", |_| {
            "a member is named by a constant text: object['name']".to_owned()
        }),
        rule(
            r"Schema contains qualified field name .+ and unqualified field name (.+) which would be ambiguous",
            |found| {
                format!(
                    "two columns of the answer are called `{}`: give one another name with AS",
                    found[1].trim_matches('"')
                )
            },
        ),
        rule(r"FETCH clause is not supported", |_| {
            "FETCH FIRST is not known here: write LIMIT 10 at the end".to_owned()
        }),
        rule(r"Substring without for/from", |_| {
            "`substr` needs the place to begin at: substr(text, 1, 3)".to_owned()
        }),
        rule(r"NTILE requires a positive integer", |_| {
            "`ntile` takes a number from 1 on".to_owned()
        }),
        rule(
            r"Cannot access field at argument \d+: type (.+) is not Struct",
            |found| {
                format!(
                    "a member can be taken of an object or a map, and this is {}",
                    a(&found[1])
                )
            },
        ),
        rule(r"unnest\(\) can only be applied", |_| {
            "`unnest` takes a list or an object".to_owned()
        }),
        rule(r"Argument #(\d+) must be an INTEGER or NULL", |found| {
            format!(
                "argument {} of a series of numbers is no whole number",
                &found[1]
            )
        }),
        rule(
            r"Too many columns! The subquery should only return one column",
            |_| "a subquery behind IN, or for one value, selects one column".to_owned(),
        ),
        rule(
            r"Unary operator 'NOT' requires a boolean expression, got (.+)",
            |found| format!("NOT takes a condition, and this is {}", a(&found[1])),
        ),
        rule(r"Unary operator '([-+])' only supports", |found| {
            format!(
                "`{}` before a value takes a number or an interval",
                &found[1]
            )
        }),
        rule(r"Unsupported CAST from (.+?) to ([^\n]+)", |found| {
            format!("{} cannot be cast to {}", a(&found[1]), words(&found[2]))
        }),
        rule(
            r"No function matches the given name and argument types '(\w+)\((.*?)\)'\.",
            |found| not_taken(&found[1], &found[2]),
        ),
        rule(
            r"(?s)Function '(\w+)' (?:failed to match any signature|expects|requires).*",
            |found| {
                format!(
                    "`{}` does not take these arguments: {}",
                    &found[1], "CAST them to what it computes with"
                )
            },
        ),
        rule(r"LIMIT must be >= ?0|OFFSET must be >= ?0", |_| limit()),
        rule(
            r"Expected (?:LIMIT|OFFSET) to be an integer or null|Limit must be|LIMIT expression",
            |_| limit(),
        ),
        rule(
            r"Cannot create filter with non-boolean predicate '(.+?)' returning (.+)",
            |found| {
                format!(
                    "WHERE, HAVING and ON take a condition, and `{}` is {}: compare it with something",
                    unqualified(&found[1]),
                    a(&found[2])
                )
            },
        ),
        rule(
            r#"(?:Column in (SELECT|HAVING|QUALIFY|ORDER BY|DISTINCT ON) must be in GROUP BY or an aggregate function: While expanding wildcard, column "([^"]+)")"#,
            |found| {
                format!(
                    "`{}` in {} must be in GROUP BY, or inside an aggregate such as max(…)",
                    unqualified(&found[2]),
                    &found[1]
                )
            },
        ),
        rule(
            r"Aggregate functions are not allowed in the WHERE clause",
            |_| "WHERE looks at single rows and takes no aggregate: write HAVING".to_owned(),
        ),
        rule(
            r"(?i)window functions? (?:is|are) not (?:allowed|supported) in",
            |_| {
                "a function with OVER cannot stand here: compute it in a subquery, or write QUALIFY"
                    .to_owned()
            },
        ),
        rule(r"Unsupported SQL type (.+)", |found| {
            format!(
                "there is no type `{}`: use VARCHAR, BIGINT, DOUBLE, DECIMAL(p, s), BOOLEAN, DATE or TIMESTAMP",
                &found[1]
            )
        }),
        rule(
            r"Unsupported Arrow [Tt]ype|Unsupported type '(.+?)'",
            |found| {
                let kind = found.get(1).map_or("of `arrow_cast`", |kind| kind.as_str());
                format!(
                    "there is no type `{kind}`: write one as Arrow does, such as Int64 or Date32"
                )
            },
        ),
        rule(
            r"Order by column out of bounds, specified: (\d+), max: (\d+)",
            |found| {
                format!(
                    "`ORDER BY {}` names the place of a column, and the answer has {}",
                    &found[1], &found[2]
                )
            },
        ),
        rule(r"Ambiguous reference to unqualified field (\S+)", |found| {
            format!(
                "`{0}` is a column of more than one table: write the table's name before it, as in t.{0}",
                found[1].trim_matches('"')
            )
        }),
        rule(
            r"(?:UNION|INTERSECT|EXCEPT|Union).*(?:same number of columns|number of columns)",
            |_| {
                "both sides of UNION, INTERSECT and EXCEPT need the same number of columns"
                    .to_owned()
            },
        ),
        rule(
            r"Incompatible inputs for (\w+): Previous inputs were of type (.+), but got incompatible type (.+) on column '(.+)'",
            |found| {
                format!(
                    "column `{}` is {} on one side of {} and {} on the other: CAST one of them",
                    &found[4],
                    words(&found[2]),
                    found[1].to_uppercase(),
                    words(&found[3])
                )
            },
        ),
        rule(
            r"Correlated scalar subquery|[Cc]orrelated (?:sub)?quer|Physical plan does not support logical expression (?:OuterReferenceColumn|ScalarSubquery)",
            |_| {
                "a subquery that names a column of the outer query must compare it with `=`, and gives one value by an aggregate: write a JOIN, or a function with OVER".to_owned()
            },
        ),
        rule(
            r"There is only support Literal types for field at idx|Invalid or Unsupported|count\(DISTINCT\) with multiple|COUNT DISTINCT with multiple|distinct.*multiple (?:arguments|columns)",
            |_| {
                "count(DISTINCT …) takes one column: count the rows of a subquery with SELECT DISTINCT a, b".to_owned()
            },
        ),
        rule(
            r"regex parse error|Regular expression did not compile|regex(?:p)? (?:error|pattern)",
            |_| {
                "a regular expression cannot be read: a bracket, a parenthesis or a repetition in it is not closed or stands alone; `\\` before a character takes it as it is".to_owned()
            },
        ),
        rule(
            r#"(?i)invalid timezone "?([^":]*)"?|failed to parse timezone|Parser error: Invalid timezone"#,
            |found| {
                let name = found.get(1).map_or("", |name| name.as_str());
                if name.is_empty() {
                    "a time zone is no name of the IANA database, such as Europe/Berlin".to_owned()
                } else {
                    format!("`{name}` is no time zone of the IANA database, such as Europe/Berlin")
                }
            },
        ),
        rule(r"(?i)percentile value must be between 0.0 and 1.0", |_| {
            "a percentile is a number from 0 to 1: write 0.95 for the 95th".to_owned()
        }),
        rule(r"Expected (?:identifier|an? .*|.*), found: (.*)", |found| {
            syntax(&found[0])
        }),
    ]
});

/// The function that a message of the engine says it does not know.
pub(super) fn unknown_function(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("Invalid function '")?;
    rest.split('\'').next()
}

/// There is none of this name. The engine's own suggestion is another one in each run, of several that are as near.
pub(super) fn no_function(name: &str, known: Vec<String>) -> String {
    let lower = name.to_lowercase();
    if WINDOWS.contains(&lower.as_str()) {
        return format!("`{name}` needs OVER (…): which rows it looks at, in which order");
    }
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(other, _)| *other == lower) {
        return format!("there is no function `{name}`: write {instead}");
    }
    let near = known
        .into_iter()
        .filter(|near| strsim::jaro_winkler(near, &lower) >= NEAR)
        .min_by_key(|near| (strsim::levenshtein(near, &lower), near.clone()));
    match near {
        Some(near) => format!("there is no function `{name}`; did you mean `{near}`?"),
        None => format!("there is no function `{name}`"),
    }
}

fn compared(left: &str, op: &str, right: &str) -> String {
    let (left, right) = (words(left), words(right));
    let instead = match (left.as_ref(), right.as_ref()) {
        ("boolean", _) | (_, "boolean") => "write `= true` or `= false`, or CAST one of them",
        ("text", _) | (_, "text") if op.contains("LIKE") || op.contains('~') => {
            "CAST the other to VARCHAR"
        }
        ("timestamp" | "date", _) | (_, "timestamp" | "date") => {
            "write a moment as TIMESTAMP '2026-01-05 10:00:00' or DATE '2026-01-05'"
        }
        ("duration" | "interval", _) | (_, "duration" | "interval") => {
            "a span of time is compared with another, such as INTERVAL '5 minutes'"
        }
        _ => "CAST one of them to the type of the other",
    };
    format!(
        "{} cannot stand beside {} with {op}: {instead}",
        a_word(&left),
        a_word(&right)
    )
}

fn computed(left: &str, op: &str, right: &str) -> String {
    let (left, right) = (words(left), words(right));
    let is_time = |kind: &str| matches!(kind, "timestamp" | "date" | "duration" | "interval");
    let instead = if is_time(&left) || is_time(&right) {
        "a moment is moved by an interval, as in + INTERVAL '7 days'"
    } else if left == "text" || right == "text" {
        "CAST text to a number first"
    } else {
        "CAST one of them first"
    };
    format!(
        "{} {op} {} cannot be computed: {instead}",
        a_word(&left),
        a_word(&right)
    )
}

fn not_taken(function: &str, kinds: &str) -> String {
    if kinds.trim().is_empty() {
        return format!("`{function}` needs arguments");
    }
    let kinds = words(kinds);
    if matches!(function, "date_part" | "date_trunc") {
        return format!(
            "`{function}` takes a unit and a date or timestamp, as in {function}('day', moment), and here stands ({kinds})"
        );
    }
    format!("`{function}` does not take ({kinds}): CAST the arguments, or count them")
}

/// A constant that is no value of a type.
fn no_value(text: &str, kind: &str) -> String {
    let kind = words(kind);
    let such = match kind.as_ref() {
        "date" => ", such as '2026-01-31'",
        "timestamp" => ", such as '2026-01-31 10:00:00'",
        _ => "",
    };
    // The engine reads it with digits of its own before it casts.
    let kind = kind.split('(').next().unwrap_or_default();
    format!("`'{text}'` is no {kind}{such}")
}

fn limit() -> String {
    "LIMIT and OFFSET take a whole number from 0 on, which no row decides".to_owned()
}

fn syntax(text: &str) -> String {
    plain(text)
}

/// The first line, with our names of types and without the engine's own words.
fn plain(text: &str) -> String {
    static NOISE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?:Error during planning: |This feature is not implemented: |Internal error: |Execution error: |Optimizer rule '\w+' failed: |Arrow error: |Invalid argument error: |type_coercion: |[a-z_]+ caused by: )+")
            .expect("the pattern is valid")
    });
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = NOISE.replace(line.unwrap_or_default().trim(), "");
    words(&line).into_owned()
}

/// A list of what is named as an analyst says it.
const LIST: &str = r"\b(?:Large|FixedSize)?List(?:View)?\((?:\d+ x )?(?:non-null )?([\w ]+)\)";

/// Arrow's names of types as an analyst says them.
pub(super) fn words(text: &str) -> Cow<'_, str> {
    static TYPES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"\bDictionary\(\w+, (\w+)\)", "$1"),
            (r"\b(?:Utf8View|LargeUtf8|Utf8)\b", "text"),
            (r"\bU?Int(?:8|16|32|64)\b", "integer"),
            (r"\bFloat(?:16|32|64)\b", "float"),
            (r"\bBoolean\b", "boolean"),
            (r"\bDate(?:32|64)\b", "date"),
            (r"\bTimestamp\([^()]*(?:\([^()]*\))?[^()]*\)", "timestamp"),
            (r"\bTime(?:32|64)\(\w+\)", "time of day"),
            (
                r"\bDecimal(?:32|64|128|256)\((\d+), ?(-?\d+)\)",
                "decimal($1, $2)",
            ),
            (r"\bInterval\(\w+\)", "interval"),
            (r"\bDuration\(\w+\)", "duration"),
            (r"\bNull\b", "null"),
            (r"\b(?:Struct|Map)\((?:[^()]|\([^()]*\))*\)", "object"),
            (LIST, "list of $1"),
            (LIST, "list of $1"),
        ]
        .map(|(pattern, name)| (Regex::new(pattern).expect("the pattern is valid"), name))
        .into()
    });
    let mut text = Cow::Borrowed(text.trim());
    for (pattern, name) in TYPES.iter() {
        let changed = match pattern.replace_all(&text, *name) {
            Cow::Owned(changed) => Some(changed),
            Cow::Borrowed(_) => None,
        };
        if let Some(changed) = changed {
            text = Cow::Owned(changed);
        }
    }
    text
}

fn a(kind: &str) -> String {
    a_word(&words(kind))
}

fn a_word(kind: &str) -> String {
    match kind.chars().next() {
        _ if kind == "text" || kind == "null" => kind.to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// A column without the name of its table.
fn unqualified(name: &str) -> &str {
    let is_path = name
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    match name.rsplit_once('.') {
        Some((_, column)) if is_path => column,
        _ => name,
    }
}
