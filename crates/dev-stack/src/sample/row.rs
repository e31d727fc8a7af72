//! One conversation, as a function of the seed and its number: any row can be made by itself.

use std::fmt;

/// The names of the columns, in order.
pub(crate) const COLUMNS: [&str; 13] = [
    "conversation_id",
    "conversation_start",
    "queue_name",
    "agent_id",
    "media_type",
    "direction",
    "ani",
    "t_handle_ms",
    "t_talk_ms",
    "t_acw_ms",
    "t_wait_ms",
    "nps_score",
    "wrapup",
];

const QUEUES: [&str; 8] = [
    "Support",
    "Sales",
    "Billing",
    "Retention",
    "Tech Tier 2",
    "Claims",
    "VIP",
    "Callback",
];
const MEDIA: [&str; 5] = ["voice", "chat", "email", "message", "callback"];
const DIRECTIONS: [&str; 2] = ["inbound", "outbound"];
/// Two of them need quotes in CSV and one needs escapes in JSON: that is their point.
const WRAPUPS: [&str; 5] = [
    "resolved",
    "transferred",
    "abandoned",
    "callback, scheduled",
    "customer said \"thanks\"",
];
const AGENTS: u64 = 500;
/// Area codes times the hundred fictional numbers of each: how many callers there can be.
pub(crate) const CALLERS: u64 = AREA_CODES * 100;
const AREA_CODES: u64 = 200;

/// One conversation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) conversation_id: uuid::Uuid,
    /// Seconds after midnight of the day.
    pub(crate) second: u32,
    pub(crate) queue_name: &'static str,
    pub(crate) agent: u64,
    pub(crate) media_type: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) caller: u64,
    pub(crate) t_handle_ms: i64,
    pub(crate) t_talk_ms: i64,
    pub(crate) t_acw_ms: i64,
    pub(crate) t_wait_ms: i64,
    /// Hundredths.
    pub(crate) nps_score: u32,
    pub(crate) wrapup: Option<&'static str>,
}

impl Row {
    /// The conversation with this number, of all those of the day.
    pub(crate) fn new(seed: u64, number: u64, of: u64) -> Self {
        let mut random = Random::new(seed, number);
        let id = (u128::from(random.next()) << 64) | u128::from(random.next());
        let t_talk_ms = random.milliseconds(300_000);
        let t_acw_ms = random.milliseconds(60_000);
        let t_hold_ms = random.milliseconds(240_000);
        Self {
            conversation_id: uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid(),
            second: u32::try_from(u128::from(number) * 86_400 / u128::from(of.max(1)))
                .unwrap_or(86_399),
            queue_name: random.pick(&QUEUES),
            agent: random.below(AGENTS),
            media_type: random.pick(&MEDIA),
            direction: random.pick(&DIRECTIONS),
            caller: random.below(CALLERS),
            t_handle_ms: t_talk_ms + t_acw_ms + t_hold_ms,
            t_talk_ms,
            t_acw_ms,
            t_wait_ms: random.milliseconds(120_000),
            nps_score: u32::try_from(random.below(1001)).unwrap_or(0),
            wrapup: (random.below(10) > 0).then(|| random.pick(&WRAPUPS)),
        }
    }

    pub(crate) fn agent_id(&self) -> AgentId {
        AgentId(self.agent)
    }

    pub(crate) fn ani(&self) -> Ani {
        Ani(self.caller)
    }
}

/// `agent-0042`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgentId(u64);

impl fmt::Display for AgentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "agent-{:04}", self.0)
    }
}

/// A telephone number kept for fiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ani(pub(crate) u64);

impl fmt::Display for Ani {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whatever the area code, 555-0100 to 555-0199 is nobody's.
        let area = 201 + (self.0 / 100) * 3;
        write!(formatter, "+1{area}55501{:02}", self.0 % 100)
    }
}

/// `SplitMix64`, seeded for each row: small, fast, and the same for ever.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut start = Self(seed ^ 0x5EED_F10E_1A4E_0000);
        let base = start.next();
        Self(base ^ stream.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to one less than the limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(limit)) >> 64).unwrap_or(0)
    }

    fn milliseconds(&mut self, limit: u64) -> i64 {
        i64::try_from(self.below(limit)).unwrap_or(0)
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_depends_on_seed_and_number_alone() {
        assert_eq!(Row::new(7, 3, 10), Row::new(7, 3, 10));
        assert_ne!(Row::new(7, 3, 10), Row::new(8, 3, 10));
        assert_ne!(Row::new(7, 3, 10), Row::new(7, 4, 10));
        let row = Row::new(42, 0, 1);
        assert_eq!(row.conversation_id.get_version_num(), 4);
        assert!(row.t_handle_ms >= row.t_talk_ms + row.t_acw_ms);
    }

    #[test]
    fn numbers_are_fictional_and_distinct() {
        let all: std::collections::BTreeSet<String> =
            (0..CALLERS).map(|caller| Ani(caller).to_string()).collect();
        assert_eq!(all.len() as u64, CALLERS);
        for ani in &all {
            assert_eq!(ani.len(), 12, "{ani}");
            assert_eq!(&ani[5..10], "55501", "{ani}");
        }
    }
}
