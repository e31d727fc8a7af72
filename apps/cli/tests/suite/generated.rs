//! What a flow sees is what the SQL gives, for generated inputs over rows that templates, JSON and SQL could trip over: a test
//! action in each shape, and every example action in each shape that it can have.
//!
//! [`INPUTS`] are tried of each action and shape in CI, one in forty in the everyday run.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{collections::HashMap, path::Path};

use flowlake_dev_stack::generated_cases;
use flowlake_genesys_auth::Secret;
use flowlake_genesys_publish::{DataAction, Reply, Simulator};
use serde_json::{Map, Value, json};

use crate::support::{House, KEY, without_nulls};

/// How many inputs each action is tried with in each shape.
const INPUTS: u64 = 1000;

/// Every tenth input is answered from S3, and the others from tables in memory.
const COLD_EVERY: u64 = 10;

/// How many days the example actions can be asked about.
const DAYS: u64 = 20;

/// How many rows a day has.
const ROWS: u64 = 100;

/// Texts that JSON, templates, SQL or URLs could trip over.
const PIECES: [&str; 26] = [
    "a",
    "Zoë",
    "\"",
    "\\",
    "\n",
    "\r",
    "\t",
    "\u{0}",
    "\u{1}",
    "\u{7f}",
    "\u{2028}",
    "\u{feff}",
    "$",
    "\\$",
    "${input.x}",
    "$!{y}",
    "#if(1)",
    "#end",
    "#[[",
    "]]#",
    "😀",
    "'",
    "{}",
    "[0]",
    "null",
    "&=?+%20",
];

/// A small generator: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    fn text(&mut self) -> String {
        let pieces = self.below(5);
        (0..pieces)
            .map(|_| PIECES[self.index(PIECES.len())])
            .collect()
    }

    /// A text that a parameter may have: U+0000 is refused.
    fn parameter(&mut self) -> String {
        self.text().replace('\0', "")
    }
}

const GENERATED: &str = r#"
[genesys]
shape = "SHAPE"
[tables.notes]
uri = "s3://lake/exports/notes.ndjson"
[params.author]
type = "string"
[params.least]
type = "integer"
default = 0
[query]
sql = "SELECT COLUMNS FROM notes WHERE author = $author AND stars >= $least ORDER BY id"
"#;

#[tokio::test]
async fn generated_inputs_over_generated_rows_as_a_first_row() {
    Box::pin(generated_inputs("first-row", 25)).await;
}

#[tokio::test]
async fn generated_inputs_over_generated_rows_as_columns() {
    Box::pin(generated_inputs("columns", 26)).await;
}

#[tokio::test]
async fn generated_inputs_over_generated_rows_as_rows() {
    Box::pin(generated_inputs("rows", 27)).await;
}

/// One action in one shape.
async fn generated_inputs(shape: &str, seed: u64) {
    let mut house = empty_house().await;
    let mut random = Random(seed);
    let mut authors: Vec<String> = (0..40).map(|_| random.parameter()).collect();
    let mut notes = Vec::new();
    for id in 0..400_u64 {
        let author = &authors[random.index(authors.len())];
        let text = match random.below(4) {
            0 => Value::Null,
            1 => json!(""),
            _ => json!(random.text()),
        };
        let score = match random.below(3) {
            0 => Value::Null,
            _ => json!(f64::from(u32::try_from(random.below(1000)).unwrap()) / 8.0),
        };
        notes.push(json!({ "id": id, "author": author, "text": text, "stars": random.below(5), "score": score, "kept": random.below(2) == 0 }));
    }
    let lines: String = notes.iter().map(|note| format!("{note}\n")).collect();
    house.lay("notes.ndjson", lines.as_bytes());
    authors.push("nobody".to_owned());
    let columns = match shape {
        // No list has room for a null.
        "columns" => {
            for note in &mut notes {
                let defaults = [("text", json!("")), ("score", json!(0.0))];
                for (name, default) in defaults {
                    if note[name].is_null() {
                        note[name] = default;
                    }
                }
            }
            "coalesce(id, 0) AS id, coalesce(text, '') AS text, coalesce(score, 0.0) AS score, coalesce(kept, false) AS kept"
        }
        _ => "id, text, stars, score, kept",
    };
    let text = GENERATED
        .replace("SHAPE", shape)
        .replace("COLUMNS", columns);
    lay_action(&house, "notes", &format!("name = \"notes\"\n{text}"));
    house.serve().await;
    let mut simulation = Simulation::all(&house, &[("notes", shape)]).await.remove(0);
    for _ in 0..generated_cases(INPUTS) {
        let author = &authors[random.index(authors.len())];
        let mut input = json!({ "author": author });
        let least = match random.below(4) {
            0 => None,
            1 => Some(Value::Null),
            _ => Some(json!(random.below(6))),
        };
        let lowest = least.as_ref().and_then(Value::as_u64).unwrap_or(0);
        if let Some(least) = least {
            input["least"] = least;
        }
        let rows: Vec<Value> = notes
            .iter()
            .filter(|note| note["author"] == *author && note["stars"].as_u64() >= Some(lowest))
            .cloned()
            .map(|mut note| {
                note.as_object_mut().unwrap().shift_remove("author");
                note
            })
            .collect();
        simulation.shows(&input, &rows).await;
    }
}

