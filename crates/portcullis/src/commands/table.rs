//! Tables for people.

use crate::out::{NARROW, say, shown, shown_within};

/// Prints rows under headings, columns as wide as their widest cell.
pub(crate) fn print(headings: &[&str], rows: &[Vec<String>]) {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        say!("{}", cells.join("  ").trim_end());
    };
    line(&mut headings.iter().copied());
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// A member of a JSON object as text for a cell, in one line and in which nothing is hidden.
pub(crate) fn cell(value: &serde_json::Value, name: &str) -> String {
    text_of(value, name, shown)
}

/// The same for a cell that others stand behind.
pub(crate) fn narrow_cell(value: &serde_json::Value, name: &str) -> String {
    text_of(value, name, |text| shown_within(text, NARROW))
}

fn text_of(value: &serde_json::Value, name: &str, shown: impl Fn(&str) -> String) -> String {
    match value.get(name) {
        None | Some(serde_json::Value::Null) => "-".into(),
        Some(serde_json::Value::String(text)) => shown(text),
        Some(other) => shown(&other.to_string()),
    }
}
