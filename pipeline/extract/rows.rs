//! The rows of one object that belong in one partition, kept in the order in which they came until they are encoded.
//!
//! A partition is encoded when all of its rows are known, one after the other: an encoder takes megabytes, and to end
//! its row groups early, to get them back, makes thousands of small ones, which take memory too and read badly.

use std::fs::File;
use std::io::{BufReader, BufWriter, IntoInnerError, Seek};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::engine::{ParquetOut, Written};
use crate::error::Result;

#[derive(Default)]
pub(super) struct Rows {
    /// The last ones.
    held: Vec<RecordBatch>,
    held_bytes: usize,
    /// Those before, which had to leave memory.
    spilled: Option<StreamWriter<BufWriter<File>>>,
}

impl Rows {
    pub fn push(&mut self, batch: &RecordBatch) {
        self.held_bytes += batch.get_array_memory_size();
        self.held.push(batch.clone());
    }

    /// How many bytes are in memory.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Moves what is in memory into an unnamed file in `dir`.
    pub fn spill(&mut self, dir: &Path) -> Result<()> {
        let Some(first) = self.held.first() else { return Ok(()) };
        let all = concat_batches(first.schema_ref(), &self.held)?;
        self.held.clear();
        self.held_bytes = 0;
        let file = match &mut self.spilled {
            Some(file) => file,
            None => {
                let file = BufWriter::new(tempfile::tempfile_in(dir)?);
                let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
                self.spilled.insert(StreamWriter::try_new_with_options(file, all.schema_ref(), options)?)
            }
        };
        Ok(file.write(&all)?)
    }

    /// Writes all of them into a file and ends it.
    pub fn write(self, mut out: ParquetOut) -> Result<Written> {
        if let Some(spilled) = self.spilled {
            let mut file = spilled.into_inner()?.into_inner().map_err(IntoInnerError::into_error)?;
            file.rewind()?;
            for batch in StreamReader::try_new(BufReader::new(file), None)? {
                out.write(&batch?)?;
            }
        }
        for batch in &self.held {
            out.write(batch)?;
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::engine::Lifetime;

    fn written(spill_every: usize) -> Written {
        let dir = tempfile::tempdir().unwrap();
        let mut rows = Rows::default();
        let mut schema = None;
        for (count, first) in (0_i64..20_000).step_by(300).enumerate() {
            let numbers = (first..first + 300).map(|n| (n % 7 > 0).then_some(n)).collect::<Int64Array>();
            let texts = (first..first + 300).map(|n| Some(format!("{}", n % 977))).collect::<StringArray>();
            let columns: [(&str, ArrayRef); 2] = [("number", Arc::new(numbers)), ("text", Arc::new(texts))];
            let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, of)| (name, of, true))).unwrap();
            schema = Some(batch.schema());
            rows.push(&batch);
            if count % spill_every == spill_every - 1 {
                rows.spill(dir.path()).unwrap();
                assert_eq!(rows.held_bytes(), 0);
            }
        }
        let path = dir.path().join("rows.parquet");
        rows.write(ParquetOut::create(&path, schema.unwrap(), Lifetime::Kept, None).unwrap()).unwrap()
    }

    #[test]
    fn rows_that_left_memory_are_the_same_bytes() {
        let in_memory = written(usize::MAX);
        assert_eq!(in_memory.rows, 20_100);
        for spill_every in [1, 5, 67] {
            assert_eq!(written(spill_every).print, in_memory.print, "spilled every {spill_every} batches");
        }
    }
}
