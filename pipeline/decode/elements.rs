//! Cuts JSON arrays into their elements, in bounded memory, however they are laid out.

use memchr::{memchr_iter, memchr3};

use super::DecodeError;
use super::batch::{Unreadable, rules};
use super::lines::{LINE_BYTES_MAX, Lines};

/// What comes next in an array.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An element, which ends before this offset in [`Lines::pending`]; take it, then call [`Elements::pass`].
    Element(usize),
    /// Something that is none.
    Broken(Unreadable),
    /// Nothing more.
    End,
}

/// Where in the text reading has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before an array or behind it; arrays may follow one another.
    Outside,
    Inside,
    /// Behind something that cannot be read past.
    Done,
}

/// Why an element has no end that could be trusted.
enum Endless {
    /// Its brackets or a string in it do not close.
    Unbalanced(&'static str),
    /// It is longer than [`LINE_BYTES_MAX`].
    TooLong,
    /// The input ends first.
    Cut,
}

/// Finds one element after another.
///
/// An element without an end costs itself: reading goes on with the next line that begins with an object and is indented
/// like it. If there is none, as where everything is on one line, the rest of the object is unreadable.
pub(super) struct Elements {
    place: Place,
    /// How many blanks stand before the next element on its line; `None` if another element does.
    indent: Option<usize>,
    /// The brackets that are open in the element at hand.
    open: Vec<u8>,
}

impl Elements {
    /// Whether a text holds arrays rather than lines: its first byte that is not blank is `[`.
    pub(super) fn are_in(lines: &mut Lines) -> Result<bool, DecodeError> {
        let mut at = 0;
        while let Some(byte) = lines.byte(at)? {
            if !byte.is_ascii_whitespace() || at > LINE_BYTES_MAX {
                return Ok(byte == b'[');
            }
            at += 1;
        }
        Ok(false)
    }

    pub(super) fn new() -> Self {
        Self { place: Place::Outside, indent: Some(0), open: Vec::new() }
    }

    /// Moves `lines` to the next element and finds its end.
    pub(super) fn next(&mut self, lines: &mut Lines) -> Result<Next, DecodeError> {
        loop {
            match (self.place, self.skip_blanks(lines)?) {
                (Place::Done, _) => return Ok(Next::End),
                (Place::Outside, None) => return Ok(self.end(lines)),
                (Place::Outside, Some(b'[')) => self.place = Place::Inside,
                (Place::Inside, Some(b']')) => self.place = Place::Outside,
                (Place::Outside, Some(_)) => return Ok(self.give_up(lines, "something follows the array")),
                (Place::Inside, None) => return Ok(self.give_up(lines, "the array does not end")),
                (Place::Inside, Some(_)) => {
                    return match self.scan(lines)? {
                        Ok(end) => Ok(Next::Element(end)),
                        Err(endless) => self.pass_over(lines, &endless),
                    };
                }
            }
            lines.consume(1, 0);
        }
    }

    /// Moves on behind the element that ends at `end`.
    pub(super) fn pass(&mut self, lines: &mut Lines, end: usize) {
        let newlines = memchr_iter(b'\n', &lines.pending()[..end]).count();
        lines.consume(end, newlines as u64);
        self.indent = None;
    }

    fn end(&mut self, lines: &Lines) -> Next {
        self.place = Place::Done;
        lines.broken_off().map_or(Next::End, Next::Broken)
    }

    /// The rest of the object as one entry; what broke off says so itself.
    fn give_up(&mut self, lines: &Lines, detail: &str) -> Next {
        self.place = Place::Done;
        let rest = lines.broken_off();
        Next::Broken(
            rest.unwrap_or_else(|| Unreadable::new(lines.number(), rules::UNREADABLE_FILE, lines.pending(), detail)),
        )
    }

    /// Moves to the next byte that is neither blank nor, inside an array, a comma.
    fn skip_blanks(&mut self, lines: &mut Lines) -> Result<Option<u8>, DecodeError> {
        loop {
            match lines.byte(0)? {
                Some(b'\n') => {
                    lines.consume(1, 1);
                    self.indent = Some(0);
                }
                Some(b' ' | b'\t' | b'\r') => {
                    lines.consume(1, 0);
                    self.indent = self.indent.map(|blanks| blanks + 1);
                }
                Some(b',') if self.place == Place::Inside => lines.consume(1, 0),
                other => return Ok(other),
            }
        }
    }

