//! How many parts to fetch ahead, and how large: learned from the read itself.

use std::time::{Duration, Instant};

use crate::{S3StreamSettings, settings::FIRST_WINDOW};

/// A larger window must bring at least this much more throughput to be kept.
const WORTHWHILE_SPEEDUP: f64 = 1.1;
/// Bytes a second of a connection to a store in the same machine or rack. A connection to S3 brings 85 to 90 MB a second (AWS,
/// "Performance guidelines for Amazon S3"), the wait for the first byte included.
const FAST_CONNECTION: f64 = 200e6;
/// A single connection is kept when it brings at least this share of what several bring together.
const SINGLE_CONNECTION_SHARE: f64 = 0.75;
/// A single connection is also kept at this many bytes a second, which few readers take: what several bring is an estimate.
const SINGLE_CONNECTION_RATE: f64 = 1e9;
/// Fewer bytes do not show how fast several connections are.
const SAMPLE_BYTES: u64 = 8 << 20;
/// Fewer bytes do not show that a single connection has become slow. Leaving it costs a wait and the bytes it has sent that
/// nobody has read.
const SINGLE_CONNECTION_SAMPLE_BYTES: u64 = 32 << 20;
/// A piece of this size comes from a connection that receives faster than it is read: hyper reads what it finds, up to 408 KiB.
const BACKLOGGED_PIECE_BYTES: u64 = 256 << 10;
/// Epochs after which a window that was not worthwhile is tried again: the network may have changed.
const TRY_AGAIN_AFTER: u32 = 16;

/// The pace of one read. An epoch is as many parts as the window holds.
///
/// When the reader had to wait for S3 in an epoch, the window is doubled, and kept so if that made the read faster. When
/// it never had to wait, S3 is fast enough as it is. Parts grow with the object, up to the settings' size: a small object is cut
/// so that several parts run at once, a large one costs no more requests than it must.
///
/// Where each connection is fast, one is asked for all the rest, and kept while it brings about as much as all of them did, or
/// more than is taken: nothing is fetched ahead then, which costs less processor time and memory.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Parts that may be under way.
    window: usize,
    /// Where the window stops growing.
    largest_window: usize,
    /// Bytes of each part but the last.
    part_bytes: u64,
    /// Parts that were delivered in this epoch.
    parts: usize,
    /// Their bytes, and the time that their connections took.
    timing: PartTiming,
    /// When this epoch began.
    began: Instant,
    /// Whether the reader waited in this epoch.
    reader_waited: bool,
    /// What was before the window was last doubled, while it is not known whether that was worthwhile.
    trial: Option<Trial>,
    /// Epochs until a doubling is tried again.
    epochs_until_doubling: u32,
    /// Epochs until a single connection is tried again.
    epochs_until_single: u32,
    /// The bytes a second that the connection has to bring, when a single one is used.
    single_rate: Option<f64>,
}

/// The state before the window was doubled.
#[derive(Debug, Clone, Copy)]
struct Trial {
    window: usize,
    /// Bytes a second.
    throughput: f64,
}

/// How fast one part came, or a stretch of one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PartTiming {
    /// The bytes that came.
    pub(crate) bytes: u64,
    /// The time from its first byte on in which its connection could bring bytes and was waited for.
    pub(crate) time: Duration,
    /// Those of its bytes that came faster than they were read.
    backlogged: u64,
    /// Whether a single connection was used for it.
    pub(crate) single: bool,
}

impl PartTiming {
    /// Nothing yet, over a single connection.
    pub(crate) const SINGLE: Self = Self {
        bytes: 0,
        time: Duration::ZERO,
        backlogged: 0,
        single: true,
    };

    /// Counts a piece that came.
    pub(crate) const fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        if bytes >= BACKLOGGED_PIECE_BYTES {
            self.backlogged += bytes;
        }
    }

    /// Bytes a second.
    fn rate(self) -> f64 {
        throughput(self.bytes, self.time)
    }
}

fn throughput(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.max(Duration::from_micros(1)).as_secs_f64()
}

impl Pace {
    pub(crate) fn new(settings: &S3StreamSettings, bytes: u64, now: Instant) -> Self {
        Self {
            window: FIRST_WINDOW.min(settings.concurrency),
            largest_window: settings.concurrency,
            part_bytes: settings.part_bytes_of(bytes),
            parts: 0,
            timing: PartTiming::default(),
            began: now,
            reader_waited: false,
            trial: None,
            epochs_until_doubling: 0,
            epochs_until_single: 0,
            single_rate: None,
        }
    }

    /// How many parts may be under way. The answer that brings all the rest is opened while a part before it is read.
    pub(crate) const fn window(&self) -> usize {
        if self.single_rate.is_some() {
            2
        } else {
            self.window
        }
    }

    /// The size of the next part in bytes, or all that is left.
    pub(crate) const fn part_bytes(&self) -> u64 {
        if self.is_single() {
            u64::MAX
        } else {
            self.part_bytes
        }
    }

