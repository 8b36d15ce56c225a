//! From the file's text to its raw tables, past every mistake: what doesn't fit is complained about and taken
//! out, and reading goes on, so that all complaints come at once.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Complaint, Complaints, Place, TextFile, did_you_mean, nearest, one_of};
use super::expression::unquoted;
use super::file::File;
use super::substitute::{Environment, Fault, FaultyValue, substitute};
use crate::redact;

/// What conversion needs beside the raw tables.
pub struct Reader {
    pub file: Arc<TextFile>,
    /// Relative paths start here.
    pub folder: PathBuf,
    pub complaints: Complaints,
    /// Dotted paths of keys that were taken out, or that an unknown key was probably meant to be.
    dropped: BTreeSet<String>,
}

/// Reads the whole text. What is returned lacks whatever was complained about.
///
/// # Errors
/// The text is no TOML: its syntax errors alone, since what follows from them would only confuse.
pub fn read(
    path: &str,
    folder: PathBuf,
    text: &str,
    environment: Environment<'_>,
) -> Result<(File, Reader), Complaints> {
    let (mut root, syntax_errors) = DeTable::parse_recoverable(text);
    let unread = if syntax_errors.is_empty() { vec![] } else { secret_lines(text) };
    let file = TextFile::new(path, masked(text, root.get_ref(), &unread));
    let mut reader = Reader { file, folder, complaints: Complaints::default(), dropped: BTreeSet::new() };
    for error in &syntax_errors {
        reader.complain(error.span().unwrap_or(0..0), error.message().replace('\n', ", "));
    }
    if !syntax_errors.is_empty() {
        return Err(reader.complaints);
    }
    for faulty in substitute(root.get_mut(), environment) {
        reader.report_fault(root.get_mut(), &faulty);
    }
    let raw = reader.deserialize(root);
    Ok((raw, reader))
}

impl Reader {
    pub fn place(&self, span: Range<usize>) -> Place {
        Place::new(&self.file, span)
    }

    /// The value at `span` as the file has it, without quotes: never a resolved variable.
    pub fn written(&self, span: &Range<usize>) -> String {
        unquoted(self.place(span.clone()).text()).to_owned()
    }

    pub fn complain(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.complaints.push(Complaint::new(message).at(self.place(span)));
    }

    pub fn complain_with_hint(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.complaints.push(Complaint::new(message).at(self.place(span)).hint(hint));
    }

    /// Complains that a required key is missing, unless it was complained about already. `table` is the place of
    /// the table that lacks it, if that is there.
    pub fn missing(&mut self, key: &str, table: Option<Range<usize>>, hint: &str) {
        if self.was_dropped(key) {
            return;
        }
        let complaint = match key.rsplit_once('.') {
            Some((table_name, name)) => Complaint::new(format!("[{table_name}] has no `{name}`")),
            None => Complaint::new(format!("there is no [{key}]")),
        };
        let complaint = match table {
            Some(span) => complaint.at(self.place(span)),
            None => complaint.in_file(&self.file),
        };
        self.complaints.push(complaint.hint(hint));
    }

    /// Whether the key, or a table that it belongs to, was complained about while reading.
    pub fn was_dropped(&self, key: &str) -> bool {
        let ancestors = key.match_indices('.').map(|(dot, _)| &key[..dot]);
        ancestors.chain([key]).any(|path| self.dropped.contains(path))
    }

    fn report_fault(&mut self, root: &mut DeTable<'_>, faulty: &FaultyValue) {
        let (written, message, hint) = match &faulty.fault {
            Fault::Missing { name } => (
                format!("${{{name}}}"),
                format!("the environment has no variable `{name}`"),
                "set it, or write `$${` for a literal `${`",
            ),
            Fault::Malformed { written } => (
                written.clone(),
                "this is not a variable's name".to_owned(),
                "write `${NAME}` with letters, digits and `_`, or `$${` for a literal `${`",
            ),
        };
        let value = self.place(faulty.span.clone()).text().to_owned();
        let span = match value.find(&written) {
            Some(at) => faulty.span.start + at..faulty.span.start + at + written.len(),
            None => faulty.span.clone(),
        };
        self.complain_with_hint(span, message, hint);
        if let Some(dropped) = take_out(root, &faulty.span) {
            self.dropped.insert(dropped.join("."));
        }
    }

    /// Each failure names one place; the key there is taken out and the rest is tried again, so this ends.
    fn deserialize(&mut self, mut root: Spanned<DeTable<'_>>) -> File {
        loop {
            let error = match File::deserialize(toml::de::Deserializer::from(root.clone())) {
                Ok(file) => return file,
                Err(error) => error,
            };
            let span = error.span().unwrap_or(0..0);
            let Some(path) = take_out(root.get_mut(), &span) else {
                self.complain(span, "this cannot be read");
                return File::default();
            };
            self.dropped.insert(path.join("."));
            self.report_misfit(span, &path, error.message());
        }
    }

