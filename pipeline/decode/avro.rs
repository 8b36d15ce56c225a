//! Apache Avro object container files, with the types that their schema gives.

use std::collections::VecDeque;
use std::io::Read;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_avro::reader::ReaderBuilder;

use super::batch::{BATCH_BYTES, RawBatch, split_wanted};
use super::container::{Block, Container, Fault, MAGIC};
use super::peek::PeekReader;
use super::typed::{self, without_panic};
use super::{DecodeError, Decoder, Kind};

/// Blocks are decoded together up to so many bytes: a decoder is made anew for each time.
const TOGETHER_BYTES: usize = 1 << 20;

/// Decodes one object container file. Its blocks are read to the first one that is broken.
pub(super) struct AvroDecoder<'a> {
    container: Container<'a>,
    records: Records,
    found: Vec<String>,
    /// The wanted columns among those of the file, in wanted order.
    places: Vec<usize>,
    wants_line: bool,
    batch_rows: usize,
    rows_done: u64,
    ready: VecDeque<RawBatch>,
    finished: bool,
}

impl<'a> AvroDecoder<'a> {
    pub(super) fn new(
        input: PeekReader<'a>,
        wanted: &[String],
        object: &str,
        batch_rows: usize,
    ) -> Result<Self, DecodeError> {
        let container = Container::open(input).map_err(|fault| match fault {
            Fault::Store(error) => error,
            Fault::Content(detail) => DecodeError::unreadable(object, format!("header: {detail}")),
        })?;
        let (records, schema) =
            Records::of(container.schema()).map_err(|detail| DecodeError::unreadable(object, detail))?;
        let found: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let (names, wants_line) = split_wanted(wanted);
        let places = typed::places(&found, &names, object)?;
        Ok(Self {
            container,
            records,
            found,
            places,
            wants_line,
            batch_rows: batch_rows.max(1),
            rows_done: 0,
            ready: VecDeque::new(),
            finished: false,
        })
    }

    /// Decodes some more blocks.
    fn advance(&mut self) -> Result<(), DecodeError> {
        let (mut blocks, mut fault) = (Vec::new(), None);
        let (mut bytes, mut rows) = (0, 0);
        while bytes < TOGETHER_BYTES && rows < self.batch_rows && !self.finished {
            match self.container.next_block() {
                Ok(Some(block)) => {
                    (bytes, rows) = (bytes + block.data.len(), rows + block.count);
                    blocks.push(block);
                }
                Ok(None) => self.finished = true,
                Err(Fault::Store(error)) => return Err(error),
                Err(Fault::Content(detail)) => {
                    self.finished = true;
                    fault = Some(detail);
                }
            }
        }
        if let Some(detail) = self.blocks(&blocks)?.or(fault) {
            self.finished = true;
            self.ready.push_back(typed::rest(self.rows_done + 1, detail));
        }
        Ok(())
    }

    /// Decodes blocks together, or if that fails one by one up to the record that is broken; says what is wrong with it.
    fn blocks(&mut self, blocks: &[Block]) -> Result<Option<String>, DecodeError> {
        let together = Block {
            count: blocks.iter().map(|block| block.count).sum(),
            data: blocks.iter().flat_map(|block| &block.data).copied().collect(),
        };
        if let Ok(columns) = self.records.of_block(&together) {
            return self.give(columns).map(|()| None);
        }
        for block in blocks {
            match self.records.of_block(block) {
                Ok(columns) => self.give(columns)?,
                Err(detail) => {
                    let before = self.records.before_the_break(block);
                    self.give(before)?;
                    return Ok(Some(detail));
                }
            }
        }
        Ok(None)
    }

    fn give(&mut self, columns: Option<RecordBatch>) -> Result<(), DecodeError> {
        let Some(columns) = columns else { return Ok(()) };
        let columns = typed::plain(&columns.project(&self.places)?)?;
        let row_bytes = columns.get_array_memory_size() / columns.num_rows().max(1);
        let rows = self.batch_rows.min(BATCH_BYTES / row_bytes.max(1)).max(1);
        for from in (0..columns.num_rows()).step_by(rows) {
            let slice = columns.slice(from, rows.min(columns.num_rows() - from));
            self.ready.push_back(typed::rows(slice, &mut self.rows_done, self.wants_line)?);
        }
        Ok(())
    }
}

impl Decoder for AvroDecoder<'_> {
    fn kind(&self) -> Kind {
        Kind::Avro
    }

    fn columns_found(&self) -> &[String] {
        &self.found
    }

    fn next_batch(&mut self) -> Result<Option<RawBatch>, DecodeError> {
        while self.ready.is_empty() && !self.finished {
            self.advance()?;
        }
        Ok(self.ready.pop_front())
    }
}

