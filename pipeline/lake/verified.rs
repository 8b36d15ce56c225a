//! Reading files of the lake, every byte verified before it is used.
//!
//! A file has a digest over all its bytes and, from two pieces on, a sum over each piece. Whoever wants a stretch of it
//! gets the pieces around it, so a scan of few columns reads little more than these. What comes out wrong is read
//! once more, in case it was damaged on its way; then the file is said to be damaged.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::sums::PIECE_BYTES;
use super::{Damage, Digest, LakeFile};
use crate::error::{Error, Result};
use crate::storage::Storage;

const GONE: &str = "it is gone";
const OTHER_BYTES: &str = "it has other bytes than were written";
const TRIES: u32 = 2;

fn damaged<T>(file: &LakeFile, what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Damaged(Damage::new(&file.path, what)))
}

/// All of a file.
///
/// # Errors
/// [`Error::Damaged`] when it is gone or not what was written; [`Error::World`] when it can't be read.
pub async fn read(lake: &Storage, file: &LakeFile) -> Result<Bytes> {
    for _ in 0..TRIES {
        match lake.get(&file.path).await? {
            None => return damaged(file, GONE),
            Some(bytes) if Digest::of(&bytes) == file.digest => return Ok(bytes),
            Some(_) => {}
        }
    }
    damaged(file, OTHER_BYTES)
}

/// A file, opened locally: where it lies, or as a copy in `scratch`.
///
/// # Errors
/// As [`read`].
pub async fn open(lake: &Storage, file: &LakeFile, scratch: &Path) -> Result<File> {
    for _ in 0..TRIES {
        let mut local = match lake.local_dir() {
            Some(dir) => match File::open(dir.join(&file.path)) {
                Ok(local) => local,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return damaged(file, GONE),
                Err(e) => return Err(Error::world(format!("cannot read {}/{}", lake.location(), file.path), e)),
            },
            None if lake.head(&file.path).await?.is_none() => return damaged(file, GONE),
            None => lake.fetch(&file.path, tempfile::tempfile_in(scratch)?).await?,
        };
        local.seek(SeekFrom::Start(0))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&local)?;
        if Digest::from_hash(hasher.finalize()) == file.digest {
            local.seek(SeekFrom::Start(0))?;
            return Ok(local);
        }
    }
    damaged(file, OTHER_BYTES)
}

/// Reads stretches of one file.
pub struct Stretches {
    lake: Storage,
    file: LakeFile,
    /// The pieces read last, by where they begin: a footer is asked for before the columns, and in a small file
    /// both are in one piece.
    held: Option<(Range<u64>, Bytes)>,
}

impl Stretches {
    pub fn of(lake: Storage, file: LakeFile) -> Self {
        Self { lake, file, held: None }
    }

    pub fn size_bytes(&self) -> u64 {
        self.file.size_bytes
    }

    /// Reads one stretch and keeps the pieces that it lies in.
    ///
    /// # Errors
    /// As [`read`].
    pub async fn read_and_hold(&mut self, wanted: Range<u64>) -> Result<Bytes> {
        let around = self.around(&wanted)?;
        if self.held(&around).is_none() {
            let bytes = self.fetch(vec![around.clone()]).await?.pop().unwrap_or_default();
            self.held = Some((around, bytes));
        }
        Ok(self.held(&wanted).unwrap_or_default())
    }

    /// Reads some stretches: pieces that touch are asked for together, none of them twice.
    ///
    /// # Errors
    /// As [`read`].
    pub async fn read(&self, wanted: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut around = wanted.iter().map(|range| self.around(range)).collect::<Result<Vec<_>>>()?;
        around.retain(|range| !range.is_empty() && self.held(range).is_none());
        around.sort_by_key(|range| range.start);
        for range in around {
            match runs.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => runs.push(range),
            }
        }
        let fetched = self.fetch(runs.clone()).await?;
        let cut = |range: &Range<u64>| {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            let run = runs.iter().zip(&fetched).find(|(run, _)| run.start <= range.start && range.end <= run.end);
            let bytes = run.map(|(run, bytes)| slice(bytes, run.start, range));
            bytes.or_else(|| self.held(range)).ok_or_else(|| Error::bug("a stretch was not fetched"))
        };
        wanted.iter().map(cut).collect()
    }

    fn held(&self, range: &Range<u64>) -> Option<Bytes> {
        let (run, bytes) = self.held.as_ref()?;
        (run.start <= range.start && range.end <= run.end).then(|| slice(bytes, run.start, range))
    }

    /// The pieces that a stretch lies in.
    fn around(&self, range: &Range<u64>) -> Result<Range<u64>> {
        let size_bytes = self.file.size_bytes;
        if range.start > range.end || range.end > size_bytes {
            return Err(Error::bug(format!("{}: {range:?} is not within its {size_bytes} bytes", self.file.path)));
        }
        let start = range.start / PIECE_BYTES * PIECE_BYTES;
        Ok(start..range.end.next_multiple_of(PIECE_BYTES).min(size_bytes))
    }

    /// Reads and verifies runs of whole pieces.
    async fn fetch(&self, runs: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        let mut found = self.ranges(&runs).await?;
        let wrong: Vec<usize> = (0..runs.len()).filter(|&i| self.wrong_piece(&runs[i], &found[i]).is_some()).collect();
        if wrong.is_empty() {
            return Ok(found);
        }
        let again: Vec<Range<u64>> = wrong.iter().map(|&i| runs[i].clone()).collect();
        for (i, bytes) in wrong.into_iter().zip(self.ranges(&again).await?) {
            if let Some(piece) = self.wrong_piece(&runs[i], &bytes) {
                return damaged(&self.file, format!("{OTHER_BYTES}, {} to {}", piece.start, piece.end));
            }
            found[i] = bytes;
        }
        Ok(found)
    }

    async fn ranges(&self, runs: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if runs.is_empty() {
            return Ok(vec![]);
        }
        match self.lake.get_ranges(&self.file.path, runs).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => damaged(&self.file, GONE),
            // Asked for what is behind the end of a file that was cut short, stores answer one error or another.
            Err(error) => match self.lake.head(&self.file.path).await {
                Ok(Some(meta)) if meta.size != self.file.size_bytes => {
                    damaged(&self.file, format!("it has {} of {} bytes", meta.size, self.file.size_bytes))
                }
                _ => Err(error),
            },
        }
    }

    /// The first piece of a run that isn't what was written.
    fn wrong_piece(&self, run: &Range<u64>, bytes: &Bytes) -> Option<Range<u64>> {
        if bytes.len() as u64 != run.end - run.start {
            return Some(run.clone());
        }
        if self.file.size_bytes <= PIECE_BYTES {
            return (!run.is_empty() && Digest::of(bytes) != self.file.digest).then(|| run.clone());
        }
        if self.file.sums.is_empty() {
            // Written by a version that kept none.
            return None;
        }
        let pieces = (run.start..run.end).step_by(PIECE_BYTES as usize);
        let mut pieces = pieces.map(|start| start..(start + PIECE_BYTES).min(run.end));
        let fits = |piece: &Range<u64>| {
            let number = usize::try_from(piece.start / PIECE_BYTES).unwrap_or(usize::MAX);
            self.file.sums.fits(number, &slice(bytes, run.start, piece))
        };
        pieces.find(|piece| !fits(piece))
    }
}

