//! Cuts a byte stream into lines, in bounded memory, whatever the lines are like.

use std::io::{self, Read};

use memchr::memchr;

use super::DecodeError;
use super::batch::{Unreadable, rules};
use super::peek::store_error;

/// Longer lines (and longer CSV records) are rejected, in bytes.
pub const LINE_BYTES_MAX: usize = 16 << 20;

const CHUNK_BYTES: usize = 256 << 10;
const BOM: &[u8] = &[0xef, 0xbb, 0xbf];

/// What begins at a place in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A line that ends before this offset in [`Lines::pending`], its terminator included.
    Line(usize),
    /// A line of more than [`LINE_BYTES_MAX`]; only its beginning is pending.
    TooLong,
    /// No further whole line: the end, or the place where the input breaks off ([`Lines::failure`]).
    Nothing,
}

/// A window on the input that begins where the record at hand begins.
pub(super) struct Lines<'a> {
    input: Box<dyn Read + Send + 'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    number: u64,
    ended: bool,
    failure: Option<String>,
    /// Lines end in a carriage return alone: each is made a line feed as it comes in.
    lone_returns: bool,
}

impl<'a> Lines<'a> {
    /// Removes a byte order mark.
    ///
    /// # Errors
    /// [`DecodeError::Input`] when the store fails.
    pub(super) fn new(input: Box<dyn Read + Send + 'a>) -> Result<Self, DecodeError> {
        let mut lines = Self {
            input,
            buffer: vec![0; 2 * CHUNK_BYTES],
            start: 0,
            end: 0,
            number: 1,
            ended: false,
            failure: None,
            lone_returns: false,
        };
        while lines.pending().len() < BOM.len() && lines.fill()? {}
        if lines.pending().starts_with(BOM) {
            lines.start += BOM.len();
        }
        Ok(lines)
    }

    /// Tells a text whose lines end in a carriage return alone (old Macintosh programs write it) by its beginning,
    /// where none ends otherwise.
    pub(super) fn settle_line_ends(&mut self) -> Result<(), DecodeError> {
        while self.pending().len() < CHUNK_BYTES && self.fill()? {}
        let beginning = &self.pending()[..self.pending().len().min(CHUNK_BYTES)];
        if memchr(b'\r', beginning).is_some() && memchr(b'\n', beginning).is_none() {
            self.lone_returns = true;
            end_lines(&mut self.buffer[self.start..self.end]);
        }
        Ok(())
    }

    /// What has been read from the record's start on.
    pub(super) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The number of the line at the start of [`Self::pending`], from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Why the input broke off, once it did: everything pending then belongs to the broken rest.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Finds the end of the line that begins `from` bytes into [`Self::pending`]. The answer depends on
    /// the content alone, not on the pieces in which it arrives.
    pub(super) fn find(&mut self, from: usize) -> Result<Found, DecodeError> {
        let mut searched = from;
        loop {
            let pending = self.pending();
            let newline = memchr(b'\n', &pending[searched..]).map(|at| searched + at);
            if newline.unwrap_or(pending.len()) - from > LINE_BYTES_MAX {
                return Ok(Found::TooLong);
            }
            if let Some(at) = newline {
                return Ok(Found::Line(at + 1));
            }
            searched = pending.len();
            if !self.fill()? {
                return Ok(self.last(from));
            }
        }
    }

    /// The last line needs no terminator, unless the input broke off in it.
    fn last(&self, from: usize) -> Found {
        let length = self.pending().len();
        if self.failure.is_none() && length > from { Found::Line(length) } else { Found::Nothing }
    }

    /// Moves on to the next record.
    pub(super) fn consume(&mut self, bytes: usize, lines: u64) {
        self.start += bytes;
        self.number += lines;
    }

    /// The rest of an input that broke off, once [`Self::find`] found nothing more.
    pub(super) fn broken_off(&self) -> Option<Unreadable> {
        let detail = self.failure()?;
        let rest = without_terminator(self.pending());
        Some(Unreadable::new(self.number, rules::UNREADABLE_FILE, rest, detail))
    }

    /// Moves on behind a line that is too long.
    pub(super) fn pass_over_too_long(&mut self) -> Result<Unreadable, DecodeError> {
        let detail = format!("more than {LINE_BYTES_MAX} bytes");
        let passed = Unreadable::new(self.number, rules::LINE_TOO_LONG, self.pending(), detail);
        self.skip_line()?;
        Ok(passed)
    }

    /// Moves behind the next line terminator without keeping what comes before it; false if there is none.
    pub(super) fn skip_line(&mut self) -> Result<bool, DecodeError> {
        loop {
            if let Some(at) = memchr(b'\n', self.pending()) {
                self.consume(at + 1, 1);
                return Ok(true);
            }
            self.start = self.end;
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// The byte so far into [`Self::pending`], reading on for it; `None` at the end of what can be read.
    pub(super) fn byte(&mut self, at: usize) -> Result<Option<u8>, DecodeError> {
        while self.pending().len() <= at {
            if !self.fill()? {
                return Ok(None);
            }
        }
        Ok(self.pending().get(at).copied())
    }

    /// Reads one more piece; false at the end of what can be read.
    pub(super) fn fill(&mut self) -> Result<bool, DecodeError> {
        self.make_room();
        while !self.ended {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(bytes) => {
                    if self.lone_returns {
                        end_lines(&mut self.buffer[self.end..self.end + bytes]);
                    }
                    self.end += bytes;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(store_error(error).map_or_else(|error| Ok(error.to_string()), Err)?);
                    self.ended = true;
                }
            }
        }
        Ok(false)
    }

    /// Leaves at least a chunk free behind the pending bytes, moving them only when there is no room.
    fn make_room(&mut self) {
        if self.buffer.len() - self.end >= CHUNK_BYTES {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end < CHUNK_BYTES {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
    }
}

fn end_lines(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
}

/// A line without its terminator, `\n` or `\r\n`.
pub(super) fn without_terminator(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