    /// Where the element at the start of the pending bytes ends. Its content is only looked at as far as that takes.
    fn scan(&mut self, lines: &mut Lines) -> Result<Result<usize, Endless>, DecodeError> {
        self.open.clear();
        let (mut at, mut in_string) = (0, false);
        while let Some(byte) = lines.byte(at)? {
            if at > LINE_BYTES_MAX {
                return Ok(Err(Endless::TooLong));
            }
            if in_string {
                let special = memchr3(b'"', b'\\', b'\n', &lines.pending()[at..]);
                at += special.unwrap_or(lines.pending().len() - at);
                if at > LINE_BYTES_MAX {
                    continue;
                }
                match lines.pending().get(at) {
                    Some(b'"') => in_string = false,
                    Some(b'\\') => at += 1,
                    Some(_) => return Ok(Err(Endless::Unbalanced("a string does not end on its line"))),
                    None => continue,
                }
            } else {
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => self.open.push(byte),
                    b',' | b']' if self.open.is_empty() => return Ok(Ok(at)),
                    // A stray one is left for the parser to complain about.
                    b'}' | b']' if self.open.pop().is_some_and(|open| open != byte - 2) => {
                        return Ok(Err(Endless::Unbalanced("brackets do not match")));
                    }
                    _ => {}
                }
            }
            at += 1;
        }
        let is_whole = !in_string && self.open.is_empty() && lines.pending().trim_ascii_end().ends_with(b"}");
        Ok(match at {
            _ if at > LINE_BYTES_MAX => Err(Endless::TooLong),
            _ if is_whole => Ok(at),
            _ => Err(Endless::Cut),
        })
    }

    /// Moves on to where reading can go on behind an element without an end.
    fn pass_over(&mut self, lines: &mut Lines, endless: &Endless) -> Result<Next, DecodeError> {
        let (rule, detail) = match endless {
            Endless::Unbalanced(detail) => (rules::UNREADABLE_LINE, (*detail).to_owned()),
            Endless::TooLong => (rules::LINE_TOO_LONG, format!("an element of more than {LINE_BYTES_MAX} bytes")),
            Endless::Cut if lines.failure().is_some() => return Ok(self.give_up(lines, "")),
            Endless::Cut => (rules::UNREADABLE_LINE, "the element does not end".to_owned()),
        };
        let mut broken = Unreadable::new(lines.number(), rule, lines.pending(), detail);
        if !self.resume(lines)? {
            self.place = Place::Done;
            broken.rule = rules::UNREADABLE_FILE;
            broken.detail += ", and no line behind it begins like it";
        }
        Ok(Next::Broken(broken))
    }

