//! What goes wrong in one schedule, all of it by its seed.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{Rng, SeedableRng, rngs::StdRng};

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The head of the answer is an error of S3's.
    Status(u16, &'static str),
    /// The connection fails before the head.
    Refused,
    /// No head ever comes.
    Silent,
    /// The head comes late, and still in time.
    Late,
    /// The body ends early, and the connection says nothing of it.
    Truncated,
    /// The body breaks off.
    Reset,
    /// The body stops without end.
    Stalled,
    /// The body comes in small pieces with pauses.
    Slow,
    /// The body has more bytes than its head says.
    TooLong,
    /// A byte of the body is another.
    Corrupt,
    /// The head announces another range.
    WrongRange,
    /// The head announces another length.
    WrongLength,
    /// The head announces another size of the object.
    WrongSize,
    /// The range is ignored: the whole object comes.
    Whole,
}

/// What does not depend on the request.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) length: usize,
    /// How many requests of a hundred have a fault.
    percent: u32,
    /// Whether S3 keeps a checksum, which bytes that change on the way need to be noticed.
    pub(crate) has_checksum: bool,
    /// Whether conditions are heeded; some stand-ins for S3 do not.
    pub(crate) heeds_conditions: bool,
    /// The object is replaced before these requests.
    pub(crate) replaced_at: Vec<u64>,
    pub(crate) part_bytes: u64,
    pub(crate) concurrency: usize,
    pub(crate) budget_bytes: u64,
    pub(crate) attempts: u32,
    pub(crate) operation: Operation,
}

/// What the reader does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Whole,
    Range(u64, u64),
    Ranges(Vec<(u64, u64)>),
    /// The stream is dropped after this many bytes.
    Dropped(u64),
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let length = match rng.random_range(0..10) {
            0 => 0,
            1 => rng.random_range(1..3),
            2..8 => rng.random_range(1..20_000),
            _ => rng.random_range(20_000..150_000),
        };
        let place = |rng: &mut StdRng| rng.random_range(0..=length.max(1) as u64);
        let range = |rng: &mut StdRng| {
            let (a, b) = (place(rng), place(rng));
            (a.min(b), a.max(b))
        };
        let operation = match rng.random_range(0..6) {
            0..3 => Operation::Whole,
            3 => {
                let (start, end) = range(&mut rng);
                Operation::Range(start, end)
            }
            4 => Operation::Ranges(
                (0..rng.random_range(1..6))
                    .map(|_| range(&mut rng))
                    .collect(),
            ),
            _ => Operation::Dropped(place(&mut rng)),
        };
        let replaced = rng.random_range(0..4_u32).saturating_sub(2);
        Self {
            seed,
            length,
            percent: [0, 5, 20, 50, 90][rng.random_range(0..5)],
            has_checksum: rng.random(),
            heeds_conditions: rng.random_range(0..4) > 0,
            replaced_at: (0..replaced).map(|_| rng.random_range(0..12)).collect(),
            part_bytes: rng.random_range(200..8_000),
            concurrency: rng.random_range(1..9),
            budget_bytes: [1 << 10, 16 << 10, 1 << 20][rng.random_range(0..3)],
            attempts: rng.random_range(1..5),
            operation,
        }
    }

    /// What happens to the nth request for `what`: the same whatever the order in which requests come.
    pub(crate) fn fault(&self, what: (&str, u64), nth: u64) -> (Option<Fault>, StdRng) {
        let mut hasher = DefaultHasher::new();
        (self.seed, what, nth).hash(&mut hasher);
        let mut rng = StdRng::seed_from_u64(hasher.finish());
        if !rng.random_ratio(self.percent, 100) {
            return (None, rng);
        }
        let faults = [
            Fault::Status(503, "SlowDown"),
            Fault::Status(500, "InternalError"),
            Fault::Refused,
            Fault::Silent,
            Fault::Late,
            Fault::Truncated,
            Fault::Reset,
            Fault::Stalled,
            Fault::Slow,
            Fault::TooLong,
            Fault::Corrupt,
            Fault::WrongRange,
            Fault::WrongLength,
            Fault::WrongSize,
            Fault::Whole,
        ];
        let fault = faults[rng.random_range(0..faults.len())];
        let unnoticeable =
            fault == Fault::Corrupt && !(self.has_checksum && self.operation == Operation::Whole);
        (Some(fault).filter(|_| !unnoticeable), rng)
    }
}
