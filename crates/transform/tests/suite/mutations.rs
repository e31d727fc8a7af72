//! Mutated input through the entry points of fuzzing, on a stable toolchain: nothing panics, and what must hold of it holds.
//!
//! The ordinary run is short and always the same. `FLOWLAKE_FUZZ_SECONDS=300 cargo nextest run -p flowlake-transform
//! mutations` goes on for that long for each target with a new seed, and prints it.

#![expect(clippy::print_stderr, reason = "a long run says what it has done")]

use std::time::{Duration, Instant, SystemTime};

use flowlake_transform::fuzzing;

const CSV: [&[u8]; 8] = [
    b"\x00a,b,c,d\n1,x,1.5,2026-01-01\n2,\"y\"\"z\",,\n",
    b"\x81a,b,c,d\r\n\"1\",\"l\r\nl\",2e3,2026-02-30\r\n",
    b"\x92b;a\n#;1\n\"x\";2\n;\n\n\"\n\";3\n",
    b"\x71#c\na;b\n\"x\\\"y\";1\n#\n",
    b"\x02a\n9223372036854775808\n-1\n\xff\n\0\n",
    b"\x82\"a\"x,b\n1\n1,2,3,4,5\n",
    b"\x01f,g,h,i\n1.25,2026-01-05T10:00:00.5+01:00,true,7\n-0.50,2026-01-05 10:00,FALSE,255\n",
    b"\x02a,f,c\n0071,1.255,9007199254740993\n-0,1e1,.5\n",
];
const JSON: [&[u8]; 8] = [
    b"\x00{\"a\":1,\"b\":\"x\",\"c\":1.5,\"d\":\"2026-01-01\"}\n{\"a\":null}\n",
    b"\x11[{\"a\":1},{\"b\":\"\\u0041\\\"]}\"} , {\"c\":-1e300}]",
    b"\x12{\"a\":1}{\"a\":\"x\"}\n{\"a\":[{}]}",
    b"\x31{\"x\":[1,{\"e\":[]}],\"e\":[{\"a\":1},{\"a\":2}],\"y\":\"z\"}",
    b"\x02{\"a\":1}{\"a\":2}\n{\"a\":\n3}\nnull\n[]\n",
    b"\x32{\"e\":[{\"a\":true,\"a\":2,\"d\":\"no\"}]}",
    b"\x01{\"f\":1.25,\"g\":\"2026-01-05T10:00:00.5Z\",\"h\":true,\"i\":7}\n{\"f\":\"1.50\",\"g\":1767605400000,\"h\":\"no\"}\n",
    b"\x02{\"a\":1.9,\"c\":9007199254740993,\"i\":300}\n{\"a\":\"007\",\"f\":1.255}\n",
];
/// Stored, fixed and own codes; names; several members.
const GZIP: [&[u8]; 5] = [
    b"\x07\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff\x78\x2e\x63\x73\x76\x00\xcb\x4c\xd1\x29\x2c\x4d\x2d\x4d\xe5\x32\xd4\x09\x4e\xcc\x49\x2d\xe6\x32\x82\xd2\x00\xdf\x14\x25\x56\x19\x00\x00\x00",
    b"\x01\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x4b\x4c\x4a\xa4\x2a\x4c\x4e\x49\x4d\x4b\xcf\x40\x26\x01\xee\x5d\x01\xa8\x62\x00\x00\x00",
    b"\x40\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x05\x00\xfa\xff\x68\x65\x6c\x6c\x6f\x86\xa6\x10\x36\x05\x00\x00\x00\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\x03\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x4b\x4c\x4a\x4e\x49\x4d\x4b\xcf\xc8\xcc\xca\xce\xc9\xcd\xcb\x2f\x28\x2c\x2a\x2e\x29\x2d\x2b\xaf\xa8\xac\x4a\x24\x47\x26\x31\x09\x08\x92\xa1\x20\x05\x0d\xa4\x12\x00\x69\x40\x60\x60\x68\x64\x0c\x00\x0f\x5d\xda\x55\x94\x00\x00\x00",
    b"\x05\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x2d\x8d\xd9\x0d\x00\x51\x08\x02\xff\xad\xc5\xa6\x80\xe7\xd1\x7f\x05\x8b\xc9\x9a\x18\x05\x99\x18\xd4\xa0\x08\x40\x4d\x2d\xd2\xeb\x23\x64\x23\xa2\xf0\x17\x89\xbd\x88\x0f\xcf\xca\x3a\x12\xe1\x29\x36\xd1\x7d\x9e\x84\x7d\x52\xc2\x54\xd8\x28\x8d\x86\x85\x34\x75\xd0\x84\xcc\xad\xfb\xbe\x7d\xf9\x0f\x06\x27\x78\x00\x00\x00",
];
/// Where a seed begins with a number, it chooses the type and what is declared besides.
const PARAMS: [&[u8]; 10] = [
    b"\x04\x00+1y",
    b"\x04\x08+100000y",
    b"\x05\x00-12h",
    b"\x05\x082026-03-29T02:30:00.5",
    b"\x02\x02[\"1.50\", \"-0.001\"]",
    b"\x01\x019223372036854775807",
    b"\x00\x04sales-1",
    b"\x06\x02Sales, Tech Tier 2",
    b"\x07\x00+12025550142",
    b"\x00\x80{\"type\":\"date\",\"default\":\"-7d\",\"min\":\"-1mo\"}",
];
const URIS: [&[u8]; 9] = [
    b"s3://b//b/a/{p}.\nx",
    b"s3://lake/{p} \nx",
    b"s3://lake/a\tb/{p}.csv\nx",
    b"s3://lake/exports/{date}/calls.csv\n2026-01-01",
    b"s3://b/a/{p}/x-{p}.csv\n..",
    b"s3://b/{a}{b}\nK\xc3\xb6ln",
    b"s3://lake/exports/*/calls.csv\n%2e",
    b"s3://lake/p/\n/",
    b"s3://lake/a b/{p}\n a\\",
];
const SQL: [&[u8]; 8] = [
    b"SELECT queue, count(*) AS n FROM t WHERE queue = $q GROUP BY queue ORDER BY n",
    b"SELECT * FROM t a JOIN t b ON a.agent = b.agent AND a.ms < b.ms",
    b"WITH x AS (SELECT ms FROM t) SELECT sum(ms) OVER (ORDER BY ms) AS s FROM x",
    b"SELECT (SELECT what FROM secret) AS s FROM t",
    b"COPY t TO 's3://lake/x.csv'",
    b"SELECT * FROM generate_series(1, 100) UNION ALL SELECT ms FROM t",
    b"SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)') AS n FROM t",
    b"SELECT CASE WHEN ms > 1 THEN CAST(ms AS VARCHAR) ELSE upper(queue) END AS c FROM t LIMIT 2",
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

fn run(name: &str, seeds: &[&[u8]], most: u64, target: fn(&[u8])) {
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
    while seconds.map_or(runs < most, |limit| {
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
    run("csv", &CSV, 3000, fuzzing::csv);
}

#[test]
fn json() {
    run("json", &JSON, 3000, fuzzing::json);
}

#[test]
fn gzip() {
    run("gzip", &GZIP, 5_000, flowlake_gunzip::fuzzing::gzip);
}

#[test]
fn params() {
    run("params", &PARAMS, 20_000, fuzzing::params);
}

#[test]
fn uri() {
    run("uri", &URIS, 20_000, fuzzing::uri);
}

#[test]
fn guard() {
    run("guard", &SQL, 300, fuzzing::guard);
}