    /// Looks for the next line that begins with an object and is indented like the element at hand.
    fn resume(&mut self, lines: &mut Lines) -> Result<bool, DecodeError> {
        let Some(indent) = self.indent else { return Ok(false) };
        while lines.skip_line()? {
            let (mut at, mut blanks) = (0, 0);
            loop {
                match lines.byte(at)? {
                    Some(b' ' | b'\t') if blanks < indent => blanks += 1,
                    Some(b',') => {}
                    Some(b'{') if blanks == indent => {
                        lines.consume(at, 0);
                        return Ok(true);
                    }
                    _ => break,
                }
                at += 1;
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::rules::{INVALID_UTF8, LINE_TOO_LONG, UNREADABLE_FILE, UNREADABLE_LINE};
    use crate::decode::testing::{gzip, ndjson};

    use super::LINE_BYTES_MAX;

    #[test]
    fn arrays_on_one_line_and_pretty_printed() {
        for text in [
            r#"[{"a":1,"b":"],}\"{"},{"a":[2,{"x":"]"}]}]"#,
            "\u{feff}\n [\n  {\n    \"a\": 1,\n    \"b\": \"],}\\\"{\"\n  },\n  {\n    \"a\": [2,{\"x\":\"]\"}]\n  }\n]\n",
            "[{\"a\":1,\"b\":\"],}\\\"{\"}\r\n,{\"a\":[2,{\"x\":\"]\"}]}\r\n]",
        ] {
            let decoded = ndjson(text, &["a", "b"]);
            assert_eq!(decoded.rows, ["1|],}\"{", "[2,{\"x\":\"]\"}]|NULL"], "{text}");
            assert_eq!(decoded.unreadable, []);
        }
    }

    #[test]
    fn an_element_has_its_first_line_and_its_own_text() {
        let decoded = ndjson("[\n  {\n    \"a\": 1\n  },\n\n  {\"a\": 2}, {\"a\": 3}\n]", &["a", "_line"]);
        assert_eq!((decoded.lines, decoded.rows), (vec![2, 6, 6], vec!["1|2".into(), "2|6".into(), "3|6".into()]));
        assert_eq!(decoded.raw, ["{\n    \"a\": 1\n  }", "{\"a\": 2}", "{\"a\": 3}"]);
    }

    #[test]
    fn arrays_may_be_empty_and_follow_one_another() {
        for (text, rows) in [("[]", 0), (" [ ]\n", 0), ("[{}]\n[{},{}]\n[]", 3), ("[{},]", 1), ("[{\"a\":1}][{}]", 2)] {
            let decoded = ndjson(text, &["a"]);
            assert_eq!((decoded.rows.len(), decoded.unreadable.len()), (rows, 0), "{text}");
        }
    }

    #[test]
    fn a_broken_element_costs_itself() {
        for broken in ["{\"a\":tru}", "1", "\"x\"", "[{\"a\":9}]", "{\"a\":1}}", "{\"a\":1} {\"a\":2}", "null"] {
            for text in
                [format!("[{{\"a\":1}},{broken},{{\"a\":2}}]"), format!("[\n{{\"a\":1}},\n{broken},\n{{\"a\":2}}\n]")]
            {
                let decoded = ndjson(&text, &["a"]);
                assert_eq!(decoded.rows, ["1", "2"], "{text}");
                assert_eq!(decoded.unreadable.len(), 1, "{text}");
                assert_eq!(decoded.unreadable[0].1, UNREADABLE_LINE, "{text}");
            }
        }
        let decoded = ndjson(b"[{\"a\":\"\xff\"},\n{\"a\":1}]", &["a"]);
        assert_eq!((decoded.rows.len(), decoded.unreadable), (1, vec![(1, INVALID_UTF8)]));
    }

    #[test]
    fn an_element_without_an_end_costs_the_lines_up_to_the_next_that_begins_like_it() {
        for broken in ["{\"a\":\"x", "{\"a\":{\"b\":1}", "{\"a\":[1}", "{\"a\":1"] {
            let lines = ndjson(format!("[\n{{\"a\":1}},\n{broken},\n{{\"a\":2}},\n{{\"a\":3}}\n]\n"), &["a"]);
            assert_eq!(
                (lines.rows.join(" "), lines.unreadable),
                ("1 2 3".into(), vec![(3, UNREADABLE_LINE)]),
                "{broken}"
            );
        }
        let pretty = "[\n  {\n    \"a\": 1\n  },\n  {\n    \"a\": 2,\n    \"o\": [\n      {\"a\": 9}\n  },\n  {\n    \"a\": 3\n  }\n]";
        let decoded = ndjson(pretty, &["a"]);
        assert_eq!((decoded.rows.join(" "), decoded.unreadable), ("1 3".into(), vec![(5, UNREADABLE_LINE)]));
    }

    #[test]
    fn a_truncated_end_keeps_the_elements_before_it() {
        let whole = "[\n  {\"a\": 1},\n  {\"a\": \"x]\"},\n  {\"a\": 3}\n]";
        for end in 1..whole.len() {
            let decoded = ndjson(&whole[..end], &["a"]);
            let expected = whole[..end].matches('}').count();
            assert_eq!(decoded.rows.len(), expected, "{end}");
            assert_eq!(decoded.unreadable.len(), 1, "{end}");
            assert_eq!(decoded.unreadable[0].1, UNREADABLE_FILE, "{end}");
        }
        let bytes = gzip(&("[".to_owned() + &"{\"a\":1},\n".repeat(3000)).into_bytes());
        let decoded = ndjson(&bytes[..bytes.len() - 6], &["a"]);
        assert_eq!(decoded.unreadable.len(), 1);
        assert_eq!(decoded.unreadable[0].1, UNREADABLE_FILE);
        assert!(decoded.rows.len() > 1000, "{}", decoded.rows.len());
    }

    #[test]
    fn what_follows_the_array_is_not_lost_silently() {
        let decoded = ndjson("[{\"a\":1}]\n{\"a\":2}\n", &["a"]);
        assert_eq!((decoded.rows.len(), decoded.unreadable), (1, vec![(2, UNREADABLE_FILE)]));
    }

    #[test]
    fn a_large_array_on_one_line_and_an_element_over_the_limit() {
        let text = format!("[{}{{\"a\":2}}]", format!("{{\"a\":\"{}\"}},", "x".repeat(60_000)).repeat(300));
        assert!(text.len() > LINE_BYTES_MAX);
        assert_eq!(ndjson(&text, &["a"]).rows.len(), 301);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(LINE_BYTES_MAX));
        let decoded = ndjson(format!("[\n{{}},\n{long},\n{{}}\n]"), &["a"]);
        assert_eq!((decoded.rows.len(), decoded.unreadable), (2, vec![(3, LINE_TOO_LONG)]));
        let decoded = ndjson(format!("[{{}},{long},{{}}]"), &["a"]);
        assert_eq!((decoded.rows.len(), decoded.unreadable), (1, vec![(1, UNREADABLE_FILE)]));
    }

    #[test]
    fn deep_nesting_is_only_text() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(ndjson(format!("[{{\"a\":{deep}}},{{\"a\":1}}]"), &["a"]).rows, [deep.as_str(), "1"]);
        let decoded = ndjson("[".repeat(100_000), &["a"]);
        assert_eq!((decoded.rows.len(), decoded.unreadable), (0, vec![(1, UNREADABLE_FILE)]));
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_array_is_it_reads_the_same_in_pieces(text in "[\\[\\]{},:\"a1\\\\\n ]{0,80}") {
            ndjson("[".to_owned() + &text, &["a"]);
        }

        #[test]
        fn arrays_and_lines_agree(values in proptest::collection::vec("[a-z\\[\\]{}, ]{0,8}", 0..8), between in "[\n ]{0,3},[\n ]{0,3}") {
            let objects: Vec<String> = values.iter().map(|value| format!("{{\"a\":\"{value}\",\"o\":[{{}}]}}")).collect();
            let array = ndjson(format!("[{}]", objects.join(&between)), &["a"]);
            proptest::prop_assert_eq!((array.rows, array.unreadable), (ndjson(objects.join("\n"), &["a"]).rows, vec![]));
        }
    }
}
