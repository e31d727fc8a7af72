//! Files of one table, and queries over them through an action's TOML, cold and from memory.

use flowlake_data_action::ErrorCode;
use serde_json::{Value, json};

use super::House;

/// Where the files of a [`Lake`] lie.
const FOLDER: &str = "exports/t/";

/// The files of table `t`, below `s3://lake/exports/t/`.
#[derive(Default)]
pub(crate) struct Lake {
    files: Vec<(String, Vec<u8>)>,
    table: String,
    params: String,
    folder: bool,
}

/// The rows of a query, or the code and message of its error.
pub(crate) type Told = Result<Value, (ErrorCode, String)>;

impl Lake {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn file(mut self, key: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((format!("{FOLDER}{key}"), content.into()));
        self
    }

    /// Lines of `[tables.t]`, or sections below it.
    pub(crate) fn table(mut self, lines: &str) -> Self {
        self.table.push_str(lines);
        self.table.push('\n');
        self
    }

    /// A section `[params.NAME]` for all queries.
    pub(crate) fn param(mut self, name: &str, lines: &str) -> Self {
        self.params += &format!("[params.{name}]\n{lines}\n");
        self
    }

    /// The uri is the folder, not a list of the files. Such a table is never kept in memory.
    pub(crate) fn in_one_folder(mut self) -> Self {
        self.folder = true;
        self
    }

    /// What each query answers.
    pub(crate) async fn ask<S: AsRef<str>>(&self, queries: &[S]) -> Vec<Told> {
        let queries: Vec<_> = queries
            .iter()
            .map(|sql| (sql.as_ref(), json!({})))
            .collect();
        self.ask_with(&queries).await
    }

    /// What each query answers with its parameters. From memory it must be the same.
    pub(crate) async fn ask_with(&self, queries: &[(&str, Value)]) -> Vec<Told> {
        let cold = (0..queries.len()).map(|n| (n, false));
        let hot = (0..queries.len()).map(|n| (n, true));
        let hot = hot.filter(|_| !self.folder);
        let actions: Vec<String> = cold
            .chain(hot)
            .map(|(number, hot)| self.action(number, queries[number].0, hot))
            .collect();
        let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
        let files: Vec<(&str, &[u8])> = self
            .files
            .iter()
            .map(|(key, content)| (key.as_str(), content.as_slice()))
            .collect();
        let allow = json!([
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
        ]);
        let house = House::furnished(&files, allow, "", &actions, |_| {}).await;
        let mut told = Vec::new();
        for (number, (sql, params)) in queries.iter().enumerate() {
            let cold = rows(house.run(&format!("q{number}-false"), params.clone()).await);
            if !self.folder {
                let hot = rows(house.run(&format!("q{number}-true"), params.clone()).await);
                match (&cold, &hot) {
                    (Ok(cold), Ok(hot)) => assert_eq!(cold, hot, "cold and hot: {sql}"),
                    (Err((cold, _)), Err((hot, _))) => {
                        assert_eq!(cold, hot, "cold and hot: {sql}");
                    }
                    _ => panic!("{sql}: cold {cold:?}, hot {hot:?}"),
                }
            }
            told.push(cold);
        }
        told
    }

    /// Asserts what each query answers.
    pub(crate) async fn answers(&self, expected: &[(&str, Value)]) {
        let queries: Vec<_> = expected.iter().map(|(sql, _)| sql).collect();
        let told = self.ask(&queries).await;
        let wrong: Vec<String> = told
            .iter()
            .zip(expected)
            .filter(|(told, (_, expected))| told.as_ref() != Ok(expected))
            .map(|(told, (sql, expected))| format!("{sql}\n  {told:?}\n  not {expected}"))
            .collect();
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    fn action(&self, number: usize, sql: &str, hot: bool) -> String {
        let uri = if self.folder {
            json!(format!("s3://lake/{FOLDER}"))
        } else {
            let keys = self.files.iter().map(|(key, _)| format!("s3://lake/{key}"));
            json!(keys.collect::<Vec<_>>())
        };
        let (table, params) = (&self.table, &self.params);
        format!(
            "name = \"q{number}-{hot}\"\nhot = {hot}\n[query]\nsql = '''{sql}'''\n{params}\n[tables.t]\nuri = {uri}\n{table}"
        )
    }
}

fn rows(answer: Told) -> Told {
    answer.map(|answer| answer["data"].clone())
}
