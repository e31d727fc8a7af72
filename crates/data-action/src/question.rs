//! A question that no action file declares: SQL over files that it names itself, asked by a person at a shell.
//!
//! It becomes an action that exists for one attempt, and is answered and recorded as every other.

use std::{collections::BTreeMap, path::PathBuf};

use flowlake_transform::{Limits, ParamSpec, Prepared, TableSpec, TransformSpec};

use crate::{Action, ActionDefinition, ActionError, ErrorCode, definition::QueryDefinition};

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
            folder,
        } = question;
        let spec = TransformSpec {
            sql: sql.clone(),
            tables: tables.clone(),
            params: params.clone(),
            limits: limits.clone(),
        };
        let prepared = Prepared::ask(spec, &folder);
        let prepared = prepared.map_err(|error| ActionError::from(error).of_question())?;
        let definition = ActionDefinition {
            name: QUESTION.to_owned(),
            description: String::new(),
            genesys_token: false,
            hot: false,
            index: Vec::new(),
            cache: None,
            tables,
            params,
            limits,
            budget: None,
            genesys: None,
            query: QueryDefinition { sql },
        };
        Ok(Self::of(definition, prepared, None))
    }
}

impl ActionError {
    /// The same error with what a person at a shell can do about it.
    pub(crate) fn of_question(self) -> Self {
        let advice = match self.code() {
            ErrorCode::ConfigInvalid => "Correct the file's name, or the options of -t.",
            ErrorCode::ParamInvalid => "Write --param NAME=VALUE, or --param NAME:TYPE=VALUE.",
            ErrorCode::SqlInvalid => "Correct the SQL.",
            ErrorCode::SqlNotAllowed => "Write one SELECT.",
            ErrorCode::SqlUnknownColumn => "Use a column that the file has.",
            ErrorCode::SqlUnknownTable => {
                "Name the file itself, FROM 'data/calls.csv' or FROM 's3://bucket/key', or declare the table with -t NAME=FILE."
            }
            ErrorCode::DataMalformed => {
                "Correct the file at that place, or say how it is written and what to do with such rows: -t NAME=FILE,on_error=skip."
            }
            ErrorCode::DataNoFiles => "Correct the name or the pattern of the files.",
            ErrorCode::LimitTimeout => "Read less, or give it more time with --timeout.",
            ErrorCode::LimitOutput => {
                "Select fewer rows or columns, or write them to a file with --output."
            }
            _ => return self,
        };
        self.with_advice(advice)
    }
}
