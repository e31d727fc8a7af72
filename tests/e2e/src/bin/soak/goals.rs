//! What has to be true at the end: each goal is printed as met or lost, and one that is lost fails the run.

use anyhow::{Result, ensure};

/// The goals that were looked at.
#[derive(Default)]
pub(crate) struct Goals {
    lost: Vec<String>,
}

impl Goals {
    /// Notes whether a goal is met; `measured` says what was found.
    pub(crate) fn check(&mut self, goal: &str, is_met: bool, measured: &str) {
        let result = if is_met { "met: " } else { "LOST:" };
        println!("{result} {goal}: {measured}");
        if !is_met {
            self.lost.push(goal.to_owned());
        }
    }

    /// # Errors
    /// When a goal was lost.
    pub(crate) fn end(self) -> Result<()> {
        ensure!(self.lost.is_empty(), "lost: {}", self.lost.join("; "));
        Ok(())
    }
}
