//! How many parts to fetch ahead, and how large: learned from the read itself.

use std::time::{Duration, Instant};

use crate::S3StreamSettings;

/// Parts that a read starts with.
const FIRST_WINDOW: usize = 4;
/// A larger window must bring at least this much more throughput to be kept.
const WORTHWHILE: f64 = 1.1;
/// More than the bytes a second of one connection to S3: those are 85 to 90 MB (AWS, "Performance guidelines for Amazon S3").
const S3_CONNECTION: f64 = 100e6;
/// Bytes a second of one connection to a store in the same machine or rack: more connections would only cost memory.
const FAST_CONNECTION: f64 = 150e6;
/// Fewer bytes do not tell how fast a connection is.
const TELLING_BYTES: u64 = 8 << 20;
/// The size of a part that is passed on as it comes over a fast connection.
const FAST_PART_BYTES: u64 = 64 << 20;
/// Epochs after which a window that was not worthwhile is tried again: the network may have changed.
const TRY_AGAIN_AFTER: u32 = 16;

/// The pace of one read. An epoch is as many parts as the window holds.
///
/// When the reader had to wait for S3 in an epoch, the window is doubled, and kept so if that made the read faster. When
/// it never had to wait, S3 is fast enough as it is. Parts grow with the object, up to the settings' size: a small object is cut
/// so that several parts run at once, a large one costs no more requests than it must. Where each connection is fast, one is
/// enough: then parts are long, and nothing is fetched ahead.
#[derive(Debug)]
pub(crate) struct Pace {
    window: usize,
    largest_window: usize,
    part_bytes: u64,
    /// The parts and bytes of this epoch, when it began, and whether the reader waited in it.
    parts: usize,
    bytes: u64,
    began: Instant,
    waited: bool,
    /// The throughput before the window was last doubled, while it is not known whether that was worthwhile.
    on_trial: Option<f64>,
    /// Epochs until a doubling is tried again.
    rest: u32,
    /// Whether one connection is enough.
    fast: bool,
    /// Whether an epoch is over.
    warm: bool,
}

/// The size of the parts that a read of so many bytes is cut into.
pub(crate) fn part_bytes(settings: &S3StreamSettings, bytes: u64) -> u64 {
    let window = FIRST_WINDOW.min(settings.concurrency);
    let smallest = settings.min_part_bytes.min(settings.part_bytes);
    let share = bytes.div_ceil(window.max(1) as u64);
    share.clamp(smallest.max(1), settings.part_bytes.max(1))
}

impl Pace {
    pub(crate) fn new(settings: &S3StreamSettings, bytes: u64, now: Instant) -> Self {
        let window = FIRST_WINDOW.min(settings.concurrency);
        Self {
            window,
            largest_window: settings.concurrency,
            part_bytes: part_bytes(settings, bytes),
            parts: 0,
            bytes: 0,
            began: now,
            waited: false,
            on_trial: None,
            rest: 0,
            fast: false,
            warm: false,
        }
    }

    /// How many parts may be under way.
    pub(crate) const fn window(&self) -> usize {
        if self.fast { 1 } else { self.window }
    }

    /// The size of the next part in bytes.
    pub(crate) const fn part_bytes(&self) -> u64 {
        if self.fast && FAST_PART_BYTES > self.part_bytes {
            return FAST_PART_BYTES;
        }
        self.part_bytes
    }

    /// Whether the next part is to be passed on as it comes.
    pub(crate) const fn is_fast(&self) -> bool {
        self.fast
    }

    /// The reader had to wait.
    pub(crate) const fn waited(&mut self) {
        self.waited = true;
    }

    /// A part of `bytes` was delivered whole.
    pub(crate) fn delivered(&mut self, bytes: u64, now: Instant) {
        self.parts += 1;
        self.bytes += bytes;
        if self.parts < self.window() {
            return;
        }
        let seconds = now
            .saturating_duration_since(self.began)
            .max(Duration::from_micros(1))
            .as_secs_f64();
        self.epoch(self.bytes as f64 / seconds);
        (self.parts, self.bytes, self.began, self.waited) = (0, 0, now, false);
    }

    fn epoch(&mut self, throughput: f64) {
        let connections = self.window() as f64;
        self.fast = self.bytes >= TELLING_BYTES && throughput >= FAST_CONNECTION * connections;
        if self.fast {
            self.on_trial = None;
            return;
        }
        if let Some(before) = self.on_trial.take()
            && throughput < before * WORTHWHILE
        {
            self.window = (self.window / 2).max(1);
            self.rest = TRY_AGAIN_AFTER;
            return;
        }
        // The first epoch is slowed down by its beginning. Where the next may show that connections are fast, it has as many.
        let is_first = !std::mem::replace(&mut self.warm, true);
        let may_be_fast = self.bytes >= TELLING_BYTES && throughput >= S3_CONNECTION * connections;
        if is_first && may_be_fast {
            return;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        if self.waited && self.window < self.largest_window {
            self.on_trial = Some(throughput);
            self.window = (self.window * 2).min(self.largest_window);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pace;
    use crate::S3StreamSettings;

    const PART: u64 = 4 << 20;

    fn pace(bytes: u64) -> (Pace, Instant) {
        #[expect(clippy::disallowed_methods, reason = "the start of a made-up clock")]
        let now = Instant::now();
        (Pace::new(&S3StreamSettings::default(), bytes, now), now)
    }

    /// Delivers parts at what `throughput` gives, in bytes a second, for the window of the moment.
    fn deliver(
        pace: &mut Pace,
        now: &mut Instant,
        parts: usize,
        throughput: impl Fn(usize) -> f64,
    ) {
        for _ in 0..parts {
            pace.waited();
            *now += Duration::from_secs_f64(PART as f64 / throughput(pace.window()));
            pace.delivered(PART, *now);
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
    fn one_fast_connection_is_enough() {
        let (mut pace, mut now) = pace(10 << 30);
        deliver(&mut pace, &mut now, 4, |_| 2e9);
        assert!(pace.is_fast());
        assert_eq!((pace.window(), pace.part_bytes()), (1, 64 << 20));
        for (seconds, still_fast) in [(0.1, true), (0.3, true), (0.7, false)] {
            now += Duration::from_secs_f64(seconds);
            pace.delivered(64 << 20, now);
            assert_eq!(pace.is_fast(), still_fast);
        }
        // It has become slow: several connections again.
        assert_eq!((pace.window(), pace.part_bytes()), (4, PART));
        deliver(&mut pace, &mut now, 200, |window| window as f64 * 9e7);
        assert_eq!(pace.window(), S3StreamSettings::default().concurrency);
    }

    #[test]
    fn a_slow_beginning_does_not_hide_that_a_connection_is_fast() {
        let (mut pace, mut now) = pace(10 << 30);
        deliver(&mut pace, &mut now, 4, |_| 5e8);
        assert_eq!((pace.window(), pace.is_fast()), (4, false));
        deliver(&mut pace, &mut now, 4, |_| 1e9);
        assert!(pace.is_fast());
        // Where it was no beginning, more connections are tried.
        let (mut other, mut now) = self::pace(10 << 30);
        deliver(&mut other, &mut now, 200, |window| window as f64 * 1.2e8);
        assert_eq!(other.window(), S3StreamSettings::default().concurrency);
    }

    #[test]
    fn a_slow_reader_needs_no_more_parts() {
        let (mut pace, now) = pace(10 << 30);
        for part in 0..100 {
            pace.delivered(PART, now + Duration::from_millis(part));
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