/// Decodes the records of one schema.
struct Records {
    /// The header of an uncompressed container file.
    header: Vec<u8>,
}

const SYNC: [u8; 16] = [0; 16];

impl Records {
    fn of(schema: &str) -> Result<(Self, SchemaRef), String> {
        let mut header = MAGIC.to_vec();
        push_long(&mut header, 1);
        push_sized(&mut header, b"avro.schema");
        push_sized(&mut header, schema.as_bytes());
        push_long(&mut header, 0);
        header.extend(SYNC);
        let records = Self { header };
        let reader = without_panic(|| ReaderBuilder::new().build(&records.header[..]))?;
        let schema = reader.map_err(|error| format!("the schema is not supported: {error}"))?.schema();
        Ok((records, schema))
    }

    /// All records of a block, which they fill exactly.
    fn of_block(&self, block: &Block) -> Result<Option<RecordBatch>, String> {
        if block.count == 0 {
            return if block.data.is_empty() { Ok(None) } else { Err("bytes without a record".to_owned()) };
        }
        self.first(block, block.count, true).map(Some)
    }

    /// As many of a block's records as can be decoded.
    fn before_the_break(&self, block: &Block) -> Option<RecordBatch> {
        let (mut good, mut bad) = (0, block.count + 1);
        let mut records = None;
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            match self.first(block, middle, false) {
                Ok(batch) => (good, records) = (middle, Some(batch)),
                Err(_) => bad = middle,
            }
        }
        records
    }

    /// The first `count` records of a block; `fill`: nothing may follow them.
    fn first(&self, block: &Block, count: usize, fill: bool) -> Result<RecordBatch, String> {
        // The reader is told of one record more than it may put into a batch: asked for another batch, it either finds
        // the data used up or tries to decode what is left.
        let mut frame = Vec::new();
        push_long(&mut frame, count as u64 + 1);
        push_long(&mut frame, block.data.len() as u64);
        let input = (&self.header[..]).chain(&frame[..]).chain(&block.data[..]).chain(&SYNC[..]);
        without_panic(|| {
            let mut reader = ReaderBuilder::new().with_batch_size(count).build(input).map_err(|e| e.to_string())?;
            let first = reader.next().transpose().map_err(|e| e.to_string())?;
            let records = first.filter(|batch| batch.num_rows() == count).ok_or("the file breaks off")?;
            match fill.then(|| reader.next()).flatten() {
                None => Ok(records),
                Some(_) => Err("a block holds more than its records".to_owned()),
            }
        })?
    }
}

