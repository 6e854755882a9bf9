//! Tables and lines: fitted to a terminal's width, plain columns for a pipe.
//!
//! Never breaks an id, a state or a number into pieces: where there is no room, what matters less is left out, and said
//! to be. Never leaves anything out for a pipe.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};

/// A rule under the header and nowhere else.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
/// Blanks between two columns.
const GAP: u16 = 2;
/// Columns that a text needs to be readable, broken into lines.
const TEXT_COLUMNS: usize = 18;
/// What a cell says that has nothing to say.
const NOTHING_TO_SAY: &str = "-";
/// The fewest columns that lines are broken for; a narrower terminal breaks them itself.
const COLUMNS_MIN: usize = 40;
/// How wide a terminal is that does not say it.
const COLUMNS_USUAL: u16 = 80;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    name: &'static str,
    text: bool,
    right: bool,
    spare: u8,
}

impl Column {
    /// Stays whole: ids, states, times.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, text: false, right: false, spare: 0 }
    }

    /// May be broken into lines between words.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self { text: true, ..Self::new(name) }
    }

    /// A number.
    #[must_use]
    pub const fn number(name: &'static str) -> Self {
        Self { right: true, ..Self::new(name) }
    }

    /// May be left out where there is no room: the highest rank goes first.
    #[must_use]
    pub const fn spare(self, rank: u8) -> Self {
        Self { spare: rank, ..self }
    }
}

/// How wide the terminal is.
#[must_use]
pub fn terminal_columns() -> usize {
    usize::from(Table::new().width().unwrap_or(COLUMNS_USUAL))
}

