//! What a flow sees is what the SQL gives, for generated inputs over rows that templates, JSON and SQL could trip over: a test
//! action in each shape, and every example action in each shape that it can have.
//!
//! [`INPUTS`] are tried in CI, a tenth of them in the everyday run.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use flowlake_dev_stack::generated_cases;
use flowlake_genesys_auth::Secret;
use flowlake_genesys_publish::{DataAction, Reply, Simulator};
use serde_json::{Map, Value, json};

use crate::support::{House, KEY, without_nulls};

/// How many inputs each action is tried with.
const INPUTS: u64 = 1000;

fn inputs() -> u64 {
    generated_cases(INPUTS)
}

/// Texts that JSON, templates, SQL or URLs could trip over.
const PIECES: [&str; 16] = [
    "a",
    "Zoë",
    "\"",
    "\\",
    "\n",
    "\t",
    "$",
    "${input.x}",
    "$!{y}",
    "#if(1)",
    "#end",
    "😀",
    "'",
    "{}",
    "[0]",
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
    let mut house = House::new().await;
    let mut random = Random(seed);
    let mut authors: Vec<String> = (0..40).map(|_| random.text()).collect();
    let mut lines = String::new();
    for id in 0..400_u64 {
        let author = &authors[usize::try_from(random.below(40)).unwrap()];
        let text = match random.below(4) {
            0 => Value::Null,
            1 => json!(""),
            _ => json!(random.text()),
        };
        let score = match random.below(3) {
            0 => Value::Null,
            _ => json!(f64::from(u32::try_from(random.below(1000)).unwrap()) / 8.0),
        };
        lines += &format!(
            "{}\n",
            json!({ "id": id, "author": author, "text": text, "stars": random.below(5), "score": score, "kept": random.below(2) == 0 })
        );
    }
    house.lay("notes.ndjson", lines.as_bytes());
    authors.push("nobody".to_owned());
    let columns = match shape {
        "columns" => {
            "coalesce(id, 0) AS id, coalesce(text, '') AS text, coalesce(score, 0.0) AS score, coalesce(kept, false) AS kept"
        }
        _ => "id, text, stars, score, kept",
    };
    let text = GENERATED
        .replace("SHAPE", shape)
        .replace("COLUMNS", columns);
    let name = format!("notes-{shape}");
    // From memory, since the requests are many and the engine is not optimised here.
    house.action(&format!("name = \"{name}\"\nhot = true\n{text}"));
    house.serve().await;
    let simulation = Simulation::of(&house, &name, shape).await;
    for _ in 0..inputs() {
        let author = &authors[random.index(authors.len())];
        let mut input = json!({ "author": author });
        if random.below(2) == 0 {
            input["least"] = json!(random.below(6));
        }
        simulation.holds(&input).await;
    }
}

/// An exported action, and the server that it calls.
struct Simulation {
    shape: String,
    document: DataAction,
    simulator: Simulator,
    http: reqwest::Client,
    rows_url: String,
}

impl Simulation {
    async fn of(house: &House, action: &str, shape: &str) -> Self {
        let exported = house.told(&["actions", "export", action], 0).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let address = house.server.as_ref().unwrap().address();
        Self {
            shape: shape.to_owned(),
            document: DataAction::from_json(&exported).unwrap(),
            simulator: Simulator::default()
                .with_http_client(http.clone())
                .with_credential("apiKey", Secret::new(KEY.to_owned())),
            rows_url: format!("http://{address}/v1/actions/{action}?envelope=rows"),
            http,
        }
    }

    /// The rows that the SQL gives.
    async fn rows(&self, input: &Value) -> Vec<Value> {
        let request = self.http.post(&self.rows_url).bearer_auth(KEY);
        let answer = request.body(input.to_string()).send().await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{input}: {text}"))
    }

    /// A flow sees these rows, and gives how many there are.
    async fn holds(&self, input: &Value) -> usize {
        let rows = self.rows(input).await;
        let simulated = self.simulator.run(&self.document, input, &Reply::Call);
        let simulated = simulated.await;
        assert!(simulated.success, "{input}: {simulated:#?}");
        assert_eq!(simulated.unresolved, Vec::<String>::new());
        let mut seen = simulated.final_result.unwrap();
        let members = seen.as_object_mut().unwrap();
        assert_eq!(members.shift_remove("row_count"), Some(json!(rows.len())));
        assert!(members.shift_remove("truncated").is_some());
        assert_eq!(seen, self.expected(&rows), "{} {input}", self.shape);
        rows.len()
    }