fn push_long(bytes: &mut Vec<u8>, number: u64) {
    let mut zigzag = number << 1;
    while zigzag > 0x7f {
        bytes.push((zigzag & 0x7f) as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
}

fn push_sized(bytes: &mut Vec<u8>, content: &[u8]) {
    push_long(bytes, content.len() as u64);
    bytes.extend(content);
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Int64Type, Schema, TimeUnit};
    use arrow::util::display::array_value_to_string;
    use arrow_avro::compression::CompressionCodec;
    use arrow_avro::writer::WriterBuilder;
    use arrow_avro::writer::format::AvroOcfFormat;

    use super::*;
    use crate::decode::testing::{Opened, Pieces, gzip};
    use crate::decode::{BATCH_ROWS, Format, open, rules};

    /// Blocks of a thousand rows.
    fn file(rows: i64, codec: Option<CompressionCodec>) -> Vec<u8> {
        let batch = |from: i64| {
            let until = rows.min(from + 1000);
            let id: ArrayRef = Arc::new(Int64Array::from_iter((from..until).map(|n| (n % 3 > 0).then_some(n))));
            let text: ArrayRef = Arc::new(StringArray::from_iter_values((from..until).map(|n| format!("t\"{n}"))));
            RecordBatch::try_from_iter_with_nullable([("id", id, true), ("text", text, false)]).expect("fits")
        };
        let schema = Schema::clone(&batch(0).schema());
        let writer = WriterBuilder::new(schema).with_compression(codec);
        let mut writer = writer.build::<_, AvroOcfFormat>(Vec::new()).expect("opens");
        (0..rows).step_by(1000).for_each(|from| writer.write(&batch(from)).expect("writes"));
        writer.finish().expect("finishes");
        writer.into_inner()
    }

    /// A file with one block of the given records.
    fn written(schema: &str, count: u64, records: &[u8]) -> Vec<u8> {
        let mut bytes = Records::of(schema).expect("is supported").0.header;
        push_long(&mut bytes, count);
        push_sized(&mut bytes, records);
        bytes.extend(SYNC);
        bytes
    }

    fn decode_pieces(bytes: &[u8], wanted: &[&str], bytes_max: usize) -> Result<Vec<RawBatch>, DecodeError> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let pieces = Pieces { content: bytes, bytes_max, then: None };
        let mut decoder = open(&Opened::of(&Format::Avro).object(), Box::new(pieces), &wanted, BATCH_ROWS)?;
        std::iter::from_fn(|| decoder.next_batch().transpose()).collect()
    }

    fn decode(bytes: &[u8], wanted: &[&str]) -> Vec<RawBatch> {
        decode_pieces(bytes, wanted, usize::MAX).expect("opens")
    }

    fn row_count(batches: &[RawBatch]) -> usize {
        batches.iter().map(|batch| batch.lines.len()).sum()
    }

    fn broken(batches: &[RawBatch]) -> Vec<(u64, &str)> {
        let broken = batches.iter().flat_map(|batch| &batch.unreadable);
        broken.map(|entry| (entry.line, entry.rule)).collect()
    }

    fn codecs() -> [Option<CompressionCodec>; 6] {
        use CompressionCodec::{Bzip2, Deflate, Snappy, Xz, ZStandard};
        [None, Some(Deflate), Some(Snappy), Some(ZStandard), Some(Bzip2), Some(Xz)]
    }

    #[test]
    fn every_codec_gives_the_wanted_columns_in_wanted_order() {
        for codec in codecs() {
            let batches = decode(&file(10_500, codec), &["text", "_line", "absent", "id"]);
            assert_eq!((row_count(&batches), broken(&batches).len()), (10_500, 0), "{codec:?}");
            assert!(batches.iter().all(|batch| batch.lines.len() <= BATCH_ROWS));
            let columns = &batches[0].columns;
            let types: Vec<_> = columns.columns().iter().map(|column| column.data_type().clone()).collect();
            assert_eq!(types, [DataType::Utf8, DataType::Int64, DataType::Utf8]);
            assert_eq!(columns.column(1).as_primitive::<Int64Type>().value(4), 4);
            assert_eq!(columns.column(2).as_string::<i32>().value(4), "5");
            assert_eq!(batches[0].raw_text(4), r#"{"id":"4","text":"t\"4"}"#);
            assert_eq!(batches[0].raw_text(3), r#"{"id":null,"text":"t\"3"}"#);
            assert_eq!(batches.last().and_then(|batch| batch.lines.last()), Some(&10_500));
        }
    }

    #[test]
    fn the_same_rows_in_whatever_pieces_and_compressed_outside() {
        let bytes = file(2500, Some(CompressionCodec::Deflate));
        let whole = format!("{:?}", decode(&bytes, &["id", "text"]));
        for bytes_max in [1, 7, 4096] {
            let pieces = decode_pieces(&bytes, &["id", "text"], bytes_max).expect("opens");
            assert!(format!("{pieces:?}") == whole, "{bytes_max}");
        }
        assert!(format!("{:?}", decode(&gzip(&bytes), &["id", "text"])) == whole);
    }

    #[test]
    fn a_file_without_rows_has_columns() {
        let bytes = file(0, None);
        let mut decoder =
            open(&Opened::of(&Format::Avro).object(), Box::new(&bytes[..]), &["id".to_owned()], 10).expect("opens");
        assert_eq!(decoder.columns_found(), ["id", "text"]);
        assert!(decoder.next_batch().expect("decodes").is_none());
    }

    #[test]
    fn without_wanted_columns_rows_still_count() {
        let batches = decode(&file(10, None), &["absent"]);
        assert_eq!((batches[0].columns.num_columns(), batches[0].rows_read()), (0, 10));
    }

    #[test]
    fn a_truncated_file_keeps_the_blocks_before_the_cut() {
        let bytes = file(3000, None);
        let blocks: Vec<usize> = (0..=3000).step_by(1000).map(|rows| file(rows, None).len()).collect();
        for end in (blocks[0] + 1..bytes.len()).step_by(509) {
            let batches = decode(&bytes[..end], &["id"]);
            let whole = blocks.iter().rposition(|block| *block <= end).unwrap_or(0);
            let cut = !blocks.contains(&end);
            assert_eq!(row_count(&batches), whole * 1000, "{end}");
            let expected = cut.then_some((whole as u64 * 1000 + 1, rules::UNREADABLE_FILE));
            assert_eq!(broken(&batches), expected.into_iter().collect::<Vec<_>>(), "{end}");
        }
        for end in 0..blocks[0] {
            assert!(matches!(decode_pieces(&bytes[..end], &["id"], 999), Err(DecodeError::Unreadable { .. })), "{end}");
        }
    }

    #[test]
    fn a_corrupt_block_costs_the_rest() {
        for codec in codecs() {
            let mut bytes = file(3000, codec);
            let until_second = file(1000, codec).len();
            // The sync marker of the second block.
            let at = file(2000, codec).len() - 5;
            assert!(at > until_second);
            bytes[at] ^= 0xff;
            let batches = decode(&bytes, &["id"]);
            assert_eq!(row_count(&batches), 1000, "{codec:?}");
            assert_eq!(broken(&batches), [(1001, rules::UNREADABLE_FILE)], "{codec:?}");
        }
    }

    #[test]
    fn records_before_a_broken_one_are_kept() {
        let schema = r#"{"type":"record","name":"r","fields":[{"name":"t","type":"string"}]}"#;
        // The third text is longer than the block.
        let batches = decode(&written(schema, 3, b"\x02a\x02b\x40c"), &["t"]);
        assert_eq!((row_count(&batches), broken(&batches)), (2, vec![(3, rules::UNREADABLE_FILE)]));
        // More and fewer records than the block says.
        for (count, rows) in [(2, 2), (4, 3)] {
            let batches = decode(&written(schema, count, b"\x02a\x02b\x02c"), &["t"]);
            assert_eq!((row_count(&batches), broken(&batches).len()), (rows, 1), "{count}");
        }
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let whole = file(20, Some(CompressionCodec::Snappy));
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            let _ = decode_pieces(&bytes, &["id", "text"], usize::MAX);
        }
    }

    #[test]
    fn logical_types_are_what_mappings_expect() {
        let schema = r#"{"type":"record","name":"r","fields":[
            {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
            {"name":"day","type":{"type":"int","logicalType":"date"}},
            {"name":"millis","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
            {"name":"micros","type":{"type":"long","logicalType":"timestamp-micros"}},
            {"name":"local","type":{"type":"long","logicalType":"local-timestamp-micros"}},
            {"name":"id","type":{"type":"string","logicalType":"uuid"}},
            {"name":"status","type":{"type":"enum","name":"s","symbols":["paid","open"]}},
            {"name":"either","type":["null","string","long"]}]}"#;
        let mut record = Vec::new();
        push_sized(&mut record, &[0x04, 0xd2]);
        push_long(&mut record, 19_802);
        push_long(&mut record, 1);
        push_long(&mut record, 1_700_000_000_123);
        push_long(&mut record, 1_700_000_000_123_456);
        push_long(&mut record, 1_700_000_000_123_456);
        push_sized(&mut record, b"6f9619ff-8b86-d011-b42d-00cf4fc964ff");
        push_long(&mut record, 1);
        push_long(&mut record, 2);
        push_long(&mut record, 7);
        let wanted = ["price", "day", "millis", "micros", "local", "id", "status", "either"];
        let batches = decode(&written(schema, 1, &record), &wanted);
        assert_eq!(broken(&batches), []);
        let columns = &batches[0].columns;
        let utc = |unit| DataType::Timestamp(unit, Some("+00:00".into()));
        let types: Vec<_> = columns.columns().iter().map(|column| column.data_type().clone()).collect();
        assert_eq!(
            types,
            [
                DataType::Decimal128(10, 2),
                DataType::Date32,
                utc(TimeUnit::Millisecond),
                utc(TimeUnit::Microsecond),
                DataType::Timestamp(TimeUnit::Microsecond, None),
                DataType::Utf8,
                DataType::Utf8,
                DataType::Utf8
            ]
        );
        let texts: Vec<_> = columns.columns().iter().map(|c| array_value_to_string(c, 0).expect("shows")).collect();
        assert_eq!(texts[..2], ["12.34", "2024-03-20"]);
        assert_eq!(texts[5..], ["6f9619ff-8b86-d011-b42d-00cf4fc964ff", "open", "7"]);
    }

    #[test]
    fn what_cannot_be_read_is_said_plainly() {
        for (bytes, said) in [
            (b"a,b\n1,2\n".to_vec(), "not Avro"),
            (b"Obj\x01".to_vec(), "breaks off"),
            (written(r#"{"type":"record","name":"r","fields":[]}"#, 0, b""), ""),
        ] {
            match decode_pieces(&bytes, &["id"], 3) {
                Err(DecodeError::Unreadable { detail, .. }) => assert!(detail.contains(said), "{detail}"),
                other => assert!(said.is_empty(), "{other:?}"),
            }
        }
    }

    #[test]
    fn a_failing_store_is_an_error_and_not_a_broken_file() {
        let bytes = file(3000, None);
        for end in [2, 40, bytes.len() / 2] {
            let pieces = Pieces { content: &bytes[..end], bytes_max: 100, then: Some(io::ErrorKind::ConnectionReset) };
            let object = Opened::of(&Format::Avro).object();
            let result = open(&object, Box::new(pieces), &["id".to_owned()], 10).and_then(|mut decoder| {
                while decoder.next_batch()?.is_some() {}
                Ok(())
            });
            assert!(matches!(result, Err(DecodeError::Input(_))), "{end}: {result:?}");
        }
    }
}
