//! Files of the lake as a table. Their sizes and row counts are known, so nothing is listed or looked up.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics, project_schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::reader::VerifiedReaders;
use super::{LAKE_URL, ScanFile, along};

#[derive(Debug, Clone)]
pub(super) struct LakeTable {
    schema: TableSchema,
    files: Vec<ScanFile>,
    /// What the rows of the one file ascend by, if that is to be known.
    sorted_by: Vec<String>,
    readers: Arc<VerifiedReaders>,
}

impl LakeTable {
    /// `with_delivery`: each file's rows get the rank of the delivery that brought it.
    pub fn new(
        schema: SchemaRef,
        files: Vec<ScanFile>,
        with_delivery: bool,
        readers: Arc<VerifiedReaders>,
    ) -> Result<Self> {
        let virtual_columns = if with_delivery { vec![Arc::new(delivery_field())] } else { vec![] };
        let schema = TableSchema::builder(schema).with_table_partition_cols(virtual_columns).build();
        Ok(Self { schema, files, sorted_by: vec![], readers })
    }

    pub fn sorted_by(self, columns: &[String]) -> Self {
        Self { sorted_by: columns.to_vec(), ..self }
    }
}

fn delivery_field() -> Field {
    Field::new("delivery", DataType::Int64, true)
}

/// The schema of a source's table as models see it.
pub(crate) fn with_delivery(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().cloned().chain([Arc::new(delivery_field())]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(super) fn key_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("key", DataType::Utf8, true)]))
}

fn partitioned(file: &ScanFile) -> PartitionedFile {
    let known = &file.file;
    let scanned = PartitionedFile::new(known.path.clone(), known.size_bytes).with_extension(known.clone());
    match file.delivery {
        Some(rank) => scanned.with_partition_values(vec![ScalarValue::Int64(Some(rank))]),
        None => scanned,
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let rows: u64 = self.files.iter().map(|f| f.file.rows).sum();
        let mut statistics = Statistics::new_unknown(self.schema.table_schema());
        statistics.num_rows = Precision::Exact(usize::try_from(rows).ok()?);
        Some(statistics)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files: Vec<PartitionedFile> = self.files.iter().filter(|f| f.file.rows > 0).map(partitioned).collect();
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        }
        let source = ParquetSource::new(self.schema.clone()).with_parquet_file_reader_factory(self.readers.clone());
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(LAKE_URL)?, Arc::new(source))
            .with_file_groups(FileGroup::new(files).split_files(state.config().target_partitions()))
            .with_statistics(self.statistics().unwrap_or_else(|| Statistics::new_unknown(&self.schema())))
            .with_output_ordering(along::ordering(&self.sorted_by, &self.schema())?.into_iter().collect())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