/// The table; for a terminal of so many columns, if it is for one. Nothing without rows.
#[must_use]
pub fn render(columns: &[Column], rows: &[Vec<String>], terminal: Option<usize>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let Fitting { shown, left_out, width } = match terminal {
        Some(width) => fitting(columns, rows, width),
        None => Fitting { shown: (0..columns.len()).collect(), ..Fitting::default() },
    };
    let mut table = Table::new();
    table.load_style(if terminal.is_some() { RULED } else { NOTHING });
    if terminal.is_some() {
        let columns = u16::try_from(width).unwrap_or(u16::MAX);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    let chosen = |row: &Vec<String>| -> Vec<String> {
        shown.iter().map(|index| row.get(*index).cloned().unwrap_or_default()).collect()
    };
    table.set_header(shown.iter().filter_map(|index| columns.get(*index)).map(|column| column.name));
    for row in rows {
        table.add_row(chosen(row));
    }
    for (place, index) in shown.iter().enumerate() {
        let (Some(cells), Some(column)) = (table.column_mut(place), columns.get(*index)) else { continue };
        cells.set_padding((0, if place + 1 == shown.len() { 0 } else { GAP }));
        if column.right {
            cells.set_cell_alignment(CellAlignment::Right);
        }
        if !column.text {
            cells.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let text = table.trim_fmt();
    let text = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    if left_out.is_empty() {
        return text;
    }
    let note = format!("Not shown, for want of room: {} (--json has all).", left_out.join(", "));
    format!("{text}\n\n{}", folded(&note, width, 0).join("\n"))
}

/// What of a table is shown.
#[derive(Debug, Default)]
struct Fitting {
    /// Which columns.
    shown: Vec<usize>,
    /// The names of those that are not though they say something.
    left_out: Vec<&'static str>,
    /// How wide it is at the most: more than the terminal where that is too narrow for what must be shown.
    width: usize,
}

fn fitting(columns: &[Column], rows: &[Vec<String>], width: usize) -> Fitting {
    let cells = |index: usize| rows.iter().filter_map(move |row| row.get(index));
    let least: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let widest = cells(index).flat_map(|cell| cell.lines()).map(length).max().unwrap_or(0);
            let word = cells(index).flat_map(|cell| cell.split_whitespace()).map(length).max().unwrap_or(0);
            let need = if column.text { widest.min(TEXT_COLUMNS.max(word)) } else { widest };
            need.max(length(column.name))
        })
        .collect();
    let says = |index: usize| cells(index).any(|cell| cell != NOTHING_TO_SAY);
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let (mut left_out, gap) = (Vec::new(), usize::from(GAP));
    loop {
        let need: usize = shown.iter().filter_map(|index| least.get(*index)).map(|least| least + gap).sum();
        let fits = |shown, left_out| Fitting { shown, left_out, width: width.max(need.saturating_sub(gap)) };
        if need <= width + gap {
            return fits(shown, left_out);
        }
        let spare = shown.iter().filter_map(|index| Some((*index, columns.get(*index)?)));
        let spare = spare.filter(|(_, column)| column.spare > 0);
        // What says nothing goes before what matters less.
        let Some((index, column)) = spare.max_by_key(|(index, column)| (!says(*index), column.spare)) else {
            return fits(shown, left_out);
        };
        if says(index) {
            left_out.push(column.name);
        }
        shown.retain(|other| *other != index);
    }
}

/// A line in as many as it needs, broken between words; colours take no room.
#[must_use]
pub fn folded(text: &str, columns: usize, indent: usize) -> Vec<String> {
    if columns < COLUMNS_MIN {
        return vec![text.to_owned()];
    }
    let (mut lines, mut line, mut width) = (Vec::new(), String::new(), 0);
    let mut begins = 0;
    for word in text.split_inclusive(' ') {
        let whole = visible(word);
        let bare = whole - usize::from(word.ends_with(' '));
        // A word longer than a line stands where it is.
        if width > begins && width + bare > columns && !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(indent);
            (width, begins) = (indent, indent);
        }
        if width > indent || begins == 0 || !word.trim().is_empty() {
            line.push_str(word);
            width += whole;
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// How many columns a text takes: sequences that change the colour take none.
fn visible(text: &str) -> usize {
    let mut painting = false;
    let mut count = 0;
    for letter in text.chars() {
        match letter {
            '\u{1b}' => painting = true,
            'm' if painting => painting = false,
            _ if painting => {}
            _ => count += 1,
        }
    }
    count
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::new("instance"),
        Column::text("labels"),
        Column::new("kind").spare(3),
        Column::number("since").spare(2),
        Column::new("offer").spare(1),
    ];

    fn rows(offer: &str) -> Vec<Vec<String>> {
        let row = |labels: &str| {
            ["07070707-0707-4707-8707-070707070707", labels, "dedicated", "03:10:46", offer]
                .map(str::to_owned)
                .to_vec()
        };
        vec![row("demo-01"), row("a label of many words that needs more than one line")]
    }

    #[test]
    fn a_pipe_gets_everything() {
        let text = render(&COLUMNS, &rows("-"), None);
        assert_eq!(text.lines().count(), 3, "{text}");
        for part in ["instance", "more than one line", "dedicated", "03:10:46"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_terminal_gets_what_fits_and_ids_stay_whole() {
        for (width, offer, gone) in [
            (200, "-", vec![]),
            (100, "-", vec![]),
            (80, "-", vec![]),
            (76, "-", vec!["kind"]),
            (80, "update 0.1.1", vec!["kind"]),
            (79, "update 0.1.1", vec!["since", "kind"]),
            (20, "-", vec!["kind", "since"]),
        ] {
            let text = render(&COLUMNS, &rows(offer), Some(width));
            assert_eq!(text.matches("07070707-0707-4707-8707-070707070707").count(), 2, "{text}");
            assert_eq!(text.lines().filter(|line| line.starts_with('─')).count(), 1, "{text}");
            let widest = text.lines().map(length).max().unwrap();
            assert!(widest <= width.max(60), "{width}: {widest}\n{text}");
            for name in gone {
                let note = text.split("\n\n").last().unwrap();
                assert!(!text.lines().next().unwrap().contains(name), "{width} {name}\n{text}");
                assert!(note.contains(name), "{width} {name}\n{text}");
            }
        }
    }

    #[test]
    fn a_long_line_is_folded_between_words_and_colours_take_no_room() {
        let words = "word ".repeat(20);
        let lines = folded(&words, 40, 4);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{lines:?}");
        assert!(lines[1].starts_with("    word"), "{lines:?}");
        let painted = format!("\u{1b}[32m{}\u{1b}[0m and so", "x".repeat(33));
        assert_eq!(folded(&painted, 40, 4), [painted.as_str()]);
        assert_eq!(folded("      a  b", 40, 4), ["      a  b"]);
        assert_eq!(
            folded(&format!("a {}", "x".repeat(50)), 40, 2),
            ["a".to_owned(), format!("  {}", "x".repeat(50))]
        );
    }
}
