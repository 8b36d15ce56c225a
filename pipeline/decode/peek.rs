//! Reading ahead without consuming, and telling the store's errors from the content's.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::DecodeError;

const BUFFER_BYTES: usize = 64 << 10;

/// Marks an error as the store's, so that it can be told from broken content after a decompressor
/// passed it on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InputFailed(io::Error);

/// The store's error inside `error` as [`DecodeError::Input`], or the error itself if the content is to blame.
pub(super) fn store_error(error: io::Error) -> Result<DecodeError, io::Error> {
    error.downcast::<InputFailed>().map(|InputFailed(inner)| DecodeError::Input(inner))
}

/// The store's stream: marks its errors, and counts what was read of it.
pub(super) struct Store<'a> {
    input: Box<dyn Read + Send + 'a>,
    read_bytes: Arc<AtomicU64>,
}

impl<'a> Store<'a> {
    pub(super) fn new(input: Box<dyn Read + Send + 'a>) -> Self {
        Self { input, read_bytes: Arc::default() }
    }

    /// How much was read so far, to be looked at later.
    pub(super) fn read_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read_bytes)
    }
}

impl Read for Store<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read_bytes = loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(|error| io::Error::other(InputFailed(error)))?,
            }
        };
        self.read_bytes.fetch_add(read_bytes as u64, Ordering::Relaxed);
        Ok(read_bytes)
    }
}

/// A buffered reader that can show its next few bytes without consuming them.
pub(super) struct PeekReader<'a> {
    input: Box<dyn Read + Send + 'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Met while peeking, and due when what was read before it is consumed.
    failed: Option<io::Error>,
}

impl<'a> PeekReader<'a> {
    pub(super) fn new(input: Box<dyn Read + Send + 'a>) -> Self {
        Self { input, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, failed: None }
    }

    /// The next `bytes` bytes, or fewer at the end of what can be read.
    pub(super) fn peek(&mut self, bytes: usize) -> &[u8] {
        while self.end - self.start < bytes && self.failed.is_none() {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => self.failed = Some(error),
            }
        }
        let shown = bytes.min(self.end - self.start);
        &self.buffer[self.start..self.start + shown]
    }

    /// The store's error, if peeking met one.
    pub(super) fn store_failed(&mut self) -> Option<DecodeError> {
        store_error(self.failed.take()?).map_err(|content| self.failed = Some(content)).ok()
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read_bytes = self.input.read(&mut self.buffer[self.end..])?;
        self.end += read_bytes;
        Ok(read_bytes)
    }
}

impl BufRead for PeekReader<'_> {
    /// Fills the whole buffer, in however small pieces its input arrives: a decompressor that meets broken content gives
    /// as much before it as its calls happened to ask for.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.peek(BUFFER_BYTES);
            if self.start == self.end
                && let Some(error) = self.failed.take()
            {
                return Err(error);
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }
}

impl Read for PeekReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read_bytes = self.fill_buf()?.read(buffer)?;
        self.consume(read_bytes);
        Ok(read_bytes)
    }
}
