//! The key hashes of one object's rows, put in order within bounded memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

/// Hashes in the order of their values.
pub(super) struct Keys {
    held: Vec<u64>,
    /// Sorted runs that had to leave memory.
    runs: Vec<File>,
    /// Whether a hash that comes again is kept.
    per_row: bool,
}

impl Keys {
    pub fn new(per_row: bool) -> Self {
        Self { held: vec![], runs: vec![], per_row }
    }

    pub fn extend(&mut self, hashes: impl Iterator<Item = u64>) {
        self.held.extend(hashes);
    }

    /// How many are in memory.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Moves what is in memory into an unnamed file in `dir`.
    pub fn spill(&mut self, dir: &Path) -> io::Result<()> {
        self.sort();
        let mut out = BufWriter::new(tempfile::tempfile_in(dir)?);
        for hash in std::mem::take(&mut self.held) {
            out.write_all(&hash.to_le_bytes())?;
        }
        let mut run = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        run.rewind()?;
        self.runs.push(run);
        Ok(())
    }

    fn sort(&mut self) {
        self.held.sort_unstable();
        if !self.per_row {
            self.held.dedup();
        }
    }

    /// Writes all of them in ascending order, eight bytes each, little end first; returns how many that is.
    pub fn write(mut self, mut out: impl Write) -> io::Result<u64> {
        self.sort();
        let held = std::mem::take(&mut self.held).into_iter().map(Ok);
        let mut runs: Vec<Box<dyn Iterator<Item = io::Result<u64>> + Send>> = vec![Box::new(held)];
        runs.extend(self.runs.into_iter().map(|file| Box::new(hashes(BufReader::new(file))) as Box<_>));
        let mut next = BinaryHeap::new();
        for (run, hashes) in runs.iter_mut().enumerate() {
            next.extend(hashes.next().transpose()?.map(|hash| Reverse((hash, run))));
        }
        let (mut written, mut last) = (0, None);
        while let Some(Reverse((hash, run))) = next.pop() {
            if self.per_row || last != Some(hash) {
                out.write_all(&hash.to_le_bytes())?;
                written += 1;
                last = Some(hash);
            }
            next.extend(runs[run].next().transpose()?.map(|hash| Reverse((hash, run))));
        }
        out.flush()?;
        Ok(written)
    }
}

fn hashes(mut run: impl Read) -> impl Iterator<Item = io::Result<u64>> {
    std::iter::from_fn(move || {
        let mut eight = [0; 8];
        match run.read_exact(&mut eight) {
            Ok(()) => Some(Ok(u64::from_le_bytes(eight))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => Some(Err(error)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::homes::encode_keys;

    fn written(per_row: bool, hashes: &[u64], spill_every: usize) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::new(per_row);
        for piece in hashes.chunks(spill_every) {
            keys.extend(piece.iter().copied());
            if keys.held() == spill_every {
                keys.spill(dir.path()).unwrap();
            }
        }
        let mut bytes = vec![];
        let count = keys.write(&mut bytes).unwrap();
        assert_eq!(count as usize * 8, bytes.len());
        bytes
    }

    #[test]
    fn runs_on_disk_change_nothing() {
        let hashes: Vec<u64> = (0..1000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 300).collect();
        let mut sorted = hashes.clone();
        sorted.sort_unstable();
        for spill_every in [1, 7, 1000, 2000] {
            assert_eq!(written(true, &hashes, spill_every), encode_keys(&sorted));
        }
        sorted.dedup();
        for spill_every in [1, 7, 1000, 2000] {
            assert_eq!(written(false, &hashes, spill_every), encode_keys(&sorted));
        }
        assert_eq!(written(false, &[], 5), b"");
    }
}