    /// Whether the next part is to be passed on as it comes, and not fetched ahead.
    pub(crate) const fn is_single(&self) -> bool {
        self.single_rate.is_some()
    }

    /// Notes that the reader had to wait.
    pub(crate) const fn note_reader_waited(&mut self) {
        self.reader_waited = true;
    }

    /// Notes that a part was delivered whole, and judges the window at the end of an epoch.
    pub(crate) fn delivered(&mut self, timing: PartTiming, now: Instant) {
        if timing.single != self.is_single() {
            // It was sent before that decision, so it does not show the present speed.
            self.start_epoch(now);
            return;
        }
        self.parts += 1;
        self.timing.bytes += timing.bytes;
        self.timing.time += timing.time;
        if self.parts == self.window() {
            let time = now.saturating_duration_since(self.began);
            self.judge_window(throughput(self.timing.bytes, time));
            self.start_epoch(now);
        }
    }

    /// Whether a single connection is to be kept, given what it has brought since the last call; `None` when that is too little to
    /// decide.
    pub(crate) fn keeps_single_connection(
        &mut self,
        timing: PartTiming,
        now: Instant,
    ) -> Option<bool> {
        if timing.bytes < SINGLE_CONNECTION_SAMPLE_BYTES {
            return None;
        }
        // A connection is not slow when a busy processor reads its bytes late.
        let is_ahead = timing.backlogged > timing.bytes / 2;
        let is_fast = |at_least| is_ahead || timing.rate() >= at_least;
        let is_kept = self.single_rate.is_some_and(is_fast);
        if !is_kept {
            self.single_rate = None;
            self.epochs_until_single = TRY_AGAIN_AFTER;
            self.start_epoch(now);
        }
        Some(is_kept)
    }

    fn start_epoch(&mut self, now: Instant) {
        self.parts = 0;
        self.timing = PartTiming::default();
        self.began = now;
        self.reader_waited = false;
    }

