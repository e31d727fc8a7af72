//! One read-only query over the action's own tables, and nothing else.
//!
//! Three looks, each at what it can see best: [`syntax`] at the text (where something stands), [`tables`] at the plan
//! (what is really read), and [`work`] at the optimised plan with its values (how much may come of it).

mod arguments;
mod comparisons;
mod constants;
mod plan;
mod syntax;
mod values;

pub(crate) use self::{
    comparisons::comparisons,
    constants::constants,
    plan::{capitals, tables, work},
    syntax::syntax,
    values::refused_value,
};

/// Largest compiled regular expression in bytes.
const REGEX_BYTES: usize = 1 << 20;
/// Longest regular expression in bytes.
const LONGEST_REGEX: usize = 4096;
