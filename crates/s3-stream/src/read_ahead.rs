//! Decides how many parts of an object are fetched ahead, and how large they are, by measuring the read itself.

use std::time::{Duration, Instant};

use crate::{S3StreamSettings, settings::FIRST_WINDOW};

/// A larger window must raise the throughput by at least this factor to be kept.
const WORTHWHILE_SPEEDUP: f64 = 1.1;
/// Bytes a second of a connection to a store in the same machine or rack. A connection to S3 delivers 85 to 90 MB a second (AWS,
/// "Performance guidelines for Amazon S3"), the wait for the first byte included.
const FAST_CONNECTION: f64 = 200e6;
/// A single connection is kept if it delivers at least this share of what several deliver together.
const SINGLE_CONNECTION_SHARE: f64 = 0.75;
/// A single connection is also kept at this many bytes a second, which few readers take: the throughput of several is an estimate.
const SINGLE_CONNECTION_RATE: f64 = 1e9;
/// Bytes needed to measure the speed of several connections.
const SAMPLE_BYTES: u64 = 8 << 20;
/// Bytes needed to decide that a single connection has become slow. Leaving it costs a wait and the received bytes that nobody
/// has read.
const SINGLE_CONNECTION_SAMPLE_BYTES: u64 = 32 << 20;
/// A piece of at least this size shows that bytes arrive faster than they are read: hyper reads what has arrived, up to 408 KiB.
const BACKLOGGED_PIECE_BYTES: u64 = 256 << 10;
/// Epochs after which a doubling that was not worthwhile is tried again: the network may have changed.
const TRY_AGAIN_AFTER: u32 = 16;

/// The window (parts in flight) and the part size of one read. An epoch is as many delivered parts as the window holds.
///
/// If the reader had to wait for S3 during an epoch, the window is doubled on trial, and stays doubled if the read became faster.
/// If it never had to wait, the window stays. The part size grows with the object, up to that of the settings: a small object is
/// cut so that several parts are in flight, and a large one takes as few requests as possible.
///
/// If each connection is fast, the rest of the object is requested over a single one. It is kept while it delivers about as much as
/// all of them did, or more than the reader takes. Nothing is fetched ahead then, which takes less CPU time and memory.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    /// Most parts in flight.
    window: usize,
    /// The largest window, from the settings.
    largest_window: usize,
    /// Size of a part; the last one of an object may be smaller.
    part_bytes: u64,
    /// Parts delivered in this epoch.
    parts: usize,
    /// Their bytes, and the time that their connections needed.
    timing: PartTiming,
    /// When this epoch began.
    began: Instant,
    /// Whether the reader waited in this epoch.
    reader_waited: bool,
    /// The state before the last doubling, until it is known whether the doubling was worthwhile.
    trial: Option<Trial>,
    /// Epochs until a doubling is tried again.
    epochs_until_doubling: u32,
    /// Epochs until a single connection is tried again.
    epochs_until_single: u32,
    /// When a single connection is used: the bytes a second that it has to deliver to be kept.
    single_rate: Option<f64>,
}

/// The state before the window was doubled.
#[derive(Debug, Clone, Copy)]
struct Trial {
    window: usize,
    /// Bytes a second.
    throughput: f64,
}

/// The bytes and the transfer time of a part, or of a stretch of one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PartTiming {
    /// Bytes received.
    pub(crate) bytes: u64,
    /// Time from the first byte on during which the reader waited for this connection.
    pub(crate) time: Duration,
    /// Bytes that arrived faster than they were read.
    backlogged: u64,
    /// Whether it came over a single connection.
    pub(crate) single: bool,
}

impl PartTiming {
    /// No bytes yet, over a single connection.
    pub(crate) const SINGLE: Self = Self {
        bytes: 0,
        time: Duration::ZERO,
        backlogged: 0,
        single: true,
    };

    /// Counts a received piece.
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

impl ReadAhead {
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

