//! One JSON object per line, or arrays of objects where the text's first byte that isn't blank is `[`.
//!
//! Only the wanted members are kept, as places in the line, and nothing is parsed into numbers: a price
//! keeps its digits. A wanted name that no member has, such as `customer.id`, is also tried as a path into
//! nested objects. Of members with the same name the last one counts.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::batch::{BatchBuilder, RawBatch, Unreadable, rules, split_wanted};
use super::elements::{Elements, Next};
use super::lines::{Found, Lines, without_terminator};
use super::{DecodeError, Decoder, Kind};

/// So many different keys of the outermost objects are remembered; later ones are still read.
const KEYS_MAX: usize = 1000;

/// Decodes one text of JSON objects.
pub(super) struct NdjsonDecoder<'a> {
    lines: Lines<'a>,
    /// Of a text that holds arrays.
    elements: Option<Elements>,
    keys: Keys,
    columns: Vec<Column>,
    row: Row,
    builder: BatchBuilder,
    finished: bool,
}

/// Where a column's value is to be found.
struct Column {
    /// The slot of the member with the column's own name.
    slot: usize,
    /// If the name has dots: the slot of the member before the first dot, and the names after it.
    path: Option<(usize, Vec<String>)>,
}

impl<'a> NdjsonDecoder<'a> {
    /// # Errors
    /// [`DecodeError::Input`] when the store fails.
    pub(super) fn new(mut lines: Lines<'a>, wanted: &[String], batch_rows: usize) -> Result<Self, DecodeError> {
        let elements = Elements::are_in(&mut lines)?.then(Elements::new);
        let (names, wants_line) = split_wanted(wanted);
        let mut keys = Keys::default();
        let columns: Vec<Column> = names.iter().map(|name| Column::new(name, &mut keys)).collect();
        Ok(Self {
            lines,
            elements,
            row: Row::new(keys.slots),
            keys,
            columns,
            builder: BatchBuilder::new(&names, wants_line, batch_rows),
            finished: false,
        })
    }

    fn step(&mut self) -> Result<(), DecodeError> {
        let Some(mut elements) = self.elements.take() else { return self.step_by_line() };
        match elements.next(&mut self.lines)? {
            Next::Element(end) => {
                self.record(self.lines.pending()[..end].trim_ascii_end().len());
                elements.pass(&mut self.lines, end);
            }
            Next::Broken(broken) => self.builder.reject(broken),
            Next::End => self.finished = true,
        }
        self.elements = Some(elements);
        Ok(())
    }

    fn step_by_line(&mut self) -> Result<(), DecodeError> {
        match self.lines.find(0)? {
            Found::Line(end) => {
                self.record(without_terminator(&self.lines.pending()[..end]).len());
                self.lines.consume(end, 1);
            }
            Found::TooLong => self.builder.reject(self.lines.pass_over_too_long()?),
            Found::Nothing => {
                self.finished = true;
                if let Some(rest) = self.lines.broken_off() {
                    self.builder.reject(rest);
                }
            }
        }
        Ok(())
    }

    /// Reads the record that ends before `end`, unless it is blank.
    fn record(&mut self, end: usize) {
        let bytes = &self.lines.pending()[..end];
        if bytes.trim_ascii().is_empty() {
            return;
        }
        let number = self.lines.number();
        let record = std::str::from_utf8(bytes).map_err(|error| (rules::INVALID_UTF8, error.to_string()));
        let read = record.and_then(|record| {
            let read = self.row.read(record, &mut self.keys, &self.columns);
            read.map_err(|error| (rules::UNREADABLE_LINE, detail(record, &error))).map(|()| record)
        });
        match read {
            Ok(record) => {
                for (column, cell) in self.row.cells.iter().enumerate() {
                    self.builder.append(column, cell.text(record, &self.row.scratch));
                }
                self.builder.end_row(number, record);
            }
            Err((rule, detail)) => self.builder.reject(Unreadable::new(number, rule, bytes, detail)),
        }
    }
}

