//! Comparisons of moments as docs/functions.md says them: a moment without a zone is one of UTC, and a moment with more digits
//! than a column holds is not cut to them. The engine's own rules do otherwise.

mod casts;
mod exact;
mod spans;
mod steps;
mod utc;

use std::sync::Arc;

use datafusion::{
    execution::SessionStateBuilder,
    optimizer::{Analyzer, Optimizer},
};

use self::{
    casts::PlainCasts, exact::ExactMoments, spans::ComparedSpans, steps::ExactSteps,
    utc::UtcMoments,
};
use crate::{
    comparisons::{ComputedCasts, WideFloats},
    decimals::ExactDecimals,
    kept_text::{KeptText, OwnCasts},
    writable::WritableTimes,
};

/// Puts our rules before and behind those of the engine.
pub(crate) fn register(builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut analyzer = Analyzer::new().rules;
    analyzer.insert(0, Arc::new(UtcMoments));
    analyzer.insert(0, Arc::new(ExactSteps));
    analyzer.insert(0, Arc::new(WideFloats));
    analyzer.insert(0, Arc::new(ExactDecimals));
    analyzer.insert(0, Arc::new(OwnCasts));
    // Behind the rule that makes types agree.
    analyzer.push(Arc::new(KeptText));
    analyzer.push(Arc::new(PlainCasts));
    analyzer.push(Arc::new(ComparedSpans));
    analyzer.push(Arc::new(ComputedCasts));
    analyzer.push(Arc::new(WritableTimes));
    let mut optimizer = Optimizer::new().rules;
    optimizer.insert(0, Arc::new(ExactMoments));
    builder
        .with_analyzer_rules(analyzer)
        .with_optimizer_rules(optimizer)
}
