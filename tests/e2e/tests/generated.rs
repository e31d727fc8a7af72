//! Generated questions, answered by the programs from files of every kind, and by DuckDB from a typed copy of each table.

use anyhow::{Context, Result, ensure};
use flowlake_differential::{JudgedTable, Question, judged, same_rows};
use flowlake_e2e::{BUCKET, EmbeddedStack, Environment, Project, ProjectSettings, Server};
use serde_json::{Map, Value, json};

const SEED: u64 = 1;
const TABLES: u64 = 20;
const QUESTIONS: usize = 20;
/// One question in this many is asked of the command line too, which starts a process for each.
const OF_THE_COMMAND_LINE: usize = 20;

#[test]
fn the_programs_answer_generated_questions_as_duckdb_does() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("generated")?;
    let root = folder.join("buckets");
    let runtime = tokio::runtime::Runtime::new()?;
    let tables = runtime.block_on(judged(SEED, TABLES, QUESTIONS))?;
    let mut asked = Vec::new();
    for table in &tables {
        for (key, bytes) in &table.objects {
            let path = root.join(BUCKET).join(key);
            std::fs::create_dir_all(path.parent().context("a key has a folder")?)?;
            std::fs::write(path, bytes)?;
        }
        let parquet = folder.join(format!("{}.parquet", table.seed));
        std::fs::write(&parquet, &table.parquet)?;
        let sql: Vec<&str> = table
            .questions
            .iter()
            .map(|question| question.sql.as_str())
            .collect();
        asked.push(json!({ "parquet": parquet, "questions": sql }));
    }
    let stack = EmbeddedStack::start(&root)?;
    let settings = ProjectSettings::new(stack.aws_url(), stack.s3_url(), stack.keys("reader")?);
    // A folder of its own for the command line, since a server keeps the audit log to itself.
    let served = Project::create(&environment, &folder.join("served"), &settings)?;
    let project = Project::create(&environment, &folder.join("project"), &settings)?;
    for question in tables.iter().flat_map(|table| &table.questions) {
        let file = format!("actions/{}.toml", question.name);
        let action = question
            .toml
            .replace("s3://lake/", &format!("s3://{BUCKET}/"));
        std::fs::write(served.folder().join(&file), &action)?;
        std::fs::write(project.folder().join(&file), &action)?;
    }
    let server = served.serve()?;
    let judged = environment
        .python()
        .call("differential", &json!({ "tables": asked }))?;
    let mut tally = Tally::default();
    for (table, answers) in tables.iter().zip(judged.as_array().context("no answers")?) {
        for (question, answer) in table
            .questions
            .iter()
            .zip(answers.as_array().context("no answers")?)
        {
            tally.ask((&server, &project), table, question, answer)?;
        }
    }
    ensure!(
        tally.wrong.is_empty(),
        "{}\n{tally:?}",
        tally.wrong.join("\n")
    );
    ensure!(
        tally.answered >= 300 && tally.left_out * 5 < tally.answered,
        "{tally:?}"
    );
    Ok(())
}

#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// Those that DuckDB cannot answer.
    left_out: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn ask(
        &mut self,
        (server, project): (&Server, &Project),
        table: &JudgedTable,
        question: &Question,
        answer: &Value,
    ) -> Result<()> {
        let Some(rows) = answer.as_array() else {
            self.left_out += 1;
            return Ok(());
        };
        self.answered += 1;
        let rows: Option<Vec<Map<String, Value>>> =
            rows.iter().map(|row| row.as_object().cloned()).collect();
        let rows = rows.context("a row is no object")?;
        let mut bodies = vec![server.call(&question.name, &question.params)?.body];
        if self.answered.is_multiple_of(OF_THE_COMMAND_LINE) {
            let mut arguments = vec![
                "run".to_owned(),
                question.name.clone(),
                "--format".to_owned(),
                "json".to_owned(),
            ];
            for (name, value) in question.params.as_object().into_iter().flatten() {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                arguments.extend(["--param".to_owned(), format!("{name}={text}")]);
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            bodies.push(project.run(&arguments)?.stdout);
        }
        for body in bodies {
            let whole: Result<std::collections::BTreeMap<&str, &serde_json::value::RawValue>, _> =
                serde_json::from_str(&body);
            // The server puts rows into an envelope, the command line prints them alone.
            let data = whole
                .ok()
                .and_then(|whole| whole.get("data").map(|data| data.get().to_owned()));
            let compared = same_rows(data.as_ref().unwrap_or(&body), &rows, question.in_order);
            if let Err(difference) = compared {
                self.wrong.push(format!(
                    "seed={} {}: {difference}\n{}",
                    table.seed, question.sql, question.toml
                ));
            }
        }
        Ok(())
    }
}
