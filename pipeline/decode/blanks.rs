//! Splits lines whose fields are separated by runs of blanks.

use super::fields::{Field, Split};

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether a line holds no field at all.
pub(super) fn is_empty(line: &[u8]) -> bool {
    line.iter().copied().all(is_blank)
}

/// Fills `fields` with those of `line` (without its terminator).
pub(super) fn split(line: &[u8], quote: Option<u8>, fields: &mut Vec<Field>) -> Split {
    fields.clear();
    let mut at = 0;
    while let Some(blanks) = line[at..].iter().position(|&byte| !is_blank(byte)) {
        let field = match field(line, at + blanks, quote) {
            Ok(field) => field,
            Err(split) => return split,
        };
        at = field.end + usize::from(field.is_quoted);
        fields.push(field);
    }
    Split::Complete
}

fn field(line: &[u8], start: usize, quote: Option<u8>) -> Result<Field, Split> {
    match quote {
        Some(quote) if line[start] == quote => quoted(line, start + 1, quote),
        _ => {
            let length = line[start..].iter().position(|&byte| is_blank(byte));
            Ok(Field::plain(start, length.map_or(line.len(), |length| start + length)))
        }
    }
}

fn quoted(line: &[u8], start: usize, quote: u8) -> Result<Field, Split> {
    let mut field = Field::opened(start);
    if !field.close(line, quote) {
        return Err(Split::Open);
    }
    match line.get(field.end + 1) {
        Some(&byte) if !is_blank(byte) => Err(Split::Junk),
        _ => Ok(field),
    }
}