    /// Explains serde's `message` about the key at `path`. Of the message only the expectation is shown: the rest
    /// quotes values, and a value may be a resolved secret.
    fn report_misfit(&mut self, span: Range<usize>, path: &[String], message: &str) {
        let Some((key, table)) = path.split_last() else { return };
        let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
        let names = expected.map(backticked).unwrap_or_default();
        if !message.starts_with("unknown field") {
            // A choice that isn't even a string: serde then doesn't say what it expected.
            let wanted = expected.map_or("a string".to_owned(), expectation);
            let hint = nearest(&self.written(&span), names).map(did_you_mean);
            self.complaints.push(self.complaint(span, format!("`{key}` must be {wanted}"), hint));
            return;
        }
        let place = if table.is_empty() { "the file".to_owned() } else { format!("[{}]", table.join(".")) };
        let meant = nearest(key, names.iter().copied());
        if let Some(meant) = meant {
            self.dropped.insert([table, &[meant.to_owned()]].concat().join("."));
        }
        let hint = meant.map_or_else(|| format!("it may have {}", one_of(names)), did_you_mean);
        self.complaints.push(self.complaint(span, format!("{place} has no key `{key}`"), Some(hint)));
    }

    fn complaint(&self, span: Range<usize>, message: String, hint: Option<String>) -> Complaint {
        let complaint = Complaint::new(message).at(self.place(span));
        match hint {
            Some(hint) => complaint.hint(hint),
            None => complaint,
        }
    }
}

/// What serde expected, in the words of a TOML user.
fn expectation(expected: &str) -> String {
    match expected {
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        "any valid TOML value" => "a number that fits 64 bits".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other if other.starts_with("one of ") || other.starts_with('`') => one_of(backticked(other)),
        other => other.to_owned(),
    }
}

fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Takes out the entry whose key stands at `span`, or else the innermost one whose value holds it, and returns its
/// path.
fn take_out(root: &mut DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let is_key = |key: Range<usize>, _: Range<usize>| key == *span;
    let holds = |_: Range<usize>, value: Range<usize>| value.start <= span.start && span.end <= value.end;
    take_out_where(root, &is_key).or_else(|| take_out_where(root, &holds))
}

/// Takes out the innermost entry for whose key's and value's spans `condition` holds.
fn take_out_where(
    table: &mut DeTable<'_>,
    condition: &dyn Fn(Range<usize>, Range<usize>) -> bool,
) -> Option<Vec<String>> {
    for (key, value) in table.iter_mut() {
        let inside = match value.get_mut() {
            DeValue::Table(inner) => take_out_where(inner, condition),
            DeValue::Array(items) => items.iter_mut().find_map(|item| match item.get_mut() {
                DeValue::Table(inner) => take_out_where(inner, condition),
                _ => None,
            }),
            _ => None,
        };
        if let Some(path) = inside {
            return Some([vec![key.get_ref().to_string()], path].concat());
        }
    }
    let found = table.iter().find(|(key, value)| condition(key.span(), value.span()));
    let key = found.map(|(key, _)| key.get_ref().to_string())?;
    table.remove(key.as_str());
    Some(vec![key])
}

/// The text for quoting in complaints: secrets that stand in the file itself are starred out, byte for byte.
fn masked(text: &str, root: &DeTable<'_>, unread: &[Range<usize>]) -> String {
    let mut spans = redact::url_secrets(text);
    secret_spans(root, false, &mut spans);
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        let written = &text[span.clone()];
        let secret = unquoted(written);
        let start = span.start + (written.len() - secret.len()) / 2;
        star_out(&mut bytes[start..start + secret.len()]);
    }
    unread.iter().for_each(|span| bytes[span.clone()].fill(b'*'));
    String::from_utf8(bytes).unwrap_or_default()
}

/// All but the names of variables: those help and tell nothing.
fn star_out(secret: &mut [u8]) {
    let mut at = 0;
    while at < secret.len() {
        let rest = &secret[at..];
        let variable = rest.starts_with(b"${").then(|| rest.iter().position(|byte| *byte == b'}')).flatten();
        let literal = if rest.starts_with(b"$${") { 3 } else { 1 };
        at += match variable {
            Some(end) => end + 1,
            None => {
                secret[at..at + literal].fill(b'*');
                literal
            }
        };
    }
}

/// What stands after `=` where a secret may stand, line by line: of a text that is no TOML, nothing else can be told.
fn secret_lines(text: &str) -> Vec<Range<usize>> {
    let mut in_options = false;
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            in_options = line.contains("options");
        } else if let Some(equals) = line.find('=')
            && (in_options || line[..equals].contains("options") || is_secret(line[..equals].trim()))
        {
            spans.push(start + equals + 1..start + line.trim_end().len());
        }
        start += line.len();
    }
    spans
}

/// A webhook's URL is all that it takes to write there.
fn is_secret(key: &str) -> bool {
    redact::sounds_secret(key) || key == "url"
}

/// The values of `options` tables, and of keys that sound like a secret wherever they stand.
fn secret_spans(table: &DeTable<'_>, in_options: bool, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table.iter() {
        let name = key.get_ref().to_lowercase();
        match value.get_ref() {
            DeValue::Table(inner) => secret_spans(inner, in_options || name == "options", spans),
            DeValue::Array(items) if !in_options && !is_secret(&name) => {
                let tables = items.iter().filter_map(|item| item.get_ref().as_table());
                tables.for_each(|inner| secret_spans(inner, false, spans));
            }
            other if in_options || is_secret(&name) => string_spans(other, value.span(), spans),
            _ => {}
        }
    }
}

fn string_spans(value: &DeValue<'_>, span: Range<usize>, spans: &mut Vec<Range<usize>>) {
    match value {
        DeValue::String(_) => spans.push(span),
        DeValue::Array(items) => items.iter().for_each(|item| string_spans(item.get_ref(), item.span(), spans)),
        DeValue::Table(table) => table.iter().for_each(|(_, inner)| string_spans(inner.get_ref(), inner.span(), spans)),
        _ => {}
    }
}