    /// Decides at the end of an epoch, whose throughput is given:
    ///
    /// - after a doubling that was not worthwhile, the window before it is restored;
    /// - when each connection is fast, one is asked for all the rest;
    /// - when the reader waited, the window is doubled on trial;
    /// - otherwise all stays as it is.
    fn judge_window(&mut self, throughput: f64) {
        if let Some(before) = self.trial.take()
            && throughput < before.throughput * WORTHWHILE_SPEEDUP
        {
            self.window = before.window;
            self.epochs_until_doubling = TRY_AGAIN_AFTER;
            return;
        }
        let each = self.timing.rate();
        if self.epochs_until_single > 0 {
            self.epochs_until_single -= 1;
        } else if self.timing.bytes >= SAMPLE_BYTES && each >= FAST_CONNECTION {
            self.single_rate = Some(
                (each * self.window as f64 * SINGLE_CONNECTION_SHARE).min(SINGLE_CONNECTION_RATE),
            );
            return;
        }
        if self.epochs_until_doubling > 0 {
            self.epochs_until_doubling -= 1;
        } else if self.reader_waited && self.window < self.largest_window {
            self.trial = Some(Trial {
                window: self.window,
                throughput,
            });
            self.window = (self.window * 2).min(self.largest_window);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Pace, PartTiming};
    use crate::S3StreamSettings;

    const PART: u64 = 4 << 20;

    fn pace(bytes: u64) -> (Pace, Instant) {
        pace_of(&S3StreamSettings::default(), bytes)
    }

    fn pace_of(settings: &S3StreamSettings, bytes: u64) -> (Pace, Instant) {
        #[expect(clippy::disallowed_methods, reason = "the start of a made-up clock")]
        let now = Instant::now();
        (Pace::new(settings, bytes, now), now)
    }

    /// Delivers parts at the bytes a second that `throughput` gives for the present window. Each connection brings its share, after
    /// a wait for its first byte.
    fn deliver(
        pace: &mut Pace,
        now: &mut Instant,
        parts: usize,
        throughput: impl Fn(usize) -> f64,
    ) {
        for _ in 0..parts {
            pace.note_reader_waited();
            let throughput = throughput(pace.window());
            *now += Duration::from_secs_f64(PART as f64 / throughput);
            let part = timing(PART, throughput / pace.window() as f64, false);
            pace.delivered(part, *now);
        }
    }

    /// A part over a connection of `rate` bytes a second.
    fn timing(bytes: u64, rate: f64, single: bool) -> PartTiming {
        let time = Duration::from_secs_f64(bytes as f64 / rate);
        PartTiming {
            bytes,
            time,
            single,
            ..PartTiming::default()
        }
    }

    #[test]
    fn latency_is_hidden_by_more_parts() {
        let (mut pace, mut now) = pace(10 << 30);
        deliver(&mut pace, &mut now, 200, |window| window as f64 * 9e7);
        assert_eq!(pace.window(), S3StreamSettings::default().concurrency);
    }

    #[test]
    fn parts_that_bring_nothing_are_given_up_again() {
        let (mut pace, mut now) = pace(10 << 30);
        deliver(&mut pace, &mut now, 12, |_| 3e8);
        assert_eq!(pace.window(), 4);
        // It is tried again later, and not all the time.
        let mut wide = 0;
        for _ in 0..400 {
            deliver(&mut pace, &mut now, 1, |_| 3e8);
            wide += usize::from(pace.window() > 4);
        }
        assert!(
            (10..150).contains(&wide),
            "{wide} of 400 parts with a wide window"
        );
    }

    #[test]
    fn a_failed_doubling_restores_the_window_before_it() {
        for concurrency in 1..40 {
            let settings = S3StreamSettings {
                concurrency,
                ..S3StreamSettings::default()
            };
            let (mut pace, mut now) = pace_of(&settings, 10 << 30);
            // Connections help as long as not all that are allowed are used, so the last doubling fails.
            let throughput = |window: usize| {
                if window < concurrency {
                    window as f64 * 3e7
                } else {
                    1e7
                }
            };
            let mut windows = vec![pace.window()];
            for _ in 0..400 {
                deliver(&mut pace, &mut now, 1, throughput);
                if windows.last() != Some(&pace.window()) {
                    windows.push(pace.window());
                }
            }
            // 4, 8, ..., all that are allowed; then the one before and all again and again.
            let growing = windows.iter().take_while(|window| **window < concurrency);
            let growing = growing.count();
            let best = windows[growing.saturating_sub(1)];
            for pair in windows[growing..].chunks(2) {
                assert_eq!(pair[0], concurrency, "{windows:?}");
                assert!(
                    pair[1..].iter().all(|window| *window == best),
                    "{windows:?}"
                );
            }
        }
    }

    #[test]
    fn one_fast_connection_is_enough() {
        let (mut pace, mut now) = pace(10 << 30);
        deliver(&mut pace, &mut now, 4, |_| 2e9);
        assert!(pace.is_single());
        // A part is read, and the answer with all the rest waits.
        assert_eq!((pace.window(), pace.part_bytes()), (2, u64::MAX));
        // What was under way before says nothing.
        for _ in 0..3 {
            pace.delivered(timing(PART, 1e8, false), now);
        }
        for (bytes, rate, goes_on) in [
            (31 << 20, 1e8, None),
            (32 << 20, 2e9, Some(true)),
            (33 << 20, 1.1e9, Some(true)),
            // It has become slow: several connections again.
            (32 << 20, 3e8, Some(false)),
        ] {
            assert_eq!(
                pace.keeps_single_connection(timing(bytes, rate, true), now),
                goes_on
            );
        }
        assert!(!pace.is_single());
        assert_eq!((pace.window(), pace.part_bytes()), (4, PART));
    }

    #[test]
    fn a_wait_for_the_first_byte_does_not_hide_that_a_connection_is_fast() {
        let (mut pace, mut now) = pace(10 << 30);
        for _ in 0..4 {
            now += Duration::from_millis(30);
            pace.delivered(timing(PART, 5e8, false), now);
        }
        assert!(pace.is_single());
    }

    #[test]
    fn one_connection_that_brings_less_than_several_is_given_up_again() {
        let (mut pace, mut now) = pace(10 << 30);
        let mut single = 0;
        for _ in 0..200 {
            if pace.is_single() {
                single += 1;
                let goes_on = pace.keeps_single_connection(timing(32 << 20, 2.5e8, true), now);
                assert_eq!(goes_on, Some(false));
            }
            deliver(&mut pace, &mut now, 1, |window| window as f64 * 2.5e8);
        }
        assert!(
            (1..5).contains(&single),
            "{single} times over one connection"
        );
        assert_eq!(pace.window(), S3StreamSettings::default().concurrency);
    }

    #[test]
    fn a_connection_that_is_ahead_of_its_reader_goes_on_alone() {
        const PIECE: u64 = 400 << 10;
        let (mut pace, mut now) = pace(10 << 30);
        deliver(&mut pace, &mut now, 4, |_| 2e9);
        for (large, goes_on) in [(100, true), (60, false)] {
            let mut timing = PartTiming::SINGLE;
            timing.time = Duration::from_secs(1);
            for piece in 0..200 {
                timing.add(if piece < large { PIECE } else { PIECE / 2 });
            }
            assert_eq!(pace.keeps_single_connection(timing, now), Some(goes_on));
        }
    }

    #[test]
    fn a_slow_reader_needs_no_more_parts() {
        let (mut pace, now) = pace(10 << 30);
        for part in 0..100 {
            pace.delivered(timing(PART, 9e7, false), now + Duration::from_millis(part));
        }
        assert_eq!(pace.window(), 4);
    }

    #[test]
    fn small_objects_are_cut_into_small_parts() {
        assert_eq!(pace(10 << 30).0.part_bytes(), PART);
        assert_eq!(pace(8 << 20).0.part_bytes(), 2 << 20);
        assert_eq!(pace(1 << 20).0.part_bytes(), 1 << 20);
    }
}
