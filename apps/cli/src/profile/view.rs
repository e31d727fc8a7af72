//! The figures of a server as lines for a terminal.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    colour::Colour,
    grid::{GridColumn, grid, shortened, visible},
    text::bytes,
};

/// Heights of a bar.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Looks that the line of rates goes back.
const REMEMBERED: usize = 60;
/// Latest requests that are shown where there is room.
const RECENT: usize = 10;

/// What the person has chosen, and what was seen before.
#[derive(Debug, Default)]
pub(super) struct View {
    window: usize,
    order: usize,
    /// Requests since the start at each look, with the time in milliseconds.
    seen: Vec<(u64, u64)>,
}

/// How long back the figures go: the name of the window, and what it is called.
const WINDOWS: [(&str, &str); 3] = [
    ("last_minute", "the last minute"),
    ("last_hour", "the last hour"),
    ("since_start", "since the start"),
];

/// What actions are sorted by, the most first.
const ORDERS: [(&str, &str); 4] = [
    ("/requests", "requests"),
    ("/duration/p99_ms", "p99"),
    ("/errors", "failures"),
    ("/bytes", "bytes"),
];

impl View {
    /// Takes a key. Returns whether it is that to leave.
    pub(super) fn key(&mut self, key: u8) -> bool {
        match key {
            b'w' => self.window = (self.window + 1) % WINDOWS.len(),
            b's' => self.order = (self.order + 1) % ORDERS.len(),
            // Escape, and Ctrl-D.
            b'q' | 0x1b | 4 => return true,
            _ => {}
        }
        false
    }

    /// Notes how many requests there were.
    pub(super) fn note(&mut self, status: &Value) {
        let now = whole(status, "/at_unix_ms");
        let requests = whole(status, "/profile/total_requests");
        // A server that was started again begins from none.
        if self.seen.last().is_some_and(|(_, last)| *last > requests) {
            self.seen.clear();
        }
        self.seen.push((now, requests));
        if self.seen.len() > REMEMBERED + 1 {
            self.seen.remove(0);
        }
    }

    /// Draws the figures, in no more than `size` of columns and lines where it is given.
    pub(super) fn draw(
        &self,
        status: &Value,
        place: &str,
        problem: Option<&str>,
        size: Option<(usize, usize)>,
        colour: Colour,
    ) -> String {
        let (window, called) = WINDOWS[self.window];
        let mut lines = head(status, place, problem, colour);
        lines += &totals(&status["profile"]["windows"][window], called, colour);
        if self.seen.len() > 2 {
            lines += &format!("rate      {}\n", self.rates());
        }
        lines += &load(status);
        let width = size.map(|(width, _)| width);
        let shown = self.actions(status, window);
        let shown = grid(shown, width);
        let errors = errors(status);
        let keys = match size {
            Some(_) => format!(
                "q leaves · w window: {called} · s order: {}",
                ORDERS[self.order].1
            ),
            None => String::new(),
        };
        let taken = lines.lines().count() + errors.lines().count() + keys.lines().count();
        let room = size.map_or(usize::MAX, |(_, height)| height.saturating_sub(taken));
        let mut body = cut(&shown, room);
        let room = room.saturating_sub(body.lines().count());
        // With its frame and its header.
        if room > 4 {
            let most = RECENT.min(room.saturating_sub(4));
            body += &cut(&grid(recent(status, most), width), room);
        }
        let all = format!("{lines}{body}{errors}{keys}");
        match width {
            // A line that is too long would become two.
            Some(width) => all
                .lines()
                .map(|line| match line.contains('\u{1b}') {
                    true => line.to_owned(),
                    false => shortened(line, width),
                })
                .collect::<Vec<_>>()
                .join("\n"),
            None => all,
        }
    }

    /// Requests a second between the looks, as bars of which the highest is the most.
    fn rates(&self) -> String {
        let pairs = self.seen.windows(2);
        let rates: Vec<f64> = pairs
            .map(|pair| {
                let milliseconds = pair[1].0.saturating_sub(pair[0].0).max(1);
                (pair[1].1 - pair[0].1) as f64 * 1000.0 / milliseconds as f64
            })
            .collect();
        let most = rates.iter().copied().fold(0.0, f64::max);
        let bars: String = rates
            .iter()
            .map(|rate| {
                let height = if most > 0.0 { rate / most * 7.0 } else { 0.0 };
                let bar = BARS.iter().enumerate();
                let bar = bar
                    .take_while(|(at, _)| *at as f64 <= height.round())
                    .last();
                bar.map_or(BARS[0], |(_, bar)| *bar)
            })
            .collect();
        let last = rates.last().copied().unwrap_or_default();
        format!("{bars} {last:.1}/s now, {most:.1}/s at most")
    }

