//! A dataset as tables of the engine.

use crate::errors::QueryError;
use crate::types::arrow_schema;
use crate::{functions, loss};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::ListingOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use formats::tables::TABLES;
use futures::TryStreamExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tables of one or more datasets, ready to be asked.
pub struct Catalogue {
    context: SessionContext,
    memory_max_mib: u64,
    runtime: tokio::runtime::Runtime,
}

impl Catalogue {
    /// Opens datasets: folders with a folder for each table. A table of the contract that none of them has is empty.
    ///
    /// # Bounds
    /// Queries hold at most `memory_max_mib`.
    /// # Errors
    /// A folder that cannot be read, or files that are no Parquet.
    pub fn open(datasets: &[PathBuf], memory_max_mib: u64, threads: usize) -> Result<Self, QueryError> {
        let failed =
            |error: std::io::Error| QueryError::Engine(format!("worker threads could not be started: {error}"));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().map_err(failed)?;
        let config = SessionConfig::new().with_target_partitions(threads).with_information_schema(true);
        let mut config = config.with_collect_statistics(true);
        config.options_mut().execution.parquet.pushdown_filters = true;
        let bytes = usize::try_from(memory_max_mib << 20).unwrap_or(usize::MAX);
        let environment = RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0).build_arc();
        let environment = environment.map_err(|error| QueryError::Engine(error.to_string()))?;
        let context = SessionContext::new_with_config_rt(config, environment);
        let catalogue = Self { context, memory_max_mib, runtime };
        for udf in functions::all() {
            catalogue.context.register_udf(udf);
        }
        catalogue.register(datasets)?;
        Ok(catalogue)
    }

    fn register(&self, datasets: &[PathBuf]) -> Result<(), QueryError> {
        self.runtime.block_on(async {
            for table in TABLES {
                let schema = arrow_schema(table);
                let folders: Vec<PathBuf> =
                    datasets.iter().map(|dataset| dataset.join(table.name)).filter(|folder| folder.is_dir()).collect();
                let listed = match folders.as_slice() {
                    [] => {
                        let empty = MemTable::try_new(Arc::clone(&schema), vec![vec![]])
                            .map_err(|error| self.error(error, ""))?;
                        self.context.register_table(table.name, Arc::new(empty)).map(drop)
                    }
                    [one] => self.list(table.name, one, &schema).await,
                    several => self.list_several(table.name, several, &schema).await,
                };
                listed.map_err(|error| self.error(error, ""))?;
            }
            let view =
                self.context.sql(include_str!("views/calls.sql")).await.map_err(|error| self.error(error, ""))?;
            view.collect().await.map_err(|error| self.error(error, "")).map(drop)
        })
    }

    async fn list(
        &self,
        name: &str,
        folder: &Path,
        schema: &arrow::datatypes::SchemaRef,
    ) -> Result<(), DataFusionError> {
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
        let path = format!("{}/", folder.display());
        self.context.register_listing_table(name, path, options, Some(Arc::clone(schema)), None).await
    }

    /// One table for each dataset, and their union under the table's name.
    async fn list_several(
        &self,
        name: &str,
        folders: &[PathBuf],
        schema: &arrow::datatypes::SchemaRef,
    ) -> Result<(), DataFusionError> {
        let mut selects = Vec::new();
        for (at, folder) in folders.iter().enumerate() {
            let part = format!("{name}__{at}");
            self.list(&part, folder, schema).await?;
            selects.push(format!("select * from {part}"));
        }
        self.context
            .sql(&format!("create view {name} as {}", selects.join(" union all ")))
            .await?
            .collect()
            .await
            .map(drop)
    }

    /// Answers one statement, batch by batch; returns how many rows there were.
    ///
    /// # Errors
    /// What is wrong with the SQL, or with the files.
    pub fn answer(
        &self,
        sql: &str,
        mut each: impl FnMut(&RecordBatch) -> Result<(), QueryError>,
    ) -> Result<u64, QueryError> {
        self.runtime.block_on(async {
            let reads_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false);
            let frame = self.context.sql_with_options(sql, reads_only).await.map_err(|error| self.error(error, sql))?;
            let schema = Arc::clone(frame.schema().inner());
            let mut stream = frame.execute_stream().await.map_err(|error| self.error(error, sql))?;
            let mut rows = 0;
            while let Some(batch) = stream.try_next().await.map_err(|error| self.error(error, sql))? {
                rows += batch.num_rows() as u64;
                each(&batch)?;
            }
            if rows == 0 {
                // The columns of an answer without rows.
                each(&RecordBatch::new_empty(schema))?;
            }
            Ok(rows)
        })
    }

    /// All rows of an answer.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        let mut batches = Vec::new();
        self.answer(sql, |batch| {
            batches.push(batch.clone());
            Ok(())
        })?;
        Ok(batches)
    }

    /// What is missing in the tables a statement asks, in words; none where nothing is.
    pub fn loss(&self, sql: &str) -> Option<String> {
        loss::of(self, sql)
    }

    fn error(&self, error: DataFusionError, sql: &str) -> QueryError {
        let tables: Vec<String> =
            TABLES.iter().map(|table| table.name.to_owned()).chain(["calls".to_owned()]).collect();
        QueryError::new(error, sql, &tables, self.memory_max_mib)
    }
}

/// Whether a folder is a dataset: it has a folder for one of the tables.
pub fn is_dataset(folder: &Path) -> bool {
    TABLES.iter().any(|table| folder.join(table.name).is_dir())
}
