//! Files as other programs write them, whole and damaged, compared with another decoder.

#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "seeded numbers are cut to size; a test fails by panicking"
)]

use std::io::{Read, Write};

use flate2::{Compression, GzBuilder, bufread::MultiGzDecoder};

use flowlake_gunzip::{fuzzing::decompress, inflate};

fn by_another(file: &[u8]) -> (Vec<u8>, bool) {
    let mut decoder = MultiGzDecoder::new(file);
    let mut plain = Vec::new();
    let mut buffer = [0; 999];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return (plain, true),
            Ok(read) => plain.extend_from_slice(&buffer[..read]),
            Err(_) => return (plain, false),
        }
    }
}

fn check(file: &[u8], piece_bytes: usize) {
    let (mut expected, mut whole) = by_another(file);
    // The other decoder knows no zeros behind the last member.
    let mut end = file.len();
    while !whole && end > 0 && file[end - 1] == 0 {
        end -= 1;
        (expected, whole) = by_another(&file[..end]);
    }
    let (plain, found_whole) = decompress(file, piece_bytes);
    assert_eq!(
        found_whole,
        whole,
        "{} bytes in pieces of {piece_bytes}",
        file.len()
    );
    if whole {
        assert!(plain == expected, "other bytes, in pieces of {piece_bytes}");
    } else {
        // The decoders may give different amounts before they report a fault, but no wrong bytes.
        assert!(expected.starts_with(&plain) || plain.starts_with(&expected));
    }
}

/// Numbers that look random, and are the same each time.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    fn plain(&mut self) -> Vec<u8> {
        let most = [0, 1, 300, 30_000, 400_000][self.below(5)];
        let length = self.below(most + 1);
        let kind = self.below(5);
        let mut plain = Vec::with_capacity(length + 64);
        while plain.len() < length {
            match kind {
                0 => plain.push(self.below(256) as u8),
                1 => plain.push(b"ab"[self.below(2)]),
                2 => plain.resize(length, b'x'),
                // Few of many symbols are common, so that some codes are long.
                3 => plain.push((self.below(16) * self.below(16) * self.below(2)) as u8),
                _ => {
                    let (id, number) = (self.below(usize::MAX), self.below(90_000));
                    let queue = ["Support", "Sales", "Tech Tier 2"][number % 3];
                    plain.extend(
                        format!("{id:016x},{queue},+4930{number},{}\n", number / 7).bytes(),
                    );
                }
            }
        }
        plain.truncate(length);
        plain
    }

    fn member(&mut self) -> Vec<u8> {
        let plain = self.plain();
        let mut header = GzBuilder::new();
        if self.below(3) == 0 {
            header = header.filename("calls.csv").comment("yesterday's");
        }
        if self.below(3) == 0 {
            header = header.extra(vec![1; self.below(300)]);
        }
        let level = Compression::new(self.below(10) as u32);
        let mut writer = header.write(Vec::new(), level);
        let (before, after) = plain.split_at(self.below(plain.len() + 1));
        writer.write_all(before).unwrap();
        if self.below(2) == 0 {
            writer.flush().unwrap();
        }
        writer.write_all(after).unwrap();
        writer.finish().unwrap()
    }

    fn damage(&mut self, file: &mut Vec<u8>) {
        match self.below(4) {
            0 => file.truncate(self.below(file.len())),
            1 => file.extend((0..self.below(30)).map(|byte| byte as u8)),
            _ => {
                for _ in 0..=self.below(3) {
                    let place = self.below(file.len());
                    file[place] ^= 1 << self.below(8);
                }
            }
        }
    }
}

#[test]
fn files_are_decompressed_as_by_another_decoder() {
    let mut seeded = Seeded(0x9e37_79b9_7f4a_7c15);
    for round in 0..60 {
        let mut file = seeded.member();
        for _ in 0..seeded.below(3) {
            file.extend(seeded.member());
        }
        let most = [2, 40, 5_000, 1 << 20][seeded.below(4)];
        let piece_bytes = 1 + seeded.below(most);
        check(&file, piece_bytes);
        if round % 2 == 0 {
            seeded.damage(&mut file);
            check(&file, piece_bytes);
        }
    }
}

