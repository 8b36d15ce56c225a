//! Delimited text.
//!
//! The records are cut here and not by the `csv` crate for three things that it hides: whether an empty
//! field was quoted, a record's bytes as written, and a quote that never closes, which would swallow the
//! rest of a file into one field. Such a quote costs its own line here, and reading goes on with the next.

use memchr::memchr;

use super::batch::{BatchBuilder, RawBatch, Unreadable, rules, split_wanted};
use super::fields::{Field, Split};
use super::lines::{Found, LINE_BYTES_MAX, Lines, without_terminator};
use super::{BATCH_ROWS, CsvOptions, DecodeError, Decoder, Delimiter, Kind, blanks};

/// Decodes one delimited text.
pub(super) struct CsvDecoder<'a> {
    lines: Lines<'a>,
    splitter: Splitter,
    found: Vec<String>,
    /// For each column of the batch, which field of a record it is.
    picks: Vec<usize>,
    builder: BatchBuilder,
    scratch: String,
    finished: bool,
}

impl<'a> CsvDecoder<'a> {
    pub(super) fn new(
        mut lines: Lines<'a>,
        options: &CsvOptions,
        wanted: &[String],
        object: &str,
        batch_rows: usize,
    ) -> Result<Self, DecodeError> {
        let mut splitter = Splitter::new(options)?;
        lines.settle_line_ends()?;
        obey_named_delimiter(&mut lines, &mut splitter)?;
        let (found, early) = if options.header {
            (header(&mut lines, &mut splitter, object)?, Vec::new())
        } else {
            numbered(&mut lines, &mut splitter, object)?
        };
        let (mut names, wants_line) = split_wanted(wanted);
        names.retain(|name| found.contains(name));
        let mut builder = BatchBuilder::new(&names, wants_line, batch_rows);
        early.into_iter().for_each(|record| builder.reject(record));
        Ok(Self {
            picks: picks(&found, &names, object)?,
            lines,
            splitter,
            found,
            builder,
            scratch: String::new(),
            finished: false,
        })
    }

    fn step(&mut self) -> Result<(), DecodeError> {
        match next_record(&mut self.lines, &mut self.splitter)? {
            Framed::Record { end, lines } => self.record(end, lines),
            Framed::Nothing => {
                self.finished = true;
                if let Some(rest) = self.lines.broken_off() {
                    self.builder.reject(rest);
                }
            }
            other => {
                if let Some(record) = pass_over(&mut self.lines, other)? {
                    self.builder.reject(record);
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, end: usize, lines: u64) {
        let line = self.lines.number();
        let bytes = without_terminator(&self.lines.pending()[..end]);
        match self.checked(bytes) {
            Ok(record) => {
                for (column, &pick) in self.picks.iter().enumerate() {
                    let value = self.splitter.fields[pick].text(record, self.splitter.quote, &mut self.scratch);
                    self.builder.append(column, value);
                }
                self.builder.end_row(line, record);
            }
            Err((rule, detail)) => self.builder.reject(Unreadable::new(line, rule, bytes, detail)),
        }
        self.lines.consume(end, lines);
    }

    fn checked<'r>(&self, record: &'r [u8]) -> Result<&'r str, (&'static str, String)> {
        let text = std::str::from_utf8(record).map_err(|error| (rules::INVALID_UTF8, error.to_string()))?;
        let (count, expected) = (self.splitter.fields.len(), self.found.len());
        if count != expected {
            let detail = format!("{count} fields where {expected} are expected");
            return Err((rules::WRONG_COLUMN_COUNT, detail));
        }
        Ok(text)
    }
}

impl Decoder for CsvDecoder<'_> {
    fn kind(&self) -> Kind {
        Kind::Csv
    }

    fn columns_found(&self) -> &[String] {
        &self.found
    }

    fn next_batch(&mut self) -> Result<Option<RawBatch>, DecodeError> {
        while !self.finished && !self.builder.is_full() {
            self.step()?;
        }
        self.builder.finish()
    }
}

