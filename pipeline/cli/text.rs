//! Tables and summaries for a terminal of 80 columns, with or without colour.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// A borderless table that keeps to the terminal's width, or to 100 columns elsewhere.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header.iter().copied());
    if table.width().is_none() {
        table.set_width(100);
    }
    table
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A text from outside on one line of so many characters: what a terminal would obey is written out.
pub(super) fn shortened(text: &str, columns: usize) -> String {
    let mut plain = String::new();
    for c in text.trim_end().chars() {
        if c.is_control() {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    match plain.char_indices().nth(columns) {
        Some(_) => plain.chars().take(columns - 1).chain(['…']).collect(),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(super::shortened("a\tb\u{1b}[2Jنام\n", 40), "a\\tb\\u{1b}[2Jنام");
        assert_eq!(super::shortened("نام خانوادگی", 4), "نام…");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(super::grouped(0), "0");
        assert_eq!(super::grouped(999), "999");
        assert_eq!(super::grouped(1_234_567), "1,234,567");
    }
}
