//! One field of a delimited record, as a place in the record's bytes.

use memchr::memchr;

/// Where a field's text is, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_quoted: bool,
    /// Whether quotes are doubled in it.
    pub(super) has_quotes: bool,
}

/// How splitting a record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// All fields are known.
    Complete,
    /// A quoted field does not end in what is there.
    Open,
    /// Something follows a closing quote.
    Junk,
}

impl Split {
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::Junk => "text after a closing quote",
            Self::Open | Self::Complete => "a quoted field does not end",
        }
    }
}

impl Field {
    pub(super) fn plain(start: usize, end: usize) -> Self {
        Self { start, end, is_quoted: false, has_quotes: false }
    }

    /// A field whose opening quote is right before `start`, and of which nothing was scanned yet.
    pub(super) fn opened(start: usize) -> Self {
        Self { start, end: start, is_quoted: true, has_quotes: false }
    }

    /// Scans on from `end` for the closing quote. If there is none, `end` is how far it got.
    pub(super) fn close(&mut self, record: &[u8], quote: u8) -> bool {
        while let Some(at) = memchr(quote, &record[self.end..]) {
            self.end += at;
            if record.get(self.end + 1) != Some(&quote) {
                return true;
            }
            self.has_quotes = true;
            self.end += 2;
        }
        self.end = record.len();
        false
    }

    /// The field's text; `None` if it is empty and unquoted. `scratch` is for text that is not in the
    /// record as it should be read.
    pub(super) fn text<'a>(&self, record: &'a str, quote: Option<u8>, scratch: &'a mut String) -> Option<&'a str> {
        let written = &record[self.start..self.end];
        match quote.map(char::from) {
            Some(quote) if self.has_quotes => {
                scratch.clear();
                push_undoubled(scratch, written, quote);
                Some(scratch)
            }
            _ => (self.is_quoted || !written.is_empty()).then_some(written),
        }
    }
}

fn push_undoubled(text: &mut String, written: &str, quote: char) {
    let mut rest = written;
    while let Some(at) = rest.find(quote) {
        text.push_str(&rest[..=at]);
        rest = rest.get(at + 2..).unwrap_or("");
    }
    text.push_str(rest);
}
