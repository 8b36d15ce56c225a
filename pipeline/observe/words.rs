//! What leaves the house of an error: enough to know where to look, never a row of the data.
//!
//! An error's text is for whoever runs the pipeline, who may see its data. A message goes to a chat, a trace to a
//! service, and both are read by others.

use crate::redact::redacted;

const MOST_LINES: usize = 5;
const MOST_CHARS: usize = 300;

/// The first lines of an error, without secrets, without the rows that it shows as samples (they stand on indented
/// lines), and without what it quotes: a value that couldn't be cast is somebody's.
pub(super) fn without_rows(error: &str) -> String {
    let says = |line: &&str| !line.trim().is_empty() && !line.starts_with([' ', '\t']);
    let mut lines = error.lines().filter(says);
    let mut kept: Vec<String> =
        lines.by_ref().take(MOST_LINES).map(|line| cut(&unquoted(&redacted(line)), MOST_CHARS)).collect();
    match lines.count() {
        0 => {}
        more => kept.push(format!("… and {more} lines more")),
    }
    kept.join("\n")
}

/// From the first quote of a kind to the last: a value may hold such quotes itself.
fn unquoted(line: &str) -> String {
    ['\'', '"'].into_iter().fold(line.to_owned(), |line, quote| match (line.find(quote), line.rfind(quote)) {
        (Some(first), Some(last)) if first < last => format!("{}{quote}…{quote}{}", &line[..first], &line[last + 1..]),
        _ => line,
    })
}

/// A text of at most so many characters.
pub(super) fn cut(text: &str, most_chars: usize) -> String {
    match text.char_indices().nth(most_chars) {
        Some(_) => text.chars().take(most_chars.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_quoted_values_stay_in_the_house() {
        let error = "amounts (2024-01, 2024-02): check `positive` failed on 3 rows\n  order_id=7, phone=0912\n\
                     cannot cast 'it's 0912' to Int64\n\nnothing was published";
        let told = "amounts (2024-01, 2024-02): check `positive` failed on 3 rows\ncannot cast '…' to Int64\nnothing was published";
        assert_eq!(without_rows(error), told);
        let long = without_rows(&format!("{}\n", "ä".repeat(1_000)).repeat(50));
        assert_eq!((long.lines().count(), long.lines().last()), (6, Some("… and 45 lines more")));
        assert!(long.chars().count() < 5 * 301 + 30);
    }
}
