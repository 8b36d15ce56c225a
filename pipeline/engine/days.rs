//! What a file says day by day, so that a reader of the days up to one goes by these alone.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use chrono::NaiveDate;

use crate::error::{Error, Result};
use crate::lake::Digest;

/// Takes a digest over each day's rows, in the order in which they are written.
pub struct Days {
    column: usize,
    converter: RowConverter,
    hashers: BTreeMap<i32, blake3::Hasher>,
}

impl Days {
    /// By a date column of the schema. Rows without a date are of no day.
    pub fn new(schema: &SchemaRef, column: &str) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let column = schema.index_of(column).map_err(Error::bug)?;
        Ok(Self { column, converter: RowConverter::new(fields)?, hashers: BTreeMap::new() })
    }

    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let days = batch.column(self.column).as_primitive::<Date32Type>();
        // Encoded rows end where the next begins: two lists of rows never make the same bytes.
        let rows = self.converter.convert_columns(batch.columns())?;
        for row in (0..days.len()).filter(|row| days.is_valid(*row)) {
            self.hashers.entry(days.value(row)).or_default().update(rows.row(row).as_ref());
        }
        Ok(())
    }

    pub fn finish(self) -> BTreeMap<NaiveDate, Digest> {
        let digest = |(day, hasher): (i32, blake3::Hasher)| {
            Some((Date32Type::to_naive_date_opt(day)?, Digest::from_hash(hasher.finalize())))
        };
        self.hashers.into_iter().filter_map(digest).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, StringArray};

    use super::*;

    fn digests(rows: &[(Option<i32>, &str)], batch_rows: usize) -> BTreeMap<NaiveDate, Digest> {
        let batch = |rows: &[(Option<i32>, &str)]| {
            let days: Date32Array = rows.iter().map(|row| row.0).collect();
            let texts: StringArray = rows.iter().map(|row| Some(row.1)).collect();
            RecordBatch::try_from_iter([("day", Arc::new(days) as ArrayRef), ("text", Arc::new(texts))])
                .expect("a batch")
        };
        let mut days = Days::new(&batch(rows).schema(), "day").expect("a column");
        rows.chunks(batch_rows).for_each(|rows| days.add(&batch(rows)).expect("added"));
        days.finish()
    }

    #[test]
    fn a_day_goes_by_its_own_rows_whatever_the_batches() {
        let rows = [(Some(1), "a"), (Some(2), "b"), (None, "c"), (Some(1), "d")];
        let whole = digests(&rows, 4);
        assert_eq!(whole.len(), 2);
        assert_eq!(digests(&rows, 1), whole);
        assert_eq!(digests(&rows[..2], 2).values().nth(1), whole.values().nth(1), "the second day");
        assert_ne!(digests(&rows[..2], 2).values().next(), whole.values().next(), "the first has another row");
        assert_ne!(
            digests(&[(Some(1), "ad")], 1).values().next(),
            digests(&[(Some(1), "a"), (Some(1), "d")], 1).values().next()
        );
    }
}
