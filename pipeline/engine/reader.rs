//! How the engine reads Parquet files of the lake: in verified stretches, and each footer once.

use std::fmt::{self, Debug, Formatter};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetMetaData;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectMeta;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, MetadataFetch};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::error::Error;
use crate::lake::verified::Stretches;
use crate::lake::{LakeFile, PIECE_BYTES};
use crate::storage::Storage;

/// Opens files of the lake. Each brings its [`LakeFile`] as an extension.
pub(super) struct VerifiedReaders {
    pub lake: Storage,
    /// What footers say, by path. A night's queries open some files hundreds of times.
    pub footers: Arc<FileMetadataCache>,
}

impl Debug for VerifiedReaders {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedReaders").field("lake", &self.lake).finish_non_exhaustive()
    }
}

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
        let stretches = Stretches::of(self.lake.clone(), known);
        Ok(Box::new(VerifiedReader { stretches, object: file.object_meta, footers: Arc::clone(&self.footers) }))
    }
}

struct VerifiedReader {
    stretches: Stretches,
    object: ObjectMeta,
    footers: Arc<FileMetadataCache>,
}

/// Comes out of the engine as it is: see [`Error`]'s conversion.
fn through(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for VerifiedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { Ok(self.stretches.read(&[range]).await.map_err(through)?.pop().unwrap_or_default()) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { self.stretches.read(&ranges).await.map_err(through) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            // What lies under a path never changes.
            if let Some(kept) = self.footers.get(&self.object.location)
                && let Some(footer) = kept.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()
            {
                return Ok(Arc::clone(footer.parquet_metadata()));
            }
            let size_bytes = self.stretches.size_bytes();
            let last_piece = usize::try_from(size_bytes.min(PIECE_BYTES))?;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            let reader = reader.with_prefetch_hint(Some(last_piece));
            let footer = Arc::new(reader.load_and_finish(Footer(&mut self.stretches), size_bytes).await?);
            let kept = CachedFileMetadataEntry::new(
                self.object.clone(),
                Arc::new(CachedParquetMetaData::new(Arc::clone(&footer))),
            );
            self.footers.put(&self.object.location, kept);
            Ok(footer)
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