impl Decoder for NdjsonDecoder<'_> {
    fn kind(&self) -> Kind {
        Kind::Json
    }

    fn columns_found(&self) -> &[String] {
        &self.keys.met
    }

    fn next_batch(&mut self) -> Result<Option<RawBatch>, DecodeError> {
        while !self.finished && !self.builder.is_full() {
            self.step()?;
        }
        self.builder.finish()
    }
}

impl Column {
    fn new(name: &str, keys: &mut Keys) -> Self {
        let path = name.split_once('.').map(|(root, rest)| {
            let rest = rest.split('.').map(str::to_owned).collect();
            (keys.want(root), rest)
        });
        Self { slot: keys.want(name), path }
    }
}

/// What is wrong with a record, without quoting it.
fn detail(record: &str, error: &serde_json::Error) -> String {
    if !record.trim_ascii_start().starts_with('{') {
        return "not a JSON object".to_owned();
    }
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or_default();
    match error.line() {
        0 | 1 => format!("{reason} at column {}", error.column()),
        line => format!("{reason} at column {} of its line {line}", error.column()),
    }
}

/// The keys of the outermost objects, and which of them are wanted.
#[derive(Default)]
struct Keys {
    /// How many slots there are for values.
    slots: usize,
    wanted: HashMap<String, usize>,
    /// All keys met, wanted or not, in order of appearance.
    met: Vec<String>,
    met_slots: Vec<Option<usize>>,
    places: HashMap<String, usize>,
    /// For each position in an object, which of `met` was there in the object before. Writers repeat
    /// their order, so a comparison mostly replaces a look-up.
    expected: Vec<usize>,
}

impl Keys {
    fn want(&mut self, key: &str) -> usize {
        *self.wanted.entry(key.to_owned()).or_insert_with(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// The slot of the key at a position of an object, if it is wanted.
    fn slot(&mut self, position: usize, key: &str) -> Option<usize> {
        if let Some(&place) = self.expected.get(position)
            && self.met[place] == key
        {
            return self.met_slots[place];
        }
        let Some(place) = self.place(key) else {
            return self.wanted.get(key).copied();
        };
        if position == self.expected.len() {
            self.expected.push(place);
        } else if let Some(expected) = self.expected.get_mut(position) {
            *expected = place;
        }
        self.met_slots[place]
    }

    fn place(&mut self, key: &str) -> Option<usize> {
        if let Some(&place) = self.places.get(key) {
            return Some(place);
        }
        let place = self.met.len();
        (place < KEYS_MAX).then(|| {
            self.met.push(key.to_owned());
            self.met_slots.push(self.wanted.get(key).copied());
            self.places.insert(key.to_owned(), place);
            place
        })
    }
}

/// The wanted values of one line, in memory that is used again for the next.
struct Row {
    /// Where each wanted member's JSON text is in the line.
    slots: Vec<Option<Range<usize>>>,
    cells: Vec<Cell>,
    scratch: String,
}

/// A column's value.
enum Cell {
    Null,
    /// A part of the line.
    Written(Range<usize>),
    /// A part of the row's scratch: a string whose escapes had to be undone.
    Unescaped(Range<usize>),
}

impl Cell {
    fn text<'a>(&self, record: &'a str, scratch: &'a str) -> Option<&'a str> {
        match self {
            Self::Null => None,
            Self::Written(range) => Some(&record[range.clone()]),
            Self::Unescaped(range) => Some(&scratch[range.clone()]),
        }
    }
}

impl Row {
    fn new(slots: usize) -> Self {
        Self { slots: vec![None; slots], cells: Vec::new(), scratch: String::new() }
    }

    fn read(&mut self, record: &str, keys: &mut Keys, columns: &[Column]) -> serde_json::Result<()> {
        self.slots.fill(None);
        self.cells.clear();
        self.scratch.clear();
        let mut json = serde_json::Deserializer::from_str(record);
        json.deserialize_map(Members { record, keys, slots: &mut self.slots })?;
        json.end()?;
        for column in columns {
            let json = self.find(record, column)?;
            let cell = self.cell(record, json)?;
            self.cells.push(cell);
        }
        Ok(())
    }

    fn find<'r>(&self, record: &'r str, column: &Column) -> serde_json::Result<Option<&'r str>> {
        let member = |slot: usize| self.slots[slot].clone().map(|range| &record[range]);
        let own = member(column.slot);
        match &column.path {
            Some((root, path)) if own.is_none() => descend(member(*root), path),
            _ => Ok(own),
        }
    }