    fn expected(&self, rows: &[Value]) -> Value {
        match self.shape.as_str() {
            "first-row" => {
                let mut row = rows.first().map_or_else(|| json!({}), without_nulls);
                row["found"] = json!(!rows.is_empty());
                row
            }
            "columns" => {
                let outputs = &self.document.contract.output.success_schema["properties"];
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

/// Copies the actions' calls into Parquet.
const CONVERT: &str = r#"
name = "convert"
[tables.calls]
uri = "s3://lake/exports/2026-01-01/conversation_metrics.ndjson"
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
}

/// The tables of the example actions, with texts that somebody has to escape.
async fn lay_tables(house: &House, random: &mut Random) -> Known {
    let mut queues: Vec<String> = (0..12).map(|_| random.text()).collect();
    queues.extend(["Billing".to_owned(), String::new()]);
    let numbers: Vec<String> = (0..40)
        .map(|n| format!("+12025550{:03}", 100 + n))
        .collect();
    let mut customers = "customer_id,ani,name,tier,language,vip\n".to_owned();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    for (id, ani) in numbers.iter().enumerate() {
        // An empty field is null, and a quoted one is an empty text.
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

    let mut rows = Vec::new();
    for number in 0..300_u64 {
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
        rows.push(json!({
            "conversation_id": format!("v-{number}"),
            "conversation_start": format!("2026-01-01T{:02}:{:02}:00Z", number / 60 % 24, number % 60),
            "agent_id": format!("agent-{:04}", random.below(8)),
            "queue_name": queues[random.index(queues.len())],
            "media_type": (["voice", "chat"][random.index(2)]),
            "ani": numbers[random.index(numbers.len())],
            "t_handle_ms": maybe(random, json!(wait * 3)),
            "t_wait_ms": maybe(random, json!(wait)),
            "nps_score": maybe(random, json!(score)),
            "wrapup": maybe(random, json!(wrapup)),
        }));
    }
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let day = "2026-01-01/conversation_metrics";
    house.lay(&format!("{day}.ndjson"), lines.as_bytes());
    house.lay(&format!("{day}.json"), json!(rows).to_string().as_bytes());
    let names: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    let mut csv = names
        .iter()
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(",")
        + "\n";
    for row in &rows {
        let fields = names.iter().map(|name| match &row[name.as_str()] {
            Value::Null => String::new(),
            Value::String(text) => quoted(text),
            other => other.to_string(),
        });
        csv += &(fields.collect::<Vec<_>>().join(",") + "\n");
    }
    house.lay(&format!("{day}.csv"), csv.as_bytes());
    house.action(CONVERT);
    let parquet = house.exports().join(format!("{day}.parquet"));
    let parquet = parquet.display().to_string();
    let arguments = [
        "run", "convert", "--format", "parquet", "--output", &parquet,
    ];
    house.told(&arguments, 0).await;
    std::fs::remove_file(house.path().join("actions/convert.toml")).unwrap();
    Known { queues, numbers }
}

/// An input of an example action: known values, others, and what is left out.
fn input(random: &mut Random, document: &DataAction, known: &Known) -> Value {
    let inputs = document.contract.input.input_schema["properties"].as_object();
    let mut input = Map::new();
    for name in inputs.unwrap().keys() {
        let value = match name.as_str() {
            "agent_id" => format!("agent-{:04}", random.below(10)),
            "ani" if random.below(8) == 0 => "+12025550199".to_owned(),
            "ani" => known.numbers[random.index(known.numbers.len())].clone(),
            "queue" if random.below(3) == 0 => random.text(),
            "queue" => known.queues[random.index(known.queues.len())].clone(),
            "date" if random.below(2) == 0 => continue,
            "date" => "2026-01-01".to_owned(),
            other => panic!("an example has a parameter that this test does not know: {other}"),
        };
        input.insert(name.clone(), json!(value));
    }
    Value::Object(input)
}

/// An example action in each of these shapes; in the others it cannot be published.
async fn example(name: &str, shapes: &[&str], seed: u64) {
    let mut house = House::new().await;
    let mut random = Random(seed);
    let known = lay_tables(&house, &mut random).await;
    let path = format!("{EXAMPLES}/{name}.toml");
    let written = std::fs::read_to_string(path).unwrap();
    let written = written.replace("s3://genesys-data-lake/", "s3://lake/");
    // From memory, and without a time limit: the requests are many and the engine is not optimised here.
    let written: String = written
        .lines()
        .filter(|line| !line.starts_with("timeout"))
        .map(|line| format!("{line}\n"))
        .collect();
    let written = written.replacen("\n", "\nhot = true\n", 1);
    let mut open = Vec::new();
    for shape in ["first-row", "columns", "rows"] {
        let own = format!("{name}-{shape}");
        let text = written.replace(&format!("name = \"{name}\""), &format!("name = \"{own}\""));
        let text = text.replace("[genesys] ", &format!("[genesys]\nshape = \"{shape}\" "));
        house.action(&text);
        if shapes.contains(&shape) {
            open.push((own, shape));
        } else {
            let told = house.told(&["actions", "validate", &own], 2).await;
            assert!(told.contains("can be null"), "{told}");
            std::fs::remove_file(house.path().join(format!("actions/{own}.toml"))).unwrap();
        }
    }
    house.serve().await;
    let each = inputs().div_ceil(open.len() as u64);
    let mut found = 0;
    for (own, shape) in open {
        let simulation = Simulation::of(&house, &own, shape).await;
        for _ in 0..each {
            let input = input(&mut random, &simulation.document, &known);
            found += simulation.holds(&input).await;
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