/// Excel's first line, `sep=;`, names the delimiter and is no record.
fn obey_named_delimiter(lines: &mut Lines, splitter: &mut Splitter) -> Result<(), DecodeError> {
    let Found::Line(end) = lines.find(0)? else { return Ok(()) };
    let line = without_terminator(&lines.pending()[..end]);
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] = *line
        && splitter.obey(delimiter)
    {
        lines.consume(end, 1);
    }
    Ok(())
}

/// The names in the first record; none if there is no record.
fn header(lines: &mut Lines, splitter: &mut Splitter, object: &str) -> Result<Vec<String>, DecodeError> {
    loop {
        let (end, count) = match next_record(lines, splitter)? {
            Framed::Record { end, lines } => (end, lines),
            Framed::Nothing => return Ok(Vec::new()),
            blank_or_broken => match pass_over(lines, blank_or_broken)? {
                None => continue,
                Some(broken) => {
                    return Err(DecodeError::unreadable(object, format!("header: {}", broken.detail)));
                }
            },
        };
        let record = std::str::from_utf8(without_terminator(&lines.pending()[..end]))
            .map_err(|error| DecodeError::unreadable(object, format!("header: {error}")))?;
        let names = splitter.names(record);
        lines.consume(end, count);
        return Ok(names);
    }
}

/// Names for as many columns as the first record has that can be split, and the records before it. That
/// record stays where it is, to be read as the first row.
fn numbered(
    lines: &mut Lines,
    splitter: &mut Splitter,
    object: &str,
) -> Result<(Vec<String>, Vec<Unreadable>), DecodeError> {
    let mut passed = Vec::new();
    while passed.len() < BATCH_ROWS {
        match next_record(lines, splitter)? {
            Framed::Nothing => return Ok((Vec::new(), passed)),
            Framed::Record { .. } => {
                let names = (1..=splitter.fields.len()).map(|n| format!("column_{n}"));
                return Ok((names.collect(), passed));
            }
            other => passed.extend(pass_over(lines, other)?),
        }
    }
    let detail = format!("none of the first {BATCH_ROWS} records can be split into columns");
    Err(DecodeError::unreadable(object, detail))
}

fn picks(found: &[String], names: &[String], object: &str) -> Result<Vec<usize>, DecodeError> {
    let places = |name: &String| (0..found.len()).filter(|&at| found[at] == *name).collect::<Vec<_>>();
    (names.iter())
        .map(|name| match places(name)[..] {
            [place] => Ok(place),
            _ => Err(DecodeError::unreadable(object, format!("the header names the column `{name}` more than once"))),
        })
        .collect()
}