/// The part of `bytes`, which begin at `from`, that a range of the file is.
fn slice(bytes: &Bytes, from: u64, range: &Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset.saturating_sub(from)).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "one stretch is wanted")]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::lake::Fingerprint;

    const PIECE: usize = PIECE_BYTES as usize;

    fn lake() -> Storage {
        Storage::from_store(Arc::new(InMemory::new()), "memory")
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|i| (i / 7 % 251) as u8).collect()
    }

    async fn put(lake: &Storage, bytes: &[u8]) -> LakeFile {
        lake.put("file", bytes.to_vec()).await.expect("put");
        Fingerprint::of(bytes).at("file".to_owned(), 1)
    }

    fn is_damage<T>(result: &Result<T>) -> bool {
        matches!(result, Err(Error::Damaged(damage)) if damage.path == "file")
    }

    #[tokio::test]
    async fn stretches_are_what_was_written() {
        for size in [1, 100, PIECE, PIECE + 1, 3 * PIECE + 100] {
            let (lake, bytes) = (lake(), content(size));
            let file = put(&lake, &bytes).await;
            let mut stretches = Stretches::of(lake, file);
            let end = size as u64;
            let wanted = [0..1, 0..end, end - 1..end, end / 2..end / 2, end / 3..end / 2, end..end];
            for hold in [false, true] {
                if hold {
                    let tail = stretches.read_and_hold(end / 2..end).await.expect("whole");
                    assert_eq!(tail, bytes[size / 2..]);
                }
                let found = stretches.read(&wanted).await.expect("whole");
                for (range, found) in wanted.iter().zip(found) {
                    assert_eq!(found, bytes[range.start as usize..range.end as usize], "{range:?} of {size}");
                }
            }
            assert!(stretches.read(&[0..end + 1]).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_flipped_bit_is_found_by_who_reads_its_piece_and_by_nobody_else() {
        let bytes = content(3 * PIECE + 100);
        for at in [0, PIECE - 1, PIECE, 2 * PIECE + 5, 3 * PIECE, 3 * PIECE + 99] {
            let lake = lake();
            let file = put(&lake, &bytes).await;
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x80;
            lake.put("file", flipped).await.expect("put");
            assert!(is_damage(&read(&lake, &file).await));
            let scratch = tempfile::tempdir().expect("a folder");
            assert!(is_damage(&open(&lake, &file, scratch.path()).await));
            let stretches = Stretches::of(lake, file);
            for piece in 0..4 {
                let start = (piece * PIECE) as u64;
                let found = stretches.read(&[start + 7..start + 9]).await;
                assert_eq!(is_damage(&found), at / PIECE == piece, "byte {at}, piece {piece}");
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_is_cut_short_or_gone_is_damaged() {
        let bytes = content(2 * PIECE + 100);
        for left in [0, 10, PIECE, 2 * PIECE + 99] {
            let lake = lake();
            let file = put(&lake, &bytes).await;
            lake.put("file", bytes[..left].to_vec()).await.expect("put");
            assert!(is_damage(&read(&lake, &file).await));
            assert!(
                is_damage(&Stretches::of(lake, file).read(&[0..5, 2 * PIECE_BYTES + 50..2 * PIECE_BYTES + 60]).await),
                "{left}"
            );
        }
        let lake = lake();
        let file = put(&lake, &bytes).await;
        lake.delete("file").await.expect("deleted");
        assert!(is_damage(&read(&lake, &file).await));
        assert!(is_damage(&Stretches::of(lake, file).read(&[0..5]).await));
    }
}