#[test]
fn what_repeats_after_few_bytes_is_repeated() {
    let mut seeded = Seeded(3);
    for period in 1..70 {
        let repeated: Vec<u8> = (0..period).map(|_| seeded.below(256) as u8).collect();
        let mut writer = GzBuilder::new().write(Vec::new(), Compression::default());
        for _ in 0..20 {
            let length = seeded.below(600);
            let run: Vec<u8> = repeated.iter().copied().cycle().take(length).collect();
            writer.write_all(&run).unwrap();
        }
        check(&writer.finish().unwrap(), 1 << 20);
    }
}

#[test]
fn a_file_cut_off_anywhere_is_reported() {
    let mut seeded = Seeded(7);
    let mut writer = GzBuilder::new()
        .filename("x")
        .extra(vec![2; 9])
        .write(Vec::new(), Compression::best());
    for number in 0..60 {
        writeln!(writer, "{},{number}", seeded.below(usize::MAX)).unwrap();
    }
    let file = writer.finish().unwrap();
    for length in 0..file.len() {
        let (plain, whole) = decompress(&file[..length], 17);
        assert!(!whole, "{length} of {} bytes", file.len());
        assert!(by_another(&file).0.starts_with(&plain));
    }
    assert!(decompress(&file, 17).1);
}

#[test]
fn headers_are_checked() {
    let empty_block = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let file = |flags: u8, rest: &[u8]| {
        let header = [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
        [&header[..], rest, &empty_block].concat()
    };
    let whole = |file: &[u8]| decompress(file, 1 + file.len() / 100).1;
    assert!(whole(&file(0, &[])));
    // The low half of the header's own checksum, and another.
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &file(2, &[])[..10]);
    let [low, high, ..] = checksum.to_le_bytes();
    assert!(whole(&file(2, &[low, high])));
    assert!(!whole(&file(2, &[low, !high])));
    assert!(!whole(&file(0x20, &[])), "a flag that has no meaning yet");
    assert!(!whole(&file(8, &[b'x'; 300_000])), "a name without an end");
    let mut other_method = file(0, &[]);
    other_method[2] = 7;
    assert!(!whole(&other_method));
}

#[test]
fn a_match_never_reaches_into_the_member_before() {
    // A fixed block that begins with a match: 3 bytes from 1 before.
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    file.extend([0b0000_0011, 0b0000_0010, 0, 0]);
    file.extend([0; 8]);
    let mut first = GzBuilder::new().write(Vec::new(), Compression::fast());
    first.write_all(b"secret of another member").unwrap();
    let mut both = first.finish().unwrap();
    both.extend(&file);
    for bytes in [&file, &both] {
        assert!(!decompress(bytes, 100).1);
        check(bytes, 100);
    }
}

/// Zeros behind the last member fill up a block, as GNU gzip has them; anything else there is damage.
#[test]
fn zeros_behind_the_last_member_are_passed_over() {
    let member = |plain: &[u8]| {
        let mut encoder = GzBuilder::new().write(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    };
    let two = [member(b"one,"), member(b"two")].concat();
    for zeros in [1, 3, 511, 100_000] {
        let padding = vec![0; zeros];
        for piece in [1, 7, 4096] {
            let padded = [&two[..], &padding].concat();
            assert_eq!(decompress(&padded, piece), (b"one,two".to_vec(), true));
            for after in [&b"x"[..], &member(b"three")] {
                let more = [&padded[..], after].concat();
                assert_eq!(decompress(&more, piece), (b"one,two".to_vec(), false));
            }
        }
        assert!(!decompress(&padding, 4096).1);
    }
}

#[test]
fn a_stream_without_a_container_has_a_bound() {
    let mut seeded = Seeded(99);
    for _ in 0..100 {
        let plain = seeded.plain();
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).unwrap();
        let stream = encoder.finish().unwrap();
        assert!(inflate(&stream, plain.len()).as_ref() == Some(&plain));
        if !plain.is_empty() {
            assert_eq!(inflate(&stream, plain.len() - 1), None);
        }
        assert_eq!(inflate(&stream[..stream.len() - 1], usize::MAX), None);
    }
}