/// What begins at the start of the pending bytes.
enum Framed {
    /// A record of so many bytes and lines; its fields are in the splitter.
    Record { end: usize, lines: u64 },
    /// A blank line of so many bytes.
    Blank { end: usize },
    /// A line of so many bytes whose quotes do not match.
    Broken { end: usize, detail: &'static str },
    /// A line over the limit.
    TooLong,
    /// The end, or the place where the input breaks off.
    Nothing,
}

fn next_record(lines: &mut Lines, splitter: &mut Splitter) -> Result<Framed, DecodeError> {
    let first = match lines.find(0)? {
        Found::Line(end) => end,
        Found::TooLong => return Ok(Framed::TooLong),
        Found::Nothing => return Ok(Framed::Nothing),
    };
    if splitter.is_blank(without_terminator(&lines.pending()[..first])) {
        return Ok(Framed::Blank { end: first });
    }
    splitter.start();
    let (mut end, mut count) = (first, 1);
    loop {
        let split = splitter.advance(without_terminator(&lines.pending()[..end]));
        match split {
            Split::Complete => return Ok(Framed::Record { end, lines: count }),
            Split::Open if splitter.spans_lines() => match lines.find(end)? {
                Found::Line(next) if next <= LINE_BYTES_MAX => (end, count) = (next, count + 1),
                Found::Nothing if lines.failure().is_some() => return Ok(Framed::Nothing),
                _ => {
                    return Ok(Framed::Broken { end: first, detail: split.detail() });
                }
            },
            _ => {
                return Ok(Framed::Broken { end: first, detail: split.detail() });
            }
        }
    }
}

/// Moves on behind what is not a record, and says what it was unless it was blank.
fn pass_over(lines: &mut Lines, framed: Framed) -> Result<Option<Unreadable>, DecodeError> {
    match framed {
        Framed::Record { .. } | Framed::Nothing => Ok(None),
        Framed::TooLong => lines.pass_over_too_long().map(Some),
        Framed::Blank { end } => {
            lines.consume(end, 1);
            Ok(None)
        }
        Framed::Broken { end, detail } => {
            let line = without_terminator(&lines.pending()[..end]);
            let broken = Unreadable::new(lines.number(), rules::UNREADABLE_LINE, line, detail);
            lines.consume(end, 1);
            Ok(Some(broken))
        }
    }
}

fn is_usable(byte: u8) -> bool {
    byte.is_ascii() && byte != b'\n' && byte != b'\r'
}

/// Splits records into fields. A quote counts only at a field's start; elsewhere it is text.
struct Splitter {
    delimiter: Delimiter,
    quote: Option<u8>,
    fields: Vec<Field>,
    /// The field whose closing quote has not been found yet.
    open: Option<Field>,
}

impl Splitter {
    fn new(options: &CsvOptions) -> Result<Self, DecodeError> {
        let delimiter = match options.delimiter {
            Delimiter::Byte(byte) => byte,
            Delimiter::Blanks => b' ',
        };
        if !is_usable(delimiter) || !options.quote.is_none_or(|quote| is_usable(quote) && quote != delimiter) {
            let message = "delimiter and quote must be two different ASCII characters and no line ends";
            return Err(DecodeError::Options(message.to_owned()));
        }
        Ok(Self { delimiter: options.delimiter, quote: options.quote, fields: Vec::new(), open: None })
    }

    /// Takes another delimiter, if it can be one.
    fn obey(&mut self, delimiter: u8) -> bool {
        let usable = is_usable(delimiter) && self.quote != Some(delimiter);
        if usable {
            self.delimiter = Delimiter::Byte(delimiter);
        }
        usable
    }

    fn is_blank(&self, line: &[u8]) -> bool {
        match self.delimiter {
            Delimiter::Byte(_) => line.is_empty(),
            Delimiter::Blanks => blanks::is_empty(line),
        }
    }

    fn spans_lines(&self) -> bool {
        self.delimiter != Delimiter::Blanks
    }

    /// Forgets the record before.
    fn start(&mut self) {
        self.fields.clear();
        self.open = None;
    }

    /// Splits `record` as far as it goes. After [`Split::Open`], call it with the record and one more line.
    fn advance(&mut self, record: &[u8]) -> Split {
        match self.delimiter {
            Delimiter::Blanks => blanks::split(record, self.quote, &mut self.fields),
            Delimiter::Byte(delimiter) => self.split(record, delimiter).err().unwrap_or(Split::Complete),
        }
    }

    fn split(&mut self, record: &[u8], delimiter: u8) -> Result<(), Split> {
        let mut next = match self.open.take() {
            Some(open) => self.quoted(record, delimiter, open)?,
            None => Some(0),
        };
        while let Some(start) = next {
            next = match self.quote {
                Some(quote) if record.get(start) == Some(&quote) => {
                    self.quoted(record, delimiter, Field::opened(start + 1))?
                }
                _ => self.plain(record, delimiter, start),
            };
        }
        Ok(())
    }

    /// Adds an unquoted field and returns where the next one starts, if there is one.
    fn plain(&mut self, record: &[u8], delimiter: u8, start: usize) -> Option<usize> {
        let length = memchr(delimiter, &record[start..]);
        let end = length.map_or(record.len(), |length| start + length);
        self.fields.push(Field::plain(start, end));
        length.map(|_| end + 1)
    }

    /// Like [`Self::plain`], for a quoted field.
    fn quoted(&mut self, record: &[u8], delimiter: u8, mut field: Field) -> Result<Option<usize>, Split> {
        let is_closed = self.quote.is_some_and(|quote| field.close(record, quote));
        if !is_closed {
            self.open = Some(field);
            return Err(Split::Open);
        }
        self.fields.push(field);
        let rest = &record[field.end + 1..];
        match rest.iter().position(|&byte| byte == delimiter || byte != b' ') {
            None => Ok(None),
            Some(at) if rest[at] == delimiter => Ok(Some(field.end + 1 + at + 1)),
            Some(_) => Err(Split::Junk),
        }
    }

