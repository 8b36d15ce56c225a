//! How the engine reads Parquet files of the lake: in verified stretches.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, MetadataFetch};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::error::Error;
use crate::lake::verified::Stretches;
use crate::lake::{LakeFile, PIECE_BYTES};
use crate::storage::Storage;

/// Opens files of the lake. Each brings its [`LakeFile`] as an extension.
#[derive(Debug)]
pub(super) struct VerifiedReaders(pub Storage);

impl ParquetFileReaderFactory for VerifiedReaders {
    fn create_reader(
        &self,
        _partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let known = file.extension::<LakeFile>().cloned();
        let known = known.ok_or_else(|| DataFusionError::Internal("a file that isn't the lake's".to_owned()))?;
        Ok(Box::new(VerifiedReader(Stretches::of(self.0.clone(), known))))
    }
}

struct VerifiedReader(Stretches);

/// Comes out of the engine as it is: see [`Error`]'s conversion.
fn through(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for VerifiedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { Ok(self.0.read(&[range]).await.map_err(through)?.pop().unwrap_or_default()) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { self.0.read(&ranges).await.map_err(through) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size_bytes = self.0.size_bytes();
            let last_piece = usize::try_from(size_bytes.min(PIECE_BYTES))?;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            let reader = reader.with_prefetch_hint(Some(last_piece));
            Ok(Arc::new(reader.load_and_finish(Footer(&mut self.0), size_bytes).await?))
        }
        .boxed()
    }
}

/// Reads the footer and holds on to it: in a small file, the columns are in the same piece.
struct Footer<'a>(&'a mut Stretches);

impl MetadataFetch for Footer<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { self.0.read_and_hold(range).await.map_err(through) }.boxed()
    }
}