    fn actions(&self, status: &Value, window: &str) -> Vec<GridColumn> {
        let empty = serde_json::Map::new();
        let known = status["profile"]["actions"].as_object().unwrap_or(&empty);
        let mut rows: Vec<(&String, &Value)> = known
            .iter()
            .map(|(name, action)| (name, &action["windows"][window]))
            .collect();
        let (by, _) = ORDERS[self.order];
        rows.sort_by(|(_, one), (_, other)| number(other, by).total_cmp(&number(one, by)));
        let column = |name: &str, cell: &dyn Fn(&Value) -> String| GridColumn {
            name: name.to_owned(),
            is_number: true,
            cells: rows.iter().map(|(_, figures)| cell(figures)).collect(),
        };
        vec![
            GridColumn {
                name: "action".to_owned(),
                is_number: false,
                cells: rows.iter().map(|(name, _)| (*name).clone()).collect(),
            },
            column("requests", &|row| whole(row, "/requests").to_string()),
            column("a second", &|row| {
                format!("{:.1}", number(row, "/requests_per_second"))
            }),
            column("p50", &|row| time(number(row, "/duration/p50_ms"))),
            column("p90", &|row| time(number(row, "/duration/p90_ms"))),
            column("p99", &|row| time(number(row, "/duration/p99_ms"))),
            column("failed", &|row| share(number(row, "/error_rate"))),
            column("cached", &|row| share(number(row, "/cache_hit_rate"))),
            column("from S3", &|row| bytes(whole(row, "/bytes"))),
        ]
    }
}

/// Where the figures are from, and whether the server is well.
fn head(status: &Value, place: &str, problem: Option<&str>, colour: Colour) -> String {
    let version = status["version"].as_str().unwrap_or("of unknown version");
    let state = match status["unready_reason"].as_str() {
        None => colour.green("ready"),
        Some(reason) => colour.alarm(&format!("not ready: {}", visible(reason))),
    };
    let mut lines = format!("flowlake  {version} at {place} · {state}\n");
    if let Some(problem) = problem {
        let told = format!("these are its last figures: {}", visible(problem));
        lines += &format!("{}\n", colour.alarm(&told));
    }
    let parts = status["parts"].as_array().into_iter().flatten();
    for part in parts.filter(|part| part["up"] == false) {
        let name = part["part"].as_str().unwrap_or_default();
        let detail = part["detail"].as_str().unwrap_or_default();
        let told = format!("down      {name}: {}", visible(detail));
        lines += &format!("{}\n", colour.alarm(&told));
    }
    let warnings = status["warnings"].as_array().into_iter().flatten();
    for warning in warnings.filter_map(Value::as_str) {
        lines += &format!("warning   {}\n", visible(warning));
    }
    lines
}

fn totals(figures: &Value, called: &str, colour: Colour) -> String {
    let failed = number(figures, "/error_rate");
    let told = format!("{} failed", share(failed));
    let told = if failed > 0.0 {
        colour.alarm(&told)
    } else {
        told
    };
    format!(
        "requests  {:.1}/s in {called} ({}), {told}, {} cached, {} from S3\ntimes     p50 {}, p90 {}, p99 {}, longest {}\n",
        number(figures, "/requests_per_second"),
        whole(figures, "/requests"),
        share(number(figures, "/cache_hit_rate")),
        bytes(whole(figures, "/bytes")),
        time(number(figures, "/duration/p50_ms")),
        time(number(figures, "/duration/p90_ms")),
        time(number(figures, "/duration/p99_ms")),
        time(number(figures, "/duration/max_ms")),
    )
}

/// What runs and waits at this moment, and what it takes.
fn load(status: &Value) -> String {
    let mut lines = "now       ".to_owned();
    for lane in ["reads", "lookups", "aggregates"] {
        let figures = &status["load"][lane];
        let _ = write!(
            lines,
            "{lane} {} of {}, ",
            whole(figures, "/running"),
            whole(figures, "/room")
        );
        let (queued, refused) = (whole(figures, "/queued"), whole(figures, "/refused"));
        if queued + refused > 0 {
            let _ = write!(lines, "{queued} wait, {refused} were refused, ");
        }
    }
    let _ = writeln!(
        lines,
        "connections {}, {} of {} of tables in memory",
        whole(status, "/connections"),
        bytes(whole(status, "/pipeline/hot_bytes")),
        bytes(whole(status, "/pipeline/hot_limit_bytes"))
    );
    lines
}

/// Failures since the start, by code.
fn errors(status: &Value) -> String {
    let empty = serde_json::Map::new();
    let known = status["profile"]["errors"].as_object().unwrap_or(&empty);
    let told: Vec<String> = known
        .iter()
        .map(|(code, count)| format!("{code} {count}"))
        .collect();
    match told.is_empty() {
        true => String::new(),
        false => format!("failures  {}\n", told.join(", ")),
    }
}