    /// The fields as column names.
    fn names(&self, record: &str) -> Vec<String> {
        let mut scratch = String::new();
        (self.fields.iter()).map(|field| name(field.text(record, self.quote, &mut scratch).unwrap_or(""))).collect()
    }
}

/// A column's name without the blanks, and the marks that only steer the direction of writing, around it.
fn name(written: &str) -> String {
    let steers = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{feff}');
    written.trim_matches(|c: char| c.is_whitespace() || steers(c)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::rules::{INVALID_UTF8, LINE_TOO_LONG, UNREADABLE_FILE, UNREADABLE_LINE, WRONG_COLUMN_COUNT};
    use super::*;
    use crate::decode::Format;
    use crate::decode::testing::{Decoded, csv, decode, decode_from, gzip};

    fn with(change: impl FnOnce(&mut CsvOptions)) -> Format {
        let mut options = CsvOptions::default();
        change(&mut options);
        Format::Csv(options)
    }

    #[test]
    fn columns_come_as_wanted_where_they_exist() {
        let decoded = csv("a,b,c\n1,2,3\n", &["c", "x", "_line", "a", "c"]);
        assert_eq!(decoded.names, ["c", "a", "_line"]);
        assert_eq!(decoded.rows, ["3|1|2"]);
    }

    #[test]
    fn empty_fields_are_null_unless_quoted() {
        assert_eq!(csv("a,b,c\n,\"\",\n\"\",,x", &["a", "b", "c"]).rows, ["NULL||NULL", "|NULL|x"]);
    }

    #[test]
    fn quotes_enclose_delimiters_quotes_and_line_ends() {
        let decoded = csv("a,b\n\"1,2\",\"say \"\"x\"\"\"\n\"x\r\ny\n\n\",\"\"\"\"\n3,4\n", &["a", "b"]);
        assert_eq!(decoded.rows, ["1,2|say \"x\"", "x\r\ny\n\n|\"", "3|4"]);
        assert_eq!(decoded.lines, [2, 3, 7]);
        assert_eq!(decoded.raw[1], "\"x\r\ny\n\n\",\"\"\"\"");
    }

    #[test]
    fn a_quote_inside_an_unquoted_field_is_text() {
        assert_eq!(csv("a,b\n5\" nail,x\"y\"\n", &["a", "b"]).rows, ["5\" nail|x\"y\""]);
    }

    #[test]
    fn a_quote_that_never_closes_costs_its_line() {
        let decoded = csv("a,b\n1,2\n3,\"4\n5,6\n7,\"\"\n", &["a", "b"]);
        assert_eq!(decoded.rows, ["1|2", "5|6", "7|"]);
        assert_eq!(decoded.unreadable, [(3, UNREADABLE_LINE)]);
        assert_eq!(decoded.details, ["a quoted field does not end"]);
    }

    #[test]
    fn text_after_a_closing_quote_costs_the_line_where_the_field_began() {
        let decoded = csv("a,b\n\"x\"y,1\n\"stray,2\n3,4\n\"5\",6\n\"x\" ,7\n", &["a", "b"]);
        assert_eq!(decoded.rows, ["3|4", "5|6", "x|7"]);
        assert_eq!(decoded.unreadable, [(2, UNREADABLE_LINE), (3, UNREADABLE_LINE)]);
    }

    #[test]
    fn many_stray_quotes_take_no_longer_than_their_lines() {
        let decoded = csv("a,b\n".to_owned() + &"\"x,y\n".repeat(20_001), &["a"]);
        assert_eq!(decoded.rows.len() + decoded.unreadable.len(), 20_001);
    }

    #[test]
    fn a_quote_over_the_limit_gives_back_the_lines_behind_it() {
        let line = format!("1,{}\n", "2".repeat(60_000));
        let rows = LINE_BYTES_MAX / line.len() + 5;
        let decoded = csv("a,b\n\"x,y\n".to_owned() + &line.repeat(rows), &["a"]);
        assert_eq!(decoded.rows.len(), rows);
        assert_eq!(decoded.unreadable, [(2, UNREADABLE_LINE)]);
    }

    #[test]
    fn ragged_records_cost_only_themselves() {
        let decoded = csv("a,b\n1\n1,2,3\n1,2\n\" \"\n", &["a"]);
        assert_eq!(decoded.rows, ["1"]);
        assert_eq!(decoded.unreadable, [2, 3, 5].map(|line| (line, WRONG_COLUMN_COUNT)));
        assert_eq!(decoded.details[1], "3 fields where 2 are expected");
    }

    #[test]
    fn headers_lose_mark_quotes_and_blanks_around() {
        let decoded = csv("\u{feff}\r\n\" a \",b ,a b\r\n1,2,3\r\n\r\n", &["a", "b", "a b"]);
        assert_eq!((decoded.rows, decoded.lines), (vec!["1|2|3".to_owned()], vec![3]));
    }

    #[test]
    fn lone_carriage_returns_end_lines_where_nothing_else_does() {
        let decoded = csv("a,b\r1,\"x\ry\"\r\r3,4", &["a", "b"]);
        assert_eq!((decoded.rows, decoded.lines), (vec!["1|x\ny".to_owned(), "3|4".to_owned()], vec![2, 5]));
        assert_eq!(csv("a,b\n1,x\ry\n", &["b"]).rows, ["x\ry"]);
    }

    #[test]
    fn a_first_line_that_names_the_delimiter_is_obeyed() {
        for first in ["sep=;\r\n", "\u{feff}\"SEP=;\"\n"] {
            let decoded = csv(first.to_owned() + "a;b\n1;2\n", &["b"]);
            assert_eq!((decoded.rows, decoded.lines), (vec!["2".to_owned()], vec![3]));
        }
        assert_eq!(csv("sep=\n1\n", &["sep="]).rows, ["1"]);
    }

    #[test]
    fn no_records_no_rows() {
        for text in ["", "\n\r\n", "a,b", "a,b\n", "\u{feff}a,b\r\n\r\n"] {
            assert_eq!(csv(text, &["a"]), Decoded::default(), "{text:?}");
        }
    }

    #[test]
    fn without_wanted_columns_rows_still_count() {
        let decoded = csv("a,b\n1,2\n3,4\n", &["x"]);
        assert_eq!((decoded.batches, decoded.lines), (vec![2], vec![2, 3]));
    }

    #[test]
    fn a_wanted_name_twice_in_the_header_is_refused() {
        let ambiguous = |wanted| decode_from(&with(|_| {}), &b"a,b,a\n1,2,3\n"[..], &[wanted], 10);
        assert!(matches!(ambiguous("a"), Err(DecodeError::Unreadable { .. })));
        assert_eq!(ambiguous("b").expect("is not ambiguous").rows, ["2"]);
    }

    #[test]
    fn a_header_that_cannot_be_read_is_refused() {
        for text in [&b"a,\xff\n1,2\n"[..], b"a,\"b\n1,2\n", b"\xff\xfea\0,\0\0\xd8"] {
            let result = decode_from(&with(|_| {}), text, &["a"], 10);
            assert!(matches!(result, Err(DecodeError::Unreadable { .. })), "{result:?}");
        }
    }

    #[test]
    fn columns_without_header_are_numbered_by_the_first_record_that_splits() {
        let format = with(|options| options.header = false);
        let decoded = decode(&format, b"\n\"x\"y\n1,2\n3\n5,6\n", &["column_2", "column_3"]);
        assert_eq!((decoded.names, decoded.rows), (vec!["column_2".to_owned()], vec!["2".to_owned(), "6".to_owned()]));
        assert_eq!(decoded.unreadable, [(2, UNREADABLE_LINE), (4, WRONG_COLUMN_COUNT)]);
    }

    #[test]
    fn other_delimiters_and_quotes() {
        let format = with(|options| (options.delimiter, options.quote) = (Delimiter::Byte(b'\t'), Some(b'\'')));
        assert_eq!(decode(&format, b"a\tb\n'x\ty'\t\"z\n\t\n", &["a", "b"]).rows, ["x\ty|\"z", "NULL|NULL"]);
        let format = with(|options| (options.delimiter, options.quote) = (Delimiter::Byte(b';'), None));
        assert_eq!(decode(&format, b"a;b\n\"x;1,5\n", &["a", "b"]).rows, ["\"x|1,5"]);
    }

    #[test]
    fn delimiter_and_quote_must_be_usable() {
        for (delimiter, quote) in [(b',', b','), (0xd8, b'"'), (b'\n', b'"'), (b',', 0xff)] {
            let format = with(|options| (options.delimiter, options.quote) = (Delimiter::Byte(delimiter), Some(quote)));
            let result = decode_from(&format, &b"a"[..], &[], 1);
            assert!(matches!(result, Err(DecodeError::Options(_))));
        }
    }

    #[test]
    fn blanks_separate_in_runs() {
        let format = with(|options| (options.delimiter, options.header) = (Delimiter::Blanks, false));
        let wanted = ["column_1", "column_3", "_line"];
        let text = b" 00004 19970101  2   29.33\r\n \t \n\t00004 \"a b\"\t1 \"\" \n00004 1\n0 \"1 2 3\n";
        let decoded = decode(&format, text, &wanted);
        assert_eq!(decoded.rows, ["00004|2|1", "00004|1|3"]);
        assert_eq!(decoded.raw[0], " 00004 19970101  2   29.33");
        assert_eq!(decoded.unreadable, [(4, WRONG_COLUMN_COUNT), (5, UNREADABLE_LINE)]);
    }

    #[test]
    fn invalid_utf8_and_nul_and_long_lines() {
        let mut text = b"a,b\n\xd3,1\n\0,2\n".to_vec();
        text.extend(vec![b'x'; LINE_BYTES_MAX + 1]);
        text.extend(b"\n3,4\n");
        let decoded = csv(text, &["a", "b"]);
        assert_eq!(decoded.rows, ["\0|2", "3|4"]);
        assert_eq!(decoded.unreadable, [(2, INVALID_UTF8), (4, LINE_TOO_LONG)]);
    }

    #[test]
    fn a_cut_inside_a_quoted_field_is_one_entry() {
        let mut bytes = gzip(b"a,b\n1,2\n3,\"4\n5,6\n");
        bytes.truncate(bytes.len() - 4);
        let decoded = csv(bytes, &["a"]);
        assert_eq!((decoded.rows, decoded.unreadable), (vec!["1".to_owned()], vec![(3, UNREADABLE_FILE)]));
        let mut bytes = gzip(b"a,b");
        bytes.truncate(bytes.len() - 4);
        assert_eq!(csv(bytes, &["a"]).unreadable, [(1, UNREADABLE_FILE)]);
    }

    /// The `csv` crate as a second opinion, over all short texts of an alphabet that is nothing but trouble.
    #[test]
    fn agrees_with_the_csv_crate_on_what_neither_rejects() {
        let alphabet = ["x", ",", "\"", "\n", "\r\n"];
        for number in 0..5_u32.pow(6) {
            let tail: String = (0..6).map(|place| alphabet[(number / 5_u32.pow(place) % 5) as usize]).collect();
            let text = format!("a,b\n{tail}");
            let ours = decode_from(&with(|_| {}), text.as_bytes(), &["a", "b"], 100).expect("decodes");
            if ours.unreadable.iter().any(|&(_, rule)| rule == UNREADABLE_LINE) {
                continue;
            }
            let theirs: Vec<_> = csv_crate_rows(&text);
            assert_eq!(ours.rows.iter().map(|row| row.replace("NULL", "")).collect::<Vec<_>>(), theirs, "{text:?}");
        }
    }

    fn csv_crate_rows(text: &str) -> Vec<String> {
        let mut reader = ::csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let records = reader.records().map(|record| record.expect("is UTF-8"));
        let whole = records.filter(|record| record.len() == 2);
        whole.map(|record| record.iter().collect::<Vec<_>>().join("|")).collect()
    }
}
