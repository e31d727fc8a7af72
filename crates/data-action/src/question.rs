//! A question that no action file declares: SQL over files that it names itself, asked by a person at a shell.
//!
//! It becomes an action that exists for one attempt, and is answered and recorded as every other.

mod elsewhere;
mod unquoted;

use std::{collections::BTreeMap, path::PathBuf};

use flowlake_transform::{ErrorKind, Limits, ParamSpec, Place, Prepared, TableSpec, TransformSpec};

use crate::{
    Action, ActionDefinition, ActionError, EngineChoice, ErrorCode, Excerpt,
    definition::QueryDefinition, error::CHECK_URI,
};

/// What a question is called in records, budgets and the profile. No action file can have this name.
pub(crate) const QUESTION: &str = "(sql)";

/// What somebody asks. Only the command line does: files of this machine can be named.
#[derive(Debug, Clone)]
pub struct Question {
    /// One SELECT, which may name files in single quotes in place of tables.
    pub sql: String,
    /// Tables with options, by name.
    pub tables: BTreeMap<String, TableSpec>,
    /// The parameters.
    pub params: BTreeMap<String, ParamSpec>,
    /// What the answer may take.
    pub limits: Limits,
    /// Which machines read objects of S3; files of this machine are read here.
    pub engine: EngineChoice,
    /// The folder that names of files are relative to; absolute.
    pub folder: PathBuf,
}

impl Action {
    /// Checks a question as far as that goes without reading a file.
    ///
    /// # Errors
    /// The codes `config.invalid` and `sql.*`.
    pub fn ask(question: Question) -> Result<Self, ActionError> {
        let Question {
            sql,
            tables,
            params,
            limits,
            engine,
            folder,
        } = question;
        let spec = TransformSpec {
            sql: sql.clone(),
            tables: tables.clone(),
            params: params.clone(),
            limits: limits.clone(),
        };
        let prepared = Prepared::ask(spec, &folder);
        let prepared = prepared.map_err(|error| {
            let mut error = ActionError::from(error).with_shell_advice(false);
            if let Some(advice) = elsewhere::advice(&sql) {
                error = error.with_advice(advice);
            }
            let place = error.place();
            let place = place.or_else(|| Place::of_quoted(&sql, error.message()));
            error = error.with_place(place);
            let file = error.place();
            let file = file.and_then(|place| unquoted::file_at(&sql, place));
            if let Some(file) = file {
                error = error.with_advice(&format!(
                    "Put the name of the file in single quotes: FROM '{file}'."
                ));
            }
            let excerpt = error.place();
            let excerpt = excerpt.and_then(|place| Excerpt::of(None, &sql, place));
            error.with_excerpt(excerpt)
        })?;
        let definition = ActionDefinition {
            name: QUESTION.to_owned(),
            description: String::new(),
            genesys_token: false,
            hot: false,
            index: Vec::new(),
            cache: None,
            engine,
            tables,
            params,
            limits: limits.into(),
            budget: None,
            genesys: None,
            query: QueryDefinition { sql },
            source: None,
        };
        Ok(Self::of(definition, prepared, None))
    }
}

impl ActionError {
    /// The same error with advice for a person at a shell, who has no action file to correct.
    /// `is_inspected`: the command is `flowlake inspect`, whose options are written as `--set KEY=VALUE`.
    pub(crate) fn with_shell_advice(self, is_inspected: bool) -> Self {
        let kind = self.kind_of_transform();
        let is_of_files = kind.is_some();
        let advice = match self.code() {
            ErrorCode::DataMalformed if is_inspected => {
                "Correct the file, or say how it is written (--set KEY=VALUE)."
            }
            ErrorCode::LimitScan if is_inspected => {
                "Name fewer files, or allow more: --set max_files=COUNT."
            }
            ErrorCode::ConfigInvalid if kind == Some(ErrorKind::UndeclaredParam) => {
                "Give each $NAME of the SQL a value: --param NAME=VALUE."
            }
            ErrorCode::ConfigInvalid if kind == Some(ErrorKind::InvalidParamSpec) => {
                "Write --param NAME=VALUE for each $NAME of the SQL, and for no other; names have small letters, digits and `_`."
            }
            ErrorCode::ConfigInvalid if is_inspected && is_of_files => {
                "Correct the file's name, or its options (`--set KEY=VALUE`)."
            }
            // All else is in flowlake.toml.
            ErrorCode::ConfigInvalid if is_of_files => {
                "Correct the file's name, or its options (`-t`, of `inspect` `--set`)."
            }
            ErrorCode::ParamInvalid => "Write --param NAME=VALUE, or --param NAME:TYPE=VALUE.",
            ErrorCode::SqlNotAllowed if kind == Some(ErrorKind::NotAQuery) => "Write one SELECT.",
            // The message says what to write instead.
            ErrorCode::SqlInvalid | ErrorCode::SqlNotAllowed => "Correct the SQL.",
            ErrorCode::SqlUnknownColumn => "Use a column that the file has.",
            ErrorCode::SqlUnknownTable => {
                "Name the file itself, FROM 'data/calls.csv' or FROM 's3://bucket/key', or declare the table with -t NAME=FILE."
            }
            ErrorCode::DataMalformed => {
                "Correct the file, say how it is written (-t NAME=FILE,KEY=VALUE), or leave out rows that do not fit (-t NAME=FILE,on_error=skip)."
            }
            ErrorCode::DataNoFiles if is_of_files => {
                "Name files that are there and have at least a header."
            }
            ErrorCode::LimitTimeout => "Read less, or give it more time with --timeout.",
            ErrorCode::LimitOutput => {
                "Select fewer rows or columns, or write them to a file with --output."
            }
            ErrorCode::S3NoSuchKey => {
                // What may be wrong with the name, behind the advice, stays.
                let Some(hint) = self.advice().strip_prefix(CHECK_URI) else {
                    return self;
                };
                let check = "Check the name of the object, letter by letter: a `/` ends the name of a folder.";
                let advice = format!("{check}{hint}");
                return self.with_advice(&advice);
            }
            ErrorCode::S3NoSuchBucket => "Check the name of the bucket.",
            ErrorCode::LimitScan => {
                "Name fewer files, or allow more: -t NAME=FILE,max_files=COUNT."
            }
            ErrorCode::S3Unavailable if is_of_files => "Check that S3 can be reached.",
            _ => return self,
        };
        self.with_advice(advice)
    }
}
