//! What is counted, as it is kept.

use std::collections::{BTreeMap, VecDeque};

use crate::sample::Sample;
use crate::series::Series;

/// Actions past the limit are counted under this name.
const OTHER: &str = "other";

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) started_unix_ms: u64,
    pub(crate) all: Series,
    pub(crate) actions: BTreeMap<String, Series>,
    /// The latest requests, as they came: shown seldom, replaced all the time.
    pub(crate) recent: VecDeque<Sample>,
}

impl State {
    /// The series of an action, or that of all which came too late.
    pub(crate) fn series(&mut self, action: &str, max_actions: usize) -> &mut Series {
        let known = self.actions.contains_key(action);
        let name = if known || self.actions.len() < max_actions {
            action
        } else {
            OTHER
        };
        if !self.actions.contains_key(name) {
            self.actions.insert(name.to_owned(), Series::new());
        }
        self.actions
            .get_mut(name)
            .expect("the action was inserted above")
    }
}
