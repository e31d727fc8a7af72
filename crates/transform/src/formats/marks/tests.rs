//! Every way to compare marks the same, and what is marked is regular.

use super::{
    Find, Irregular, Marks, Pass, Simple,
    compare::{run, run_anywhere},
    pass,
};

const DIALECT: Simple = Simple {
    delimiter: b',',
    quote: Some(b'"'),
    comment: None,
};

fn found(text: &[u8], fields: usize, anywhere: bool) -> (Result<(), Irregular>, Marks) {
    let mut marks = Marks {
        // As another text may have left it.
        fields: vec![u64::MAX; 7],
        ..Marks::default()
    };
    let task = Find {
        marks: &mut marks,
        text,
        dialect: DIALECT,
        fields,
    };
    let result = if anywhere {
        run_anywhere(task)
    } else {
        run(task)
    };
    (result, marks)
}

/// Marks a text in every way, as one whose records have this many fields. Returns its fields' ends and lines when it is regular.
fn marked_as(text: &[u8], fields: usize) -> Option<(Vec<u32>, u64)> {
    let shown = String::from_utf8_lossy(text);
    let (result, marks) = found(text, fields, false);
    let (anywhere, other) = found(text, fields, true);
    assert_eq!(result, anywhere, "{shown:?} of {fields}");
    let task = || Pass {
        text,
        dialect: DIALECT,
        fields,
    };
    let passed = run(task());
    assert_eq!(run_anywhere(task()), passed, "{shown:?} of {fields}");
    if text.contains(&b'\r') {
        assert_eq!(pass(text, DIALECT, fields), Err(Irregular));
    } else {
        assert_eq!(pass(text, DIALECT, fields), passed);
        let lines = result.map(|()| marks.lines);
        assert_eq!(passed, lines, "{shown:?} of {fields}");
    }
    result.ok()?;
    let (mut ends, mut same) = (Vec::new(), Vec::new());
    marks.field_ends(&mut ends);
    other.field_ends(&mut same);
    assert_eq!(ends, same);
    assert_eq!(
        (marks.rows, marks.cells, marks.lines),
        (other.rows, other.cells, other.lines)
    );
    let last_of_each = ends.chunks(fields).map(|ends| ends[fields - 1] as usize);
    let mut newlines = last_of_each.map(|end| text[end] == b'\n');
    assert!(newlines.all(|is_newline| is_newline));
    assert_eq!(ends.len(), marks.rows * fields);
    Some((ends, marks.lines))
}

/// The same for the one number of fields with which it is regular.
fn marked(text: &[u8]) -> Option<(Vec<u32>, u64)> {
    let mut regular = (0..5).filter_map(|fields| marked_as(text, fields));
    let marked = regular.next();
    assert_eq!(regular.next(), None, "{:?}", String::from_utf8_lossy(text));
    marked
}

#[test]
fn fields_end_where_quotes_let_them() {
    assert_eq!(marked(b"a,b\n"), Some((vec![1, 3], 1)));
    assert_eq!(marked(b"\"a,\n\"\"b\",c\r\n"), Some((vec![8, 11], 2)));
    for irregular in [
        &b"a,b"[..],
        b"a\"b\n",
        b"\"a\"b\n",
        b"\"a\n",
        b"a\n\nb\n",
        b"a\rb\n",
        b"\"a\rb\"\n",
    ] {
        assert_eq!(
            marked(irregular),
            None,
            "{:?}",
            String::from_utf8_lossy(irregular)
        );
    }
}

/// Wherever a quote, a delimiter or an end of line lies in its block.
#[test]
fn places_in_a_block_do_not_matter() {
    for shift in 0..130 {
        for field in ["x", "\"x\"", "\"x,\n\"", "\"\"\"x\"", "\"\""] {
            let line = format!("{},{field},end\n", "y".repeat(shift));
            let (ends, _) = marked(line.as_bytes()).unwrap();
            let expected = [shift, shift + 1 + field.len(), line.len() - 1];
            assert_eq!(ends, expected.map(|end| u32::try_from(end).unwrap()));
            let stray = format!("{},{field}z\"\n", "y".repeat(shift));
            assert_eq!(marked(stray.as_bytes()), None, "{stray:?}");
        }
    }
}

/// What is accepted without places is accepted with them, and nothing else is.
#[test]
fn lines_are_counted_of_even_text_only() {
    const RECORDS: [&[u8]; 5] = [
        b"a longer cell,ab\n",
        b",\"q\"\n",
        b"x,\n",
        b"\"\"\"\",\"a\nb,\"\n",
        b"a cell that is longer than a block of bytes is so that some have no end of line,\"\"\n",
    ];
    const ODD: [&[u8]; 4] = [b"\"", b",", b"x\n", b"\"\"\n,"];
    let mut state = 0x9e37_79b9_u64;
    let mut random = |most: usize| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 40) as usize % most
    };
    let (mut regular, mut irregular) = (0, 0);
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..20 {
            text.extend(if random(30) == 0 {
                ODD[random(ODD.len())]
            } else {
                RECORDS[random(RECORDS.len())]
            });
        }
        text.push(b'\n');
        if text.windows(2).any(|pair| pair == b"\n\n") {
            text.pop();
        }
        match marked(&text) {
            Some(_) => regular += 1,
            None => irregular += 1,
        }
    }
    assert!(
        regular > 1000 && irregular > 1000,
        "{regular} regular, {irregular} not"
    );
}
