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

fn found(text: &[u8], anywhere: bool) -> (Result<(), Irregular>, Marks) {
    let mut marks = Marks {
        // As another text may have left it.
        fields: vec![u64::MAX; 7],
        ..Marks::default()
    };
    let task = Find {
        marks: &mut marks,
        text,
        dialect: DIALECT,
    };
    let result = if anywhere {
        run_anywhere(task)
    } else {
        run(task)
    };
    (result, marks)
}

/// Marks a text in every way; gives its fields' ends and lines when it is regular.
fn marked(text: &[u8]) -> Option<(Vec<u32>, u64)> {
    let (result, marks) = found(text, false);
    let (anywhere, other) = found(text, true);
    assert_eq!(result, anywhere, "{:?}", String::from_utf8_lossy(text));
    let dialect = DIALECT;
    let passed = |fields| {
        let task = || Pass {
            text,
            dialect,
            fields,
        };
        let fast = run(task());
        assert_eq!(run_anywhere(task()), fast);
        if text.contains(&b'\r') {
            Err(Irregular)
        } else {
            assert_eq!(pass(text, DIALECT, fields), fast);
            fast
        }
    };
    let Ok(()) = result else {
        for fields in 0..4 {
            assert_eq!(passed(fields), Err(Irregular), "{fields}");
        }
        return None;
    };
    let (mut ends, mut same) = (Vec::new(), Vec::new());
    marks.field_ends(&mut ends);
    other.field_ends(&mut same);
    assert_eq!(ends, same);
    assert_eq!(
        (marks.rows, marks.cells, marks.lines),
        (other.rows, other.cells, other.lines)
    );
    for fields in 0..4 {
        let even = fields > 0
            && ends.len() == marks.rows * fields
            && ends
                .chunks(fields)
                .all(|ends| text[ends[fields - 1] as usize] == b'\n');
        assert_eq!(marks.have(fields), even, "{fields}");
        let lines = (even && !text.contains(&b'\r')).then_some(marks.lines);
        assert_eq!(passed(fields), lines.ok_or(Irregular), "{fields}");
    }
    Some((ends, marks.lines))
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

/// What is accepted without places is accepted with them, but for empty lines.
#[test]
fn lines_are_counted_of_even_text_only() {
    let mut state = 0x9e37_79b9_u64;
    let (mut regular, mut irregular) = (0, 0);
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..40 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let piece = [
                &b"ab"[..],
                b"a longer cell,",
                b",",
                b"x\n",
                b",\"q\",",
                b"\"",
                b"\"\"",
                b",\"a\nb\"\n",
            ];
            text.extend(piece[(state >> 60) as usize % if state >> 40 & 3 == 0 { 8 } else { 5 }]);
        }
        text.push(b'\n');
        if text.windows(2).any(|pair| pair == b"\n\n") || text[0] == b'\n' {
            continue;
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
