//! From facts to files: what comes late, twice, or in pieces.

use std::io;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::encode::{Encoded, encode, suffix};
use super::options::Rates;
use super::row::{Row, World};
use super::{Sink, SourceSummary};

/// A larger day comes in several files, which bounds the memory for one.
const FILE_ROWS_MAX: usize = 500_000;

const DELAY_DAYS_MAX: u32 = 20;

/// Draws the mishaps, apart from the shop's own luck, so that the same customers do the same things at
/// any rates of late, duplicate, broken and redelivered.
pub(super) struct Trouble {
    row_rng: ChaCha8Rng,
    /// Apart, so that all formats hold the same rows, though only some have lines to break.
    file_rng: ChaCha8Rng,
    rates: Rates,
}

impl Trouble {
    pub(super) fn new(seed: u64, rates: Rates) -> Self {
        let stream = |number| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number);
            rng
        };
        Self { row_rng: stream(u64::MAX), file_rng: stream(u64::MAX - 1), rates }
    }

    /// Days from the one that a row belongs to until the one whose file brings it.
    fn delay_days(&mut self) -> u32 {
        if !self.row_rng.random_bool(self.rates.late) {
            return 0;
        }
        let mut delay = 1;
        while delay < DELAY_DAYS_MAX && self.row_rng.random_bool(0.55) {
            delay += 1;
        }
        delay
    }

    /// Days until a row comes again, when it does.
    fn repeats_after_days(&mut self) -> Option<u32> {
        let repeats = self.row_rng.random_bool(self.rates.duplicate);
        repeats.then(|| self.row_rng.random_range(0..4))
    }

    /// Where to cut a line, from 0 to 1 of its length, when it breaks.
    pub(super) fn breaks_line(&mut self) -> Option<f64> {
        let breaks = self.file_rng.random_bool(self.rates.broken);
        breaks.then(|| self.file_rng.random())
    }

    fn redelivers(&mut self) -> bool {
        self.file_rng.random_bool(self.rates.redelivered)
    }
}

/// The rows of one source, by the day whose file will bring them.
pub(super) struct Outbox<T> {
    days: Vec<Vec<T>>,
    late: u64,
    duplicate: u64,
}

impl<T: Clone> Outbox<T> {
    /// For days up to and with `last_day`.
    pub(super) fn new(last_day: u32) -> Self {
        Self { days: (0..=last_day).map(|_| Vec::new()).collect(), late: 0, duplicate: 0 }
    }

    /// Puts a row of `day` on its way, which may be long. Says on which day it arrives; never, when
    /// that is after the last day of files.
    pub(super) fn post(&mut self, day: u32, row: T, trouble: &mut Trouble) -> Option<u32> {
        let arrives = day.saturating_add(trouble.delay_days());
        let repeats = trouble.repeats_after_days();
        let arrives = self.put(arrives, row.clone())?;
        self.late += u64::from(arrives > day);
        if let Some(days) = repeats
            && self.put(arrives.saturating_add(days), row).is_some()
        {
            self.duplicate += 1;
            self.late += u64::from(arrives + days > day);
        }
        Some(arrives)
    }

    /// Puts a row into the file of `day`, whatever the rates.
    pub(super) fn put(&mut self, day: u32, row: T) -> Option<u32> {
        self.days.get_mut(day as usize)?.push(row);
        Some(day)
    }

    pub(super) fn take(&mut self, day: u32) -> Vec<T> {
        self.days.get_mut(day as usize).map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn report(&self, summary: &mut SourceSummary) {
        summary.late = self.late;
        summary.duplicate = self.duplicate;
    }
}

/// The export of one day.
pub(super) struct Export<'a> {
    pub world: &'a World,
    pub day: u32,
    pub trouble: &'a mut Trouble,
    pub sink: &'a mut dyn Sink,
}

impl Export<'_> {
    /// Writes the rows of one source.
    pub(super) fn deliver<R: Row>(&mut self, rows: &[R], summary: &mut SourceSummary) -> io::Result<()> {
        for (part, rows) in rows.chunks(FILE_ROWS_MAX).enumerate() {
            self.deliver_file(part, rows, summary)?;
        }
        Ok(())
    }

    /// The same for rows of which there may be too many to hold at once: those of the numbers from 1
    /// to `count`, made one file at a time.
    pub(super) fn deliver_numbered<R: Row>(
        &mut self,
        count: u32,
        row: impl Fn(u32) -> R,
        summary: &mut SourceSummary,
    ) -> io::Result<()> {
        for (part, start) in (0..count).step_by(FILE_ROWS_MAX).enumerate() {
            let end = count.min(start.saturating_add(FILE_ROWS_MAX as u32));
            let rows: Vec<R> = (start..end).map(|number| row(number + 1)).collect();
            self.deliver_file(part, &rows, summary)?;
        }
        Ok(())
    }

    fn deliver_file<R: Row>(&mut self, part: usize, rows: &[R], summary: &mut SourceSummary) -> io::Result<()> {
        let Encoded { content, broken } = encode(self.world, rows, self.trouble)?;
        summary.rows += rows.len() as u64;
        summary.broken += broken;
        summary.files += 1;
        summary.bytes += content.len() as u64;
        let part = if part == 0 { String::new() } else { format!("-part{:03}", part + 1) };
        if self.trouble.redelivers() {
            summary.redelivered_files += 1;
            summary.redelivered_lines += rows.len() as u64 + broken;
            summary.bytes += content.len() as u64;
            self.sink.put(&self.path::<R>(&format!("{part}-again")), content.clone())?;
        }
        self.sink.put(&self.path::<R>(&part), content)
    }

    fn path<R: Row>(&self, mark: &str) -> String {
        let date = self.world.season.date(self.day);
        let ending = suffix(self.world.options.format);
        format!("{source}/dt={date}/{source}{mark}.{ending}", source = R::SOURCE)
    }
}
