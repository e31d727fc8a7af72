//! Medians, and the page on which they are kept.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result};

/// Figures of one thing that was measured several times.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// Seconds of each run.
    pub seconds: Vec<f64>,
    /// Seconds of processor time of each run.
    pub cpu_seconds: Vec<f64>,
    /// Peak memory of each run in MiB.
    pub peak_mib: Vec<f64>,
}

/// The middle one, or the mean of the two middle ones; 0 of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

/// Replaces one section of a page, or adds it at the end. A section begins with its heading (`## …`) and ends before the next.
///
/// # Errors
/// When the page cannot be written.
pub fn write_section(page: &Path, heading: &str, body: &str) -> Result<()> {
    let old = std::fs::read_to_string(page).unwrap_or_else(|_| "# Benchmarks\n".to_owned());
    let mut new = String::new();
    let mut inside = false;
    for line in old.lines() {
        if line.starts_with("## ") {
            inside = line == heading;
        }
        if !inside {
            writeln!(new, "{line}")?;
        }
    }
    let text = format!("{}\n\n{heading}\n\n{}\n", new.trim_end(), body.trim());
    std::fs::write(page, text).with_context(|| format!("{} cannot be written", page.display()))
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