    fn cell(&mut self, record: &str, json: Option<&str>) -> serde_json::Result<Cell> {
        let Some(json) = json.filter(|&json| json != "null") else {
            return Ok(Cell::Null);
        };
        let range = range_in(record, json);
        if !json.starts_with('"') {
            return Ok(Cell::Written(range));
        }
        if !json.contains('\\') {
            return Ok(Cell::Written(range.start + 1..range.end - 1));
        }
        let start = self.scratch.len();
        serde_json::Deserializer::from_str(json).deserialize_str(PushText(&mut self.scratch))?;
        Ok(Cell::Unescaped(start..self.scratch.len()))
    }
}

/// Where `part`, a piece borrowed from `whole`, lies in it.
fn range_in(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// Follows a path through nested objects; `None` where there is no such member.
fn descend<'r>(json: Option<&'r str>, path: &[String]) -> serde_json::Result<Option<&'r str>> {
    let mut at = json;
    for key in path {
        let Some(object) = at.filter(|json| json.starts_with('{')) else {
            return Ok(None);
        };
        at = serde_json::Deserializer::from_str(object).deserialize_map(Member(key))?;
    }
    Ok(at)
}

/// Notes where the wanted members of an object are.
struct Members<'k, 'r> {
    record: &'r str,
    keys: &'k mut Keys,
    slots: &'k mut [Option<Range<usize>>],
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        for position in 0.. {
            let key = SlotOf { keys: self.keys, position };
            match map.next_key_seed(key)? {
                None => break,
                Some(None) => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(Some(slot)) => {
                    let value: &RawValue = map.next_value()?;
                    self.slots[slot] = Some(range_in(self.record, value.get()));
                }
            }
        }
        Ok(())
    }
}

/// Turns a key into its slot without keeping the key.
struct SlotOf<'k> {
    keys: &'k mut Keys,
    position: usize,
}

impl<'de> DeserializeSeed<'de> for SlotOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for SlotOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.keys.slot(self.position, key))
    }
}

/// Picks one member of an object.
struct Member<'k>(&'k str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsKey(self.0))? {
            if is_it {
                found = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key without keeping it.
struct IsKey<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<bool, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Appends a string to a text.
struct PushText<'t>(&'t mut String);

impl Visitor<'_> for PushText<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::rules::{INVALID_UTF8, LINE_TOO_LONG, UNREADABLE_FILE, UNREADABLE_LINE};
    use crate::decode::lines::LINE_BYTES_MAX;
    use crate::decode::testing::{Pieces, decode_from, gzip, ndjson};
    use crate::decode::{BATCH_ROWS, DecodeError, Format};

    #[test]
    fn scalars_are_the_text_that_was_written() {
        let line = r#"{"a":17850.0,"b":1e400,"c":-0,"d":true,"e":null,"f":"1.50","g":12345678901234567890123}"#;
        let decoded = ndjson(line, &["a", "b", "c", "d", "e", "f", "g", "absent"]);
        assert_eq!(decoded.names, ["a", "b", "c", "d", "e", "f", "g", "absent"]);
        assert_eq!(decoded.rows, ["17850.0|1e400|-0|true|NULL|1.50|12345678901234567890123|NULL"]);
        assert_eq!(decoded.raw, [line]);
    }

