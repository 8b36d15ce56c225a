//! A SQL expression of the user's, and where each of its characters stands in the config file.

use std::fmt;
use std::ops::Range;

use super::diagnostics::Place;

/// SQL text from the config. Debug and Display show it as it was written, before `${VAR}` was resolved.
#[derive(Clone)]
pub struct Expression {
    text: String,
    place: Place,
}

impl Expression {
    pub(super) fn new(text: String, place: Place) -> Self {
        Expression { text, place }
    }

    /// The SQL, resolved. It may hold a secret: hash it, run it, but don't print it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole value in the config file.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The SQL as it stands in the file, between its quotes.
    pub fn written(&self) -> &str {
        unquoted(self.place.text())
    }

    /// Where bytes `range` of [`text`](Self::text) stand in the file; the whole value if they can't be told,
    /// as after `${VAR}`.
    pub fn place_of(&self, range: Range<usize>) -> Place {
        let span = self.place.span();
        let Some(offsets) = source_offsets(self.place.text(), &self.text) else { return self.place.clone() };
        let find = |at: usize| offsets.iter().find(|(text_at, _)| *text_at >= at).map(|(_, source_at)| *source_at);
        match (find(range.start), find(range.end)) {
            (Some(start), Some(end)) => Place::new(self.place.file(), span.start + start..span.start + end),
            _ => self.place.clone(),
        }
    }

    /// Where the character at `line` and `column` of the text stands, both counted from one, as SQL parsers do.
    pub fn place_at(&self, line: usize, column: usize) -> Place {
        let line_start: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = self.text[line_start..].lines().next().unwrap_or("");
        match rest.char_indices().nth(column.saturating_sub(1)) {
            Some((at, c)) => self.place_of(line_start + at..line_start + at + c.len_utf8()),
            None => self.place.clone(),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.written())
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({} at {})", self.written(), self.place)
    }
}

const QUOTES: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];

/// What stands between the quotes of a TOML string, escapes and all.
pub(super) fn unquoted(source: &str) -> &str {
    let Some(quote) = QUOTES.into_iter().find(|quote| source.starts_with(quote)) else { return source };
    source.get(quote.len()..source.len().saturating_sub(quote.len())).unwrap_or(source)
}

/// For each character of `text`, and for its end, the byte offsets in `text` and in `source`, the TOML string that
/// `text` was read from. `None` if `text` is not what `source` says, because a variable was resolved in it.
fn source_offsets(source: &str, text: &str) -> Option<Vec<(usize, usize)>> {
    let quote = QUOTES.into_iter().find(|quote| source.starts_with(quote))?;
    let end = source.len().checked_sub(quote.len())?;
    let mut at = quote.len();
    if quote.len() == 3 {
        at +=
            source.get(at..end)?.strip_prefix("\r\n").map_or(0, |_| 2).max(usize::from(source[at..].starts_with('\n')));
    }
    let mut offsets = Vec::new();
    for (text_at, c) in text.char_indices() {
        at = skip_continuations(source, at, quote);
        offsets.push((text_at, at));
        at += encoded_bytes(source.get(at..end)?, c, quote.starts_with('"'))?;
    }
    (skip_continuations(source, at, quote) == end).then(|| {
        offsets.push((text.len(), at));
        offsets
    })
}

/// In a multi-line basic string a backslash at a line's end swallows the white space after it.
fn skip_continuations(source: &str, at: usize, quote: &str) -> usize {
    let rest = &source[at..];
    match rest.strip_prefix('\\') {
        Some(after) if quote == "\"\"\"" && after.trim_start_matches([' ', '\t']).starts_with(['\n', '\r']) => {
            source.len() - after.trim_start().len()
        }
        _ => at,
    }
}

/// How many bytes of `source` stand for `c`; `None` if something else stands there.
fn encoded_bytes(source: &str, c: char, escapes: bool) -> Option<usize> {
    let mut chars = source.chars();
    match chars.next()? {
        '\\' if escapes => {
            let hex_digits = match chars.next()? {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            Some(2 + hex_digits)
        }
        '\r' if c == '\n' => Some(2),
        found => (found == c).then(|| c.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostics::TextFile;
    use super::*;

    /// What the file says where `part` of the decoded text stands.
    fn quoted(source: &str, text: &str, part: &str) -> String {
        let file = TextFile::new("bazgasht.toml", source);
        let expression = Expression::new(text.to_owned(), Place::new(&file, 0..source.len()));
        let start = text.find(part).unwrap();
        expression.place_of(start..start + part.len()).text().to_owned()
    }

    #[test]
    fn escapes_are_followed() {
        assert_eq!(quoted(r#""trim(\"Ünit\") + prce""#, "trim(\"Ünit\") + prce", "prce"), "prce");
        assert_eq!(quoted(r#""\"A\" + b""#, "\"A\" + b", "\"A\""), r#"\"A\""#);
        assert_eq!(quoted(r#""'\u0642' || x""#, "'ق' || x", "x"), "x");
        assert_eq!(quoted("'\"A\" + b'", "\"A\" + b", "b"), "b");
    }

    #[test]
    fn lines_are_followed() {
        assert_eq!(quoted("\"\"\"\na +\n  b\"\"\"", "a +\n  b", "b"), "b");
        assert_eq!(quoted("\"\"\"a + \\\n   b\"\"\"", "a + b", "b"), "b");
    }

    #[test]
    fn after_a_variable_the_whole_value_is_shown() {
        assert_eq!(quoted(r#""x || '${SALT}'""#, "x || 'pepper'", "pepper"), r#""x || '${SALT}'""#);
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        let file = TextFile::new("bazgasht.toml", "'''a\n + b'''");
        let expression = Expression::new("a\n + b".to_owned(), Place::new(&file, 0..12));
        assert_eq!(expression.place_at(2, 4).text(), "b");
        assert_eq!(expression.place_at(9, 9).text(), "'''a\n + b'''");
    }
}