/// The latest requests, the newest first.
fn recent(status: &Value, most: usize) -> Vec<GridColumn> {
    let entries = status["profile"]["recent_entries"].as_array();
    let entries: Vec<&Value> = entries.into_iter().flatten().rev().take(most).collect();
    let column = |name: &str, is_number: bool, cell: &dyn Fn(&Value) -> String| GridColumn {
        name: name.to_owned(),
        is_number,
        cells: entries.iter().map(|entry| cell(entry)).collect(),
    };
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    vec![
        column("ended", false, &|entry| clock(whole(entry, "/at_unix_ms"))),
        column("action", false, &|entry| text(entry, "action")),
        column("code", false, &|entry| text(entry, "code")),
        column("took", true, &|entry| time(number(entry, "/duration_ms"))),
        column("rows", true, &|entry| whole(entry, "/rows").to_string()),
        column("from S3", true, &|entry| bytes(whole(entry, "/bytes"))),
    ]
}

/// The first lines, with a line end each.
fn cut(text: &str, most: usize) -> String {
    let lines = text.lines().take(most);
    lines.map(|line| format!("{line}\n")).collect()
}

fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_default()
}

fn whole(value: &Value, pointer: &str) -> u64 {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_default()
}

fn time(milliseconds: f64) -> String {
    match milliseconds {
        short if short < 1.0 => format!("{:.0} µs", short * 1000.0),
        long if long >= 10_000.0 => format!("{:.1} s", long / 1000.0),
        other => format!("{other:.1} ms"),
    }
}

fn share(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// The time of day, in UTC.
fn clock(at_unix_ms: u64) -> String {
    let at = i64::try_from(at_unix_ms).ok();
    let at = at.and_then(chrono::DateTime::from_timestamp_millis);
    at.map_or_else(String::new, |at| at.format("%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use unicode_width::UnicodeWidthStr;

    use super::View;
    use crate::colour::Colour;

    fn status(requests: u64) -> Value {
        let window = |count: u64, p99: f64| {
            json!({ "requests": count, "errors": 1, "requests_per_second": 2.5, "error_rate": 0.01, "cache_hit_rate": 0.5, "bytes": 1_500_000, "rows": 9,
                "duration": { "count": count, "mean_ms": 2.0, "p50_ms": 0.25, "p90_ms": 3.0, "p99_ms": p99, "max_ms": 12_345.0 } })
        };
        let windows = |count, p99| json!({ "last_minute": window(count, p99), "last_hour": window(count * 10, p99), "since_start": window(count * 100, p99) });
        json!({
            "version": "0.1.0", "at_unix_ms": 1_767_225_600_000_u64 + requests * 100, "unready_reason": null,
            "warnings": ["the disk is nearly full"], "connections": 5,
            "parts": [{ "part": "audit", "up": true }, { "part": "s3", "up": false, "detail": "s3.access_denied" }],
            "load": { "reads": { "running": 3, "room": 64, "queued": 2, "refused": 1 }, "lookups": { "running": 0, "room": 512, "queued": 0, "refused": 0 }, "aggregates": { "running": 0, "room": 16, "queued": 0, "refused": 0 } },
            "pipeline": { "hot_bytes": 0, "hot_limit_bytes": 512_000_000 },
            "profile": { "total_requests": requests, "windows": windows(150, 8.0), "errors": { "s3.no_such_key": 3 },
                "actions": { "look-up": { "windows": windows(100, 4.0) }, "queue-summary": { "windows": windows(50, 900.0) } },
                "recent_entries": [{ "at_unix_ms": 1_767_225_600_000_u64, "action": "look-up", "code": "ok", "duration_ms": 1.5, "bytes": 10, "rows": 1, "cache_hit": false }] },
        })
    }

    fn drawn(view: &View, size: Option<(usize, usize)>) -> String {
        view.draw(
            &status(10),
            "http://127.0.0.1:9090",
            None,
            size,
            Colour::NONE,
        )
    }

    #[test]
    fn the_figures_of_a_server() {
        let mut view = View::default();
        for requests in [0, 10, 30] {
            view.note(&status(requests));
        }
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!("figures", drawn(&view, None));
        });
    }

    #[test]
    fn keys_choose_the_window_and_the_order() {
        let mut view = View::default();
        let first = |view: &View| {
            let told = drawn(view, None);
            told.find("look-up").unwrap() < told.find("queue-summary").unwrap()
        };
        assert!(first(&view) && !view.key(b's') && !first(&view));
        assert!(!view.key(b'w') && drawn(&view, None).contains("the last hour (1500)"));
        assert!(view.key(b'q') && View::default().key(0x1b));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_none_is_below_it() {
        for (width, height) in [(80, 24), (40, 10), (20, 5), (200, 60)] {
            let mut view = View::default();
            view.note(&status(1));
            let told = drawn(&view, Some((width, height)));
            assert!(
                told.lines().all(|line| line.width() <= width.max(40)),
                "{told}"
            );
            assert!(
                told.lines().count() <= height.max(10),
                "{width} {height}\n{told}"
            );
        }
    }

    #[test]
    fn a_server_that_begins_again_has_no_rate_below_none() {
        let mut view = View::default();
        for requests in [500, 600, 3, 13, 23] {
            view.note(&status(requests));
        }
        let told = drawn(&view, None);
        assert!(told.contains("10.0/s now, 10.0/s at most"), "{told}");
    }
}