/// A house without actions.
async fn empty_house() -> House {
    let house = House::new().await;
    std::fs::remove_dir_all(house.path().join("actions")).unwrap();
    house
}

/// An action over tables in memory, and the same over S3. There is no time limit: the engine is not optimised here.
fn lay_action(house: &House, name: &str, text: &str) {
    let name = format!("name = \"{name}");
    assert!(text.contains(&format!("{name}\"\n")), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with("timeout"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    house.action(&text.replace(&format!("{name}\"\n"), &format!("{name}-cold\"\n")));
    house.action(&text.replace(&format!("{name}\"\n"), &format!("{name}\"\nhot = true\n")));
}

/// An exported action in one shape, over tables in memory and over S3, and the server that it calls.
struct Simulation {
    shape: String,
    hot: DataAction,
    cold: DataAction,
    simulator: Simulator,
    tried: u64,
}

/// The rows that an action's SQL gives, in whichever shape.
struct Rows {
    http: reqwest::Client,
    url: String,
    /// What it gave, by input.
    known: HashMap<String, Vec<Value>>,
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Simulation {
    /// Of these actions in these shapes.
    async fn all(house: &House, actions: &[(&str, &str)]) -> Vec<Self> {
        let folder = house.path().join("exported").display().to_string();
        let arguments = ["actions", "export", "--all", "--folder", &folder];
        house.told(&arguments, 0).await;
        let exported = |name: &str| {
            let path = Path::new(&folder).join(format!("{name}.json"));
            DataAction::from_json(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        let http = client();
        let all = actions.iter().map(|(action, shape)| Self {
            shape: (*shape).to_owned(),
            hot: exported(action),
            cold: exported(&format!("{action}-cold")),
            simulator: Simulator::default()
                .with_http_client(http.clone())
                .with_credential("apiKey", Secret::new(KEY.to_owned())),
            tried: 0,
        });
        all.collect()
    }

    /// A flow sees these rows.
    async fn shows(&mut self, input: &Value, rows: &[Value]) {
        self.tried += 1;
        let document = if self.tried.is_multiple_of(COLD_EVERY) {
            &self.cold
        } else {
            &self.hot
        };
        let simulated = self.simulator.run(document, input, &Reply::Call).await;
        assert!(simulated.success, "{input}: {simulated:#?}");
        assert_eq!(simulated.unresolved, Vec::<String>::new());
        let mut seen = simulated.final_result.unwrap();
        let members = seen.as_object_mut().unwrap();
        assert_eq!(members.shift_remove("row_count"), Some(json!(rows.len())));
        assert_eq!(members.shift_remove("truncated"), Some(json!(false)));
        let name = &document.name;
        assert_eq!(seen, self.expected(rows), "{name} {} {input}", self.shape);
    }

    fn expected(&self, rows: &[Value]) -> Value {
        match self.shape.as_str() {
            "first-row" => {
                let mut row = rows.first().map_or_else(|| json!({}), without_nulls);
                row["found"] = json!(!rows.is_empty());
                row
            }
            "columns" => {
                let outputs = &self.hot.contract.output.success_schema["properties"];
                let lists = outputs.as_object().unwrap().iter();
                let lists = lists.filter(|(_, output)| output["type"] == "array");
                let lists = lists.map(|(name, _)| {
                    let list: Vec<_> = rows.iter().map(|row| row[name].clone()).collect();
                    (name.clone(), json!(list))
                });
                Value::Object(lists.collect::<Map<_, _>>())
            }
            _ => json!({ "rows": rows.iter().map(without_nulls).collect::<Vec<_>>() }),
        }
    }
}

impl Rows {
    fn of(house: &House, action: &str) -> Self {
        let address = house.server.as_ref().unwrap().address();
        Self {
            http: client(),
            url: format!("http://{address}/v1/actions/{action}?envelope=rows"),
            known: HashMap::new(),
        }
    }

    /// The rows for an input. What a flow has not set is not sent.
    async fn given(&mut self, input: &Value) -> Vec<Value> {
        let question = without_nulls(input).to_string();
        if let Some(rows) = self.known.get(&question) {
            return rows.clone();
        }
        let request = self.http.post(&self.url).bearer_auth(KEY);
        let answer = request.body(question.clone()).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let rows: Vec<Value> =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{input}: {text}"));
        self.known.insert(question, rows.clone());
        rows
    }
}

/// Copies a day's calls into Parquet.
const CONVERT: &str = r#"
name = "convert"
[tables.calls]
uri = "s3://lake/exports/{date}/conversation_metrics.ndjson"
[params.date]
type = "date"
[query]
sql = "SELECT * FROM calls"
[limits]
max_rows = 10_000
"#;

const EXAMPLES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../examples/contact-centre/actions"
);

/// Values that occur in the rows of the example actions.
struct Known {
    queues: Vec<String>,
    numbers: Vec<String>,
    dates: Vec<String>,
}

/// A text as a field of CSV: an empty field is null, and a quoted one is an empty text.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The tables of the example actions, with texts that somebody has to escape.
async fn lay_tables(house: &House, random: &mut Random, with_parquet: bool) -> Known {
    let mut queues: Vec<String> = (0..12).map(|_| random.parameter()).collect();
    queues.extend(["Billing".to_owned(), String::new()]);
    let known = Known {
        queues,
        numbers: (0..40)
            .map(|n| format!("+12025550{:03}", 100 + n))
            .collect(),
        dates: (1..=generated_cases(DAYS))
            .map(|day| format!("2026-01-{day:02}"))
            .collect(),
    };
    let mut customers = "customer_id,ani,name,tier,language,vip\n".to_owned();
    for (id, ani) in known.numbers.iter().enumerate() {
        let tier = match random.below(3) {
            0 => String::new(),
            1 => "\"\"".to_owned(),
            _ => quoted(&random.text()),
        };
        let name = quoted(&random.text());
        let vip = random.below(2) == 0;
        customers += &format!("c-{id},{ani},{name},{tier},en-US,{vip}\n");
    }
    house.lay("customers.csv", customers.as_bytes());
    house.action(CONVERT);
    for date in &known.dates {
        let day = format!("{date}/conversation_metrics");
        let rows = calls(random, &known, date);
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        house.lay(&format!("{day}.ndjson"), lines.as_bytes());
        house.lay(&format!("{day}.json"), json!(rows).to_string().as_bytes());
        house.lay(&format!("{day}.csv"), csv(&rows).as_bytes());
        if with_parquet {
            let parquet = house.exports().join(format!("{day}.parquet"));
            let (parquet, date) = (parquet.display().to_string(), format!("date={date}"));
            let arguments = ["run", "convert", "--param", &date, "--format", "parquet"];
            let arguments = [&arguments[..], &["--output", &parquet]].concat();
            house.told(&arguments, 0).await;
        }
    }
    std::fs::remove_file(house.path().join("actions/convert.toml")).unwrap();
    known
}

/// The calls of one day.
fn calls(random: &mut Random, known: &Known, date: &str) -> Vec<Value> {
    let call = |number: u64| {
        let maybe = |random: &mut Random, value: Value| match random.below(4) {
            0 => Value::Null,
            _ => value,
        };
        let (score, wait) = (random.below(11), random.below(60_000));
        let wrapup = match random.below(4) {
            0 => "abandoned".to_owned(),
            1 => String::new(),
            _ => random.text(),
        };
        json!({
            "conversation_id": format!("v-{number}"),
            "conversation_start": format!("{date}T{:02}:{:02}:00Z", number / 60 % 24, number % 60),
            "agent_id": format!("agent-{:04}", random.below(8)),
            "queue_name": known.queues[random.index(known.queues.len())],
            "media_type": (["voice", "chat"][random.index(2)]),
            "ani": known.numbers[random.index(known.numbers.len())],
            "t_handle_ms": maybe(random, json!(wait * 3)),
            "t_wait_ms": maybe(random, json!(wait)),
            "nps_score": maybe(random, json!(score)),
            "wrapup": maybe(random, json!(wrapup)),
        })
    };
    (0..ROWS).map(call).collect()
}

fn csv(rows: &[Value]) -> String {
    let names: Vec<&str> = rows[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut csv = names.join(",") + "\n";
    for row in rows {
        let fields = names.iter().map(|name| match &row[name] {
            Value::Null => String::new(),
            Value::String(text) => quoted(text),
            other => other.to_string(),
        });
        csv += &(fields.collect::<Vec<_>>().join(",") + "\n");
    }
    csv
}

/// An input of an example action: known values, others, and what is left out or not set.
fn input(random: &mut Random, document: &DataAction, known: &Known) -> Value {
    let inputs = document.contract.input.input_schema["properties"].as_object();
    let mut input = Map::new();
    for name in inputs.unwrap().keys() {
        let value = match name.as_str() {
            "agent_id" => json!(format!("agent-{:04}", random.below(10))),
            "ani" if random.below(8) == 0 => json!("+12025550199"),
            "ani" => json!(known.numbers[random.index(known.numbers.len())]),
            "queue" if random.below(3) == 0 => json!(random.parameter()),
            "queue" => json!(known.queues[random.index(known.queues.len())]),
            "date" => match random.below(8) {
                0 => continue,
                1 => Value::Null,
                _ => json!(known.dates[random.index(known.dates.len())]),
            },
            other => panic!("an example has a parameter that this test does not know: {other}"),
        };
        input.insert(name.clone(), value);
    }
    Value::Object(input)
}

/// An example action in each of these shapes; in the others it cannot be published.
async fn example(name: &str, shapes: &[&str], seed: u64) {
    let mut house = empty_house().await;
    let mut random = Random(seed);
    let path = format!("{EXAMPLES}/{name}.toml");
    let written = std::fs::read_to_string(path).unwrap();
    let written = written.replace("s3://genesys-data-lake/", "s3://lake/");
    let known = lay_tables(&house, &mut random, written.contains(".parquet\"")).await;
    let shaped = |shape: &str| {
        let own = format!("{name}-{shape}");
        let text = written.replace(&format!("name = \"{name}\""), &format!("name = \"{own}\""));
        let text = text.replace("[genesys] ", &format!("[genesys]\nshape = \"{shape}\" "));
        (own, text)
    };
    for shape in ["first-row", "columns", "rows"] {
        let (own, text) = shaped(shape);
        if shapes.contains(&shape) {
            lay_action(&house, &own, &text);
            continue;
        }
        house.action(&text);
        let told = house.told(&["actions", "validate", &own], 2).await;
        assert!(told.contains("can be null"), "{told}");
        std::fs::remove_file(house.path().join(format!("actions/{own}.toml"))).unwrap();
    }
    house.serve().await;
    let names: Vec<String> = shapes.iter().map(|shape| shaped(shape).0).collect();
    let actions = names.iter().map(String::as_str).zip(shapes.iter().copied());
    let actions: Vec<(&str, &str)> = actions.collect();
    let mut simulations = Simulation::all(&house, &actions).await;
    let mut rows_of = Rows::of(&house, actions[0].0);
    let mut found = 0;
    for _ in 0..generated_cases(INPUTS) {
        let input = input(&mut random, &simulations[0].hot, &known);
        let rows = rows_of.given(&input).await;
        found += rows.len();
        for simulation in &mut simulations {
            simulation.shows(&input, &rows).await;
        }
    }
    assert!(found > 0, "no input found a row");
}

#[tokio::test]
async fn the_example_agent_scorecard() {
    Box::pin(example("agent-scorecard", &["first-row", "rows"], 31)).await;
}

#[tokio::test]
async fn the_example_caller_profile() {
    Box::pin(example("caller-profile", &["first-row", "rows"], 32)).await;
}

#[tokio::test]
async fn the_example_queue_summary() {
    Box::pin(example("queue-summary", &["first-row", "rows"], 33)).await;
}

#[tokio::test]
async fn the_example_recent_conversations() {
    Box::pin(example("recent-conversations", &["first-row", "rows"], 34)).await;
}

#[tokio::test]
async fn the_example_wrapup_codes() {
    Box::pin(example(
        "wrapup-codes",
        &["first-row", "columns", "rows"],
        35,
    ))
    .await;
}

#[test]
fn every_example_is_tried() {
    let mut names: Vec<String> = std::fs::read_dir(EXAMPLES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".test"))
        .collect();
    names.sort();
    let tried = [
        "agent-scorecard",
        "caller-profile",
        "queue-summary",
        "recent-conversations",
        "wrapup-codes",
    ];
    assert_eq!(names, tried, "write a test for the new example here");
}