    #[test]
    fn strings_are_unescaped() {
        let decoded = ndjson(
            "{\"a\":\"x\\n\\\"\\u0633\\ud83d\\ude00\",\"b\":\"\",\"\\u0063\":\"سلام\",\"d\":\"null\"}",
            &["a", "b", "c", "d"],
        );
        assert_eq!(decoded.rows, ["x\n\"س😀||سلام|null"]);
    }

    #[test]
    fn half_a_surrogate_pair_is_not_text() {
        let decoded = ndjson("{\"a\":\"\\ud83d\"}\n{\"b\":\"\\ud83d\",\"a\":1}\n", &["a"]);
        assert_eq!((decoded.unreadable, decoded.rows), (vec![(1, UNREADABLE_LINE)], vec!["1".to_owned()]));
    }

    #[test]
    fn nested_values_keep_their_text_and_paths_lead_into_them() {
        let line = r#"{"a":{"b":{"c": 1.10},"d":[1, 2]},"x.y":"own","x":{"y":"nested"},"s":"text"}"#;
        let decoded = ndjson(line, &["a.b.c", "a.b", "a.d", "a.d.0", "x.y", "s.t", "a.z.c", "n.o"]);
        assert_eq!(decoded.rows, [r#"1.10|{"c": 1.10}|[1, 2]|NULL|own|NULL|NULL|NULL"#]);
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        let decoded = ndjson(r#"{"a":1,"a":2,"o":{"p":3,"p":4}}"#, &["a", "o.p"]);
        assert_eq!(decoded.rows, ["2|4"]);
    }

    #[test]
    fn keys_may_change_their_order_come_and_go() {
        let text = "{\"a\":1,\"b\":2}\n{\"b\":3,\"a\":4}\n{\"z\":0,\"b\":5}\n{}\n{\"a\":6,\"z\":0,\"b\":7}\n";
        assert_eq!(ndjson(text, &["a", "b"]).rows, ["1|2", "4|3", "NULL|5", "NULL|NULL", "6|7"]);
    }

    #[test]
    fn more_keys_than_are_remembered_still_count() {
        let lines = (0..3000).map(|n| format!("{{\"k{n}\":{n},\"a\":{n}}}\n"));
        let decoded = ndjson(lines.collect::<String>() + "{\"late\":1}\n", &["a", "late", "k2999"]);
        assert_eq!((decoded.rows[2999].as_str(), decoded.rows[3000].as_str()), ("2999|NULL|2999", "NULL|1|NULL"));
    }

    #[test]
    fn a_broken_line_costs_only_itself() {
        let broken = [
            "{\"a\":",
            "[1]",
            "1",
            "\"a\"",
            "null",
            "{\"a\":1}{\"a\":2}",
            "{\"a\":NaN}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":1,}",
            "nonsense",
            "{\"a\":\"\u{1}\"}",
        ];
        for line in broken {
            let decoded = ndjson(format!("{{\"a\":1}}\n{line}\n{{\"a\":2}}\n"), &["a"]);
            assert_eq!(decoded.rows, ["1", "2"], "{line}");
            assert_eq!(decoded.unreadable, [(2, UNREADABLE_LINE)], "{line}");
        }
    }

    #[test]
    fn details_say_where_and_quote_nothing() {
        let decoded = ndjson("{\"secret\":tru}\n[\"secret\"]\n", &["a"]);
        assert_eq!(decoded.details, ["expected ident at column 14", "not a JSON object"]);
    }

    #[test]
    fn blank_lines_line_ends_and_byte_order_mark() {
        let decoded = ndjson("\u{feff}\r\n{\"a\":1}\r\n\n  \t\n{\"a\":2}", &["a", "_line"]);
        assert_eq!(decoded.rows, ["1|2", "2|5"]);
        assert_eq!(decoded.lines, [2, 5]);
        assert_eq!(decoded.raw, ["{\"a\":1}", "{\"a\":2}"]);
        assert_eq!(decoded.unreadable, []);
    }

    #[test]
    fn an_empty_input_has_no_rows() {
        for text in ["", "\n", "\u{feff}", "\n\n"] {
            let decoded = ndjson(text, &["a"]);
            assert_eq!((decoded.rows.len(), decoded.unreadable.len()), (0, 0));
        }
    }

    #[test]
    fn invalid_utf8_costs_its_line() {
        let decoded = ndjson(b"{\"a\":\"\xff\"}\n{\"a\":1}\n{\"b\":\"\xc3\"}", &["a"]);
        assert_eq!(
            (decoded.rows, decoded.unreadable),
            (vec!["1".to_owned()], vec![(1, INVALID_UTF8), (3, INVALID_UTF8)])
        );
    }

    #[test]
    fn deep_nesting_is_only_text() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let decoded = ndjson(format!("{{\"a\":{deep},\"x\":{deep}}}\n{{\"a\":1}}"), &["a"]);
        assert_eq!(decoded.rows, [deep.as_str(), "1"]);
    }

    #[test]
    fn a_line_at_the_limit_is_read_and_one_above_is_not() {
        let line = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        let text = format!("{}\n{}\n{}", line(LINE_BYTES_MAX), line(LINE_BYTES_MAX + 1), line(9));
        for bytes_max in [4099, usize::MAX] {
            let pieces = Pieces { content: text.as_bytes(), bytes_max, then: None };
            let decoded = decode_from(&Format::Ndjson, pieces, &["a"], BATCH_ROWS).expect("decodes");
            assert_eq!((decoded.lines, decoded.unreadable), (vec![1, 3], vec![(2, LINE_TOO_LONG)]));
            assert_eq!(decoded.raw[0].len(), super::super::RAW_BYTES_MAX);
        }
    }

    #[test]
    fn a_too_long_last_line_is_one_row() {
        let decoded = ndjson("x".repeat(3 * LINE_BYTES_MAX), &["a"]);
        assert_eq!(decoded.unreadable, [(1, LINE_TOO_LONG)]);
    }

    #[test]
    fn a_truncated_gzip_keeps_the_rows_before_the_cut() {
        let text: String = (0..5000).map(|n| format!("{{\"a\":{}}}\n", n * 7919 % 10_007)).collect();
        let whole = gzip(text.as_bytes());
        let decoded = ndjson(&whole[..whole.len() / 2], &["a"]);
        let rows = decoded.rows.len() as u64;
        assert!(rows > 1000 && rows < 4000, "{rows}");
        assert_eq!(decoded.unreadable, [(rows + 1, UNREADABLE_FILE)]);
    }

    #[test]
    fn a_wrong_checksum_leaves_the_rows_and_one_entry() {
        let mut bytes = gzip(b"{\"a\":1}\n{\"a\":2}\n");
        let crc = bytes.len() - 8;
        bytes[crc] ^= 1;
        let decoded = ndjson(bytes, &["a"]);
        assert_eq!((decoded.rows.len(), decoded.unreadable), (2, vec![(3, UNREADABLE_FILE)]));
    }

    #[test]
    fn a_failing_store_is_an_error_and_not_a_broken_file() {
        for content in [b"{\"a\":1}\n{\"a\"".to_vec(), gzip(b"{\"a\":1}\n")[..20].to_vec(), Vec::new()] {
            let then = Some(std::io::ErrorKind::ConnectionReset);
            let pieces = Pieces { content: &content, bytes_max: 5, then };
            let result = decode_from(&Format::Ndjson, pieces, &["a"], BATCH_ROWS);
            let Err(DecodeError::Input(error)) = result else { panic!("{result:?}") };
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn batches_end_by_rows_and_by_bytes() {
        let text = "{\"a\":1}\nx\n".repeat(5);
        let decoded = decode_from(&Format::Ndjson, text.as_bytes(), &["a"], 4).expect("decodes");
        assert_eq!(decoded.batches, [2, 2, 1]);
        let wide = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20)).repeat(20);
        assert_eq!(ndjson(wide, &["a"]).batches, [8, 8, 4]);
    }
}
