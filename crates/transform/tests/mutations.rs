//! Mutated CSV and JSON through the entry points of fuzzing, on a stable toolchain: nothing panics, and the pieces that
//! text comes in do not matter.
//!
//! The ordinary run is short and always the same. `FLOWLAKE_FUZZ_SECONDS=300 cargo nextest run -p flowlake-transform
//! mutations` goes on for that long for each target with a new seed, and prints it.

#![expect(clippy::print_stderr, reason = "a long run says what it has done")]

use std::time::{Duration, Instant, SystemTime};

use flowlake_transform::fuzzing;

const CSV: [&[u8]; 6] = [
    b"\x00a,b,c,d\n1,x,1.5,2026-01-01\n2,\"y\"\"z\",,\n",
    b"\x81a,b,c,d\r\n\"1\",\"l\r\nl\",2e3,2026-02-30\r\n",
    b"\x92b;a\n#;1\n\"x\";2\n;\n\n\"\n\";3\n",
    b"\x71#c\na;b\n\"x\\\"y\";1\n#\n",
    b"\x02a\n9223372036854775808\n-1\n\xff\n\0\n",
    b"\x82\"a\"x,b\n1\n1,2,3,4,5\n",
];
const JSON: [&[u8]; 6] = [
    b"\x00{\"a\":1,\"b\":\"x\",\"c\":1.5,\"d\":\"2026-01-01\"}\n{\"a\":null}\n",
    b"\x11[{\"a\":1},{\"b\":\"\\u0041\\\"]}\"} , {\"c\":-1e300}]",
    b"\x12{\"a\":1}{\"a\":\"x\"}\n{\"a\":[{}]}",
    b"\x31{\"x\":[1,{\"e\":[]}],\"e\":[{\"a\":1},{\"a\":2}],\"y\":\"z\"}",
    b"\x02{\"a\":1}{\"a\":2}\n{\"a\":\n3}\nnull\n[]\n",
    b"\x32{\"e\":[{\"a\":true,\"a\":2,\"d\":\"no\"}]}",
];
const TOKENS: [&[u8]; 24] = [
    b",",
    b";",
    b"\"",
    b"\"\"",
    b"\n",
    b"\r",
    b"\r\n",
    b"\\",
    b"#",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\"a\":",
    b"null",
    b"1e999",
    b"-",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"{\"e\":[",
    b"99999999999999999999",
    b" ",
];

/// xorshift64*: enough chance for mutations, and nothing to install.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % limit.max(1)
    }
}

fn mutate(chance: &mut Chance, seeds: &[&[u8]]) -> Vec<u8> {
    let mut text = seeds[chance.below(seeds.len())].to_vec();
    if chance.below(4) == 0 {
        let other = seeds[chance.below(seeds.len())];
        let cut = chance.below(text.len());
        text.truncate(cut + 1);
        text.extend_from_slice(&other[chance.below(other.len())..]);
    }
    for _ in 0..chance.below(6) {
        let at = chance.below(text.len());
        match chance.below(5) {
            0 => {
                let byte = u8::try_from(chance.below(256)).unwrap_or(0);
                text[at] = byte;
            }
            1 => {
                text.remove(at);
            }
            2 => {
                let token = TOKENS[chance.below(TOKENS.len())];
                text.splice(at..at, token.iter().copied());
            }
            3 => {
                let end = (at + chance.below(20)).min(text.len());
                let copy = text[at..end].to_vec();
                text.splice(at..at, copy);
            }
            _ => text.truncate(at.max(1)),
        }
        if text.is_empty() {
            text.push(0);
        }
    }
    text
}

fn run(name: &str, seeds: &[&[u8]], target: fn(&[u8])) {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long to run, which only its caller knows"
    )]
    let seconds = std::env::var("FLOWLAKE_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse::<u64>().ok());
    let seed = match seconds {
        None => 0x5eed,
        Some(_) => SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(1, |time| time.as_secs() | 1),
    };
    let mut chance = Chance(seed);
    #[expect(
        clippy::disallowed_methods,
        reason = "real time is what the run is given"
    )]
    let began = Instant::now();
    let mut runs = 0_u64;
    for text in seeds {
        target(text);
    }
    while seconds.map_or(runs < 3000, |limit| {
        began.elapsed() < Duration::from_secs(limit)
    }) {
        let text = mutate(&mut chance, seeds);
        let result = std::panic::catch_unwind(|| target(&text));
        assert!(
            result.is_ok(),
            "{name}, seed {seed}, run {runs}: {:?}",
            String::from_utf8_lossy(&text)
        );
        runs += 1;
    }
    eprintln!("{name}: {runs} runs in {:?}, seed {seed}", began.elapsed());
}

#[test]
fn csv() {
    run("csv", &CSV, fuzzing::csv);
}

#[test]
fn json() {
    run("json", &JSON, fuzzing::json);
}
