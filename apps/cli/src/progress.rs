//! How far a question has come, on one line of the terminal that is gone when the rows come.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use flowlake_data_action::{Progress, ProgressSnapshot};

use crate::{terminal::Terminal, text::bytes};

/// What takes less time shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);
/// Time between two looks.
const STEP: Duration = Duration::from_millis(100);
/// Looks that a rate is of: five seconds.
const LOOKS: usize = 50;
/// Goes to the begin of the line and empties it.
const CLEAR: &str = "\r\u{1b}[2K";

/// A thread that draws until it is dropped: the runtime's own may all be busy with the question.
#[derive(Debug)]
pub(crate) struct ProgressLine(Option<(Sender<()>, JoinHandle<()>)>);

impl ProgressLine {
    /// Watches an attempt, where there is a terminal to show it on.
    pub(crate) fn watch(progress: &Arc<Progress>) -> Self {
        if !Terminal::get().has_progress {
            return Self(None);
        }
        let progress = Arc::clone(progress);
        let (ended, end) = mpsc::channel();
        let drawing = thread::Builder::new().name("progress".to_owned());
        let drawing = drawing.spawn(move || {
            let mut rate = Rate::begin(now());
            let mut wait = PATIENCE;
            while end.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let snapshot = progress.snapshot();
                rate.look(now(), snapshot.bytes);
                draw(&format!("{CLEAR}{}", line(&snapshot, &rate)));
                wait = STEP;
            }
            if wait == STEP {
                draw(CLEAR);
            }
        });
        Self(drawing.ok().map(|drawing| (ended, drawing)))
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Some((ended, drawing)) = self.0.take() {
            drop(ended);
            drop(drawing.join());
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how fast a read is for the person who waits for it"
)]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stderr, reason = "the line is for the terminal alone")]
fn draw(text: &str) {
    eprint!("{text}");
}

/// Bytes a second, over the last looks.
#[derive(Debug)]
struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    fn begin(at: Instant) -> Self {
        Self([(at, 0)].into())
    }

    fn look(&mut self, at: Instant, bytes: u64) {
        if self.0.len() == LOOKS {
            self.0.pop_front();
        }
        self.0.push_back((at, bytes));
    }

    fn bytes_a_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return 0.0;
        };
        let seconds = last.0.saturating_duration_since(first.0).as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate is shown with three digits"
        )]
        let moved = last.1.saturating_sub(first.1) as f64;
        if seconds > 0.0 { moved / seconds } else { 0.0 }
    }
}

/// The parts of the line that are known.
fn line(now: &ProgressSnapshot, rate: &Rate) -> String {
    let rate = rate.bytes_a_second();
    let mut parts = Vec::new();
    match now.planned {
        None => parts.push("finding files".to_owned()),
        Some(planned) => {
            let files = if planned.files == 1 { "file" } else { "files" };
            let of = planned.bytes.max(now.bytes);
            parts.push(format!(
                "{} of {} in {} {files}",
                bytes(now.bytes),
                bytes(of),
                planned.files
            ));
            if rate >= 1.0 {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a positive rate of bytes"
                )]
                parts.push(format!("{}/s", bytes(rate as u64)));
            }
        }
    }
    if now.rows > 0 {
        parts.push(format!("{} rows", thousands(now.rows)));
    }
    if now.requests > 0 {
        parts.push(format!("{} requests", thousands(now.requests)));
    }
    let left = now
        .planned
        .map_or(0, |planned| planned.bytes.saturating_sub(now.bytes));
    if left > 0 && rate >= 1.0 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the time left is shown in whole seconds"
        )]
        let seconds = (left as f64 / rate).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive time; what is too long is shown as the longest"
        )]
        let left = Duration::from_secs(seconds as u64);
        parts.push(format!("{} left", humantime::format_duration(left)));
    }
    parts.join(", ")
}

/// A count with a comma at every thousand.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flowlake_data_action::{Planned, ProgressSnapshot};

    use super::{LOOKS, Rate, line, now, thousands};

    #[test]
    fn a_line_says_what_is_known() {
        let begin = now();
        let mut rate = Rate::begin(begin);
        let mut snapshot = ProgressSnapshot::default();
        assert_eq!(line(&snapshot, &rate), "finding files");
        snapshot.requests = 1_234;
        assert_eq!(line(&snapshot, &rate), "finding files, 1,234 requests");
        snapshot.planned = Some(Planned {
            files: 3,
            bytes: 4_000_000_000,
        });
        assert_eq!(
            line(&snapshot, &rate),
            "0 B of 4.0 GB in 3 files, 1,234 requests"
        );
        snapshot.bytes = 1_000_000_000;
        snapshot.rows = 12_345_678;
        rate.look(begin + Duration::from_secs(2), snapshot.bytes);
        assert_eq!(
            line(&snapshot, &rate),
            "1.0 GB of 4.0 GB in 3 files, 500.0 MB/s, 12,345,678 rows, 1,234 requests, 6s left"
        );
    }

    #[test]
    fn a_rate_is_of_the_last_looks() {
        let begin = now();
        let mut rate = Rate::begin(begin);
        for look in 1..=LOOKS as u64 {
            rate.look(begin + Duration::from_secs(look), 100 * look);
        }
        let (at, bytes) = (
            begin + Duration::from_secs(LOOKS as u64 + 1),
            100 * LOOKS as u64,
        );
        rate.look(at, bytes);
        assert!(rate.bytes_a_second() < 100.0 && rate.bytes_a_second() > 90.0);
    }

    #[test]
    fn thousands_have_commas() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(count), text);
        }
    }
}
