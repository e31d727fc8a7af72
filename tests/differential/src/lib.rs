#![doc = include_str!("../README.md")]

mod action;
mod check;
mod dice;
mod engine;
mod files;
mod judge;
mod lake;
mod query;
mod run;
mod shrink;
mod surprise;
mod table;
mod value;
mod way;

pub use check::{Case, Difference};
pub use judge::{JudgedTable, Question, judged, same_rows};
pub use query::{Condition, From, Order, Piece, Query};
pub use run::{Finding, Report, Settings, again, run};
pub use table::{Column, Part, Table};
pub use value::{Kind, Value};
pub use way::{Declares, Division, Encoded, Packed, Way, Written};
