//! Tables for people: numbers to the right, as wide as the terminal, with a mark where something does not fit.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands for what does not fit.
const CUT: &str = "…";
/// The narrowest that a column of text is made.
const NARROWEST: usize = 8;
/// What the lines around a column take.
const LINES: usize = 3;

/// One column, whose cells are texts.
#[derive(Debug, Default, Clone)]
pub(crate) struct GridColumn {
    pub(crate) name: String,
    pub(crate) is_number: bool,
    pub(crate) cells: Vec<String>,
}

/// How many columns the terminal has that standard output is; none where it is no terminal.
pub(crate) fn terminal_width() -> Option<usize> {
    Table::new().width().map(usize::from)
}

/// Draws the columns, no wider than `width`.
pub(crate) fn grid(columns: Vec<GridColumn>, width: Option<usize>) -> String {
    let columns = match width {
        Some(width) => fit(columns, width),
        None => columns,
    };
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_header(columns.iter().map(|column| visible(&column.name)));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    for row in 0..rows {
        table.add_row(columns.iter().map(|column| visible(&column.cells[row])));
    }
    for (index, column) in columns.iter().enumerate() {
        if let Some(drawn) = table.column_mut(index).filter(|_| column.is_number) {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Cuts what does not fit: long texts first, then whole columns from the middle on.
fn fit(columns: Vec<GridColumn>, width: usize) -> Vec<GridColumn> {
    let mut columns: Vec<(usize, GridColumn)> = columns
        .into_iter()
        .map(|column| {
            let cells = column.cells.iter().chain([&column.name]);
            let widest = cells.map(|cell| visible(cell).width()).max();
            (widest.unwrap_or_default(), column)
        })
        .collect();
    let narrowest = |(widest, column): &(usize, GridColumn)| {
        LINES
            + if column.is_number {
                *widest
            } else {
                NARROWEST.min(*widest)
            }
    };
    let mut is_whole = true;
    while columns.len() > 1 {
        let mark = if is_whole { 0 } else { LINES + 1 };
        if columns.iter().map(narrowest).sum::<usize>() + mark < width {
            break;
        }
        columns.remove(columns.len() / 2);
        is_whole = false;
    }
    let mark = if is_whole { 0 } else { LINES + 1 };
    let lines = 1 + mark + columns.len() * LINES;
    let numbers = columns.iter().filter(|(_, column)| column.is_number);
    let numbers: usize = numbers.map(|(widest, _)| widest).sum();
    let texts: Vec<usize> = columns
        .iter()
        .filter(|(_, column)| !column.is_number)
        .map(|(widest, _)| *widest)
        .collect();
    let cap = widest_text(&texts, width.saturating_sub(lines + numbers));
    let rows = columns.first().map_or(0, |(_, column)| column.cells.len());
    let middle = columns.len().div_ceil(2);
    let mut fitting: Vec<_> = columns
        .into_iter()
        .map(|(_, column)| {
            if column.is_number {
                column
            } else {
                cut(column, cap)
            }
        })
        .collect();
    if !is_whole {
        let left_out = GridColumn {
            name: CUT.to_owned(),
            is_number: false,
            cells: vec![CUT.to_owned(); rows],
        };
        fitting.insert(middle, left_out);
    }
    fitting
}

/// The width that texts are cut to, so that together they take no more than `room`.
fn widest_text(texts: &[usize], room: usize) -> usize {
    let mut texts = texts.to_vec();
    texts.sort_unstable();
    let (mut room, mut left) = (room, texts.len());
    for widest in texts {
        let share = room / left;
        if widest > share {
            return share.max(NARROWEST);
        }
        room -= widest;
        left -= 1;
    }
    usize::MAX
}

fn cut(mut column: GridColumn, cap: usize) -> GridColumn {
    for text in column.cells.iter_mut().chain([&mut column.name]) {
        *text = shortened(text, cap);
    }
    column
}

/// The text as a terminal can show it, no wider than `cap`.
pub(crate) fn shortened(text: &str, cap: usize) -> String {
    let text = visible(text);
    if text.width() <= cap {
        return text;
    }
    let (mut kept, mut width) = (String::new(), 0);
    for c in text.chars() {
        width += c.width().unwrap_or_default();
        if width >= cap {
            break;
        }
        kept.push(c);
    }
    kept + CUT
}

/// Line ends and what else controls a terminal, as they are written in programs.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::{GridColumn, grid};

    fn column(name: &str, is_number: bool, cells: &[&str]) -> GridColumn {
        GridColumn {
            name: name.to_owned(),
            is_number,
            cells: cells.iter().map(|&cell| cell.to_owned()).collect(),
        }
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal_and_marks_what_is_cut() {
        let long = "a note that goes on and on, far beyond what a terminal has";
        let columns = vec![
            column("id", true, &["1234567890123", "2"]),
            column("notes", false, &[long, "short"]),
            column("city", false, &["Köln", "日本語日本語日本語"]),
        ];
        let all = grid(columns.clone(), None);
        assert!(all.contains(long), "{all}");
        let narrow = grid(columns, Some(50));
        assert!(narrow.lines().all(|line| line.width() <= 50), "{narrow}");
        assert!(narrow.contains("1234567890123"), "{narrow}");
        assert!(
            narrow.contains("a note that") && narrow.contains('…'),
            "{narrow}"
        );
        assert!(
            narrow.contains("|             2 |") || narrow.contains("│             2 ┆"),
            "{narrow}"
        );
    }

    #[test]
    fn columns_are_left_out_from_the_middle() {
        let columns = (0..30).map(|n| column(&format!("column_{n:02}"), false, &["value of it"]));
        let drawn = grid(columns.collect(), Some(80));
        assert!(drawn.lines().all(|line| line.width() <= 80), "{drawn}");
        assert!(
            drawn.contains("column_…") || drawn.contains("column_00"),
            "{drawn}"
        );
        assert!(drawn.contains("┆ … ┆"), "{drawn}");
    }

    #[test]
    fn what_controls_a_terminal_is_written_out() {
        let drawn = grid(
            vec![column("a\u{1b}[31m", false, &["two\nlines\u{1b}[0m"])],
            None,
        );
        assert!(drawn.contains("two\\nlines\\u{1b}[0m"), "{drawn}");
        assert!(!drawn.contains('\u{1b}'), "{drawn}");
    }
}