    /// Most parts in flight. With a single connection it is 2: its response is opened while the part before it is still read.
    pub(crate) const fn window(&self) -> usize {
        if self.single_rate.is_some() {
            2
        } else {
            self.window
        }
    }

    /// The size of the next part in bytes; `u64::MAX` for the rest of the object.
    pub(crate) const fn part_bytes(&self) -> u64 {
        if self.is_single() {
            u64::MAX
        } else {
            self.part_bytes
        }
    }

    /// Whether the next part is passed on as it arrives, and not fetched ahead.
    pub(crate) const fn is_single(&self) -> bool {
        self.single_rate.is_some()
    }

    /// Records that the reader had to wait.
    pub(crate) const fn note_reader_waited(&mut self) {
        self.reader_waited = true;
    }

    /// Records that a part was delivered whole, and adapts the window at the end of an epoch.
    pub(crate) fn delivered(&mut self, timing: PartTiming, now: Instant) {
        if timing.single != self.is_single() {
            // It was requested before the last switch, so its speed is not that of the present mode.
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

    /// Whether to keep the single connection, judged by what it delivered since the last call. `None` if that is too little to decide.
    pub(crate) fn keeps_single_connection(
        &mut self,
        timing: PartTiming,
        now: Instant,
    ) -> Option<bool> {
        if timing.bytes < SINGLE_CONNECTION_SAMPLE_BYTES {
            return None;
        }
        // A backlog means that the reader is late, and not that the connection is slow.
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

    /// Adapts the window at the end of an epoch, given its throughput:
    ///
    /// - if a doubling was not worthwhile, the window before it is restored;
    /// - if each connection is fast, the rest is requested over a single one;
    /// - if the reader waited, the window is doubled on trial;
    /// - otherwise nothing changes.
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

    use super::{PartTiming, ReadAhead};
    use crate::S3StreamSettings;

    const PART: u64 = 4 << 20;

    fn read_ahead(bytes: u64) -> (ReadAhead, Instant) {
        read_ahead_of(&S3StreamSettings::default(), bytes)
    }

    fn read_ahead_of(settings: &S3StreamSettings, bytes: u64) -> (ReadAhead, Instant) {
        #[expect(clippy::disallowed_methods, reason = "the start of a made-up clock")]
        let now = Instant::now();
        (ReadAhead::new(settings, bytes, now), now)
    }

    /// Delivers parts at the bytes a second that `throughput` gives for the present window. Each connection brings its share, after
    /// a wait for its first byte.
    fn deliver(
        read_ahead: &mut ReadAhead,
        now: &mut Instant,
        parts: usize,
        throughput: impl Fn(usize) -> f64,
    ) {
        for _ in 0..parts {
            read_ahead.note_reader_waited();
            let throughput = throughput(read_ahead.window());
            *now += Duration::from_secs_f64(PART as f64 / throughput);
            let part = timing(PART, throughput / read_ahead.window() as f64, false);
            read_ahead.delivered(part, *now);
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
        let (mut read_ahead, mut now) = read_ahead(10 << 30);
        deliver(&mut read_ahead, &mut now, 200, |window| window as f64 * 9e7);
        assert_eq!(read_ahead.window(), S3StreamSettings::default().concurrency);
    }

    #[test]
    fn parts_that_bring_nothing_are_given_up_again() {
        let (mut read_ahead, mut now) = read_ahead(10 << 30);
        deliver(&mut read_ahead, &mut now, 12, |_| 3e8);
        assert_eq!(read_ahead.window(), 4);
        // It is tried again later, and not all the time.
        let mut wide = 0;
        for _ in 0..400 {
            deliver(&mut read_ahead, &mut now, 1, |_| 3e8);
            wide += usize::from(read_ahead.window() > 4);
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
            let (mut read_ahead, mut now) = read_ahead_of(&settings, 10 << 30);
            // Connections help as long as not all that are allowed are used, so the last doubling fails.
            let throughput = |window: usize| {
                if window < concurrency {
                    window as f64 * 3e7
                } else {
                    1e7
                }
            };
            let mut windows = vec![read_ahead.window()];
            for _ in 0..400 {
                deliver(&mut read_ahead, &mut now, 1, throughput);
                if windows.last() != Some(&read_ahead.window()) {
                    windows.push(read_ahead.window());
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
        let (mut read_ahead, mut now) = read_ahead(10 << 30);
        deliver(&mut read_ahead, &mut now, 4, |_| 2e9);
        assert!(read_ahead.is_single());
        // A part is read, and the answer with all the rest waits.
        assert_eq!(
            (read_ahead.window(), read_ahead.part_bytes()),
            (2, u64::MAX)
        );
        // What was under way before says nothing.
        for _ in 0..3 {
            read_ahead.delivered(timing(PART, 1e8, false), now);
        }
        for (bytes, rate, goes_on) in [
            (31 << 20, 1e8, None),
            (32 << 20, 2e9, Some(true)),
            (33 << 20, 1.1e9, Some(true)),
            // It has become slow: several connections again.
            (32 << 20, 3e8, Some(false)),
        ] {
            assert_eq!(
                read_ahead.keeps_single_connection(timing(bytes, rate, true), now),
                goes_on
            );
        }
        assert!(!read_ahead.is_single());
        assert_eq!((read_ahead.window(), read_ahead.part_bytes()), (4, PART));
    }

    #[test]
    fn a_wait_for_the_first_byte_does_not_hide_that_a_connection_is_fast() {
        let (mut read_ahead, mut now) = read_ahead(10 << 30);
        for _ in 0..4 {
            now += Duration::from_millis(30);
            read_ahead.delivered(timing(PART, 5e8, false), now);
        }
        assert!(read_ahead.is_single());
    }

    #[test]
    fn one_connection_that_brings_less_than_several_is_given_up_again() {
        let (mut read_ahead, mut now) = read_ahead(10 << 30);
        let mut single = 0;
        for _ in 0..200 {
            if read_ahead.is_single() {
                single += 1;
                let goes_on =
                    read_ahead.keeps_single_connection(timing(32 << 20, 2.5e8, true), now);
                assert_eq!(goes_on, Some(false));
            }
            deliver(&mut read_ahead, &mut now, 1, |window| window as f64 * 2.5e8);
        }
        assert!(
            (1..5).contains(&single),
            "{single} times over one connection"
        );
        assert_eq!(read_ahead.window(), S3StreamSettings::default().concurrency);
    }

    #[test]
    fn a_connection_that_is_ahead_of_its_reader_goes_on_alone() {
        const PIECE: u64 = 400 << 10;
        let (mut read_ahead, mut now) = read_ahead(10 << 30);
        deliver(&mut read_ahead, &mut now, 4, |_| 2e9);
        for (large, goes_on) in [(100, true), (60, false)] {
            let mut timing = PartTiming::SINGLE;
            timing.time = Duration::from_secs(1);
            for piece in 0..200 {
                timing.add(if piece < large { PIECE } else { PIECE / 2 });
            }
            assert_eq!(
                read_ahead.keeps_single_connection(timing, now),
                Some(goes_on)
            );
        }
    }

    #[test]
    fn a_slow_reader_needs_no_more_parts() {
        let (mut read_ahead, now) = read_ahead(10 << 30);
        for part in 0..100 {
            read_ahead.delivered(timing(PART, 9e7, false), now + Duration::from_millis(part));
        }
        assert_eq!(read_ahead.window(), 4);
    }

    #[test]
    fn small_objects_are_cut_into_small_parts() {
        assert_eq!(read_ahead(10 << 30).0.part_bytes(), PART);
        assert_eq!(read_ahead(8 << 20).0.part_bytes(), 2 << 20);
        assert_eq!(read_ahead(1 << 20).0.part_bytes(), 1 << 20);
    }
}
