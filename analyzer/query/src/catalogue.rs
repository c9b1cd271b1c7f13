//! A dataset as tables of the engine.

use crate::errors::QueryError;
use crate::exact::Exact;
use crate::types::arrow_schema;
use crate::{Dataset, Lost, functions, loss, named, views};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use formats::tables::TABLES;
use futures::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Stack of a thread that plans or answers; taken from the machine as it is used. The engine goes down a condition one call
/// for each of its operators, and lists of indicators have thousands.
pub const STACK_BYTES: usize = 256 << 20;

/// The tables of one or more datasets, ready to be asked.
pub struct Catalogue {
    context: SessionContext,
    datasets: Vec<Dataset>,
    memory_max_mib: u64,
    runtime: tokio::runtime::Runtime,
}

impl Catalogue {
    /// Opens datasets. A table of the contract that none of them has is empty.
    ///
    /// # Bounds
    /// Queries hold at most `memory_max_mib`.
    /// # Errors
    /// A folder that cannot be read, or files that are no Parquet.
    pub fn open(datasets: &[Dataset], memory_max_mib: u64, threads: usize) -> Result<Self, QueryError> {
        let failed =
            |error: std::io::Error| QueryError::Engine(format!("worker threads could not be started: {error}"));
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(threads).thread_stack_size(STACK_BYTES).enable_all();
        let runtime = runtime.build().map_err(failed)?;
        let config = SessionConfig::new().with_target_partitions(threads).with_information_schema(true);
        let mut config = config.with_collect_statistics(true);
        config.options_mut().execution.parquet.pushdown_filters = true;
        let bytes = usize::try_from(memory_max_mib << 20).unwrap_or(usize::MAX);
        let environment = RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0).build_arc();
        let environment = environment.map_err(|error| QueryError::Engine(error.to_string()))?;
        let context = SessionContext::new_with_config_rt(config, environment);
        let catalogue = Self { context, datasets: datasets.to_vec(), memory_max_mib, runtime };
        catalogue.context.add_analyzer_rule(Arc::new(Exact));
        for udf in functions::all() {
            catalogue.context.register_udf(udf);
        }
        catalogue.register(datasets)?;
        Ok(catalogue)
    }

    fn register(&self, datasets: &[Dataset]) -> Result<(), QueryError> {
        for dataset in datasets {
            if let Dataset::Stored { root, objects, .. } = dataset {
                self.context.register_object_store(root, Arc::clone(objects));
            }
        }
        self.runtime.block_on(async {
            for table in TABLES {
                let schema = arrow_schema(table);
                let there = || datasets.iter().filter(|dataset| dataset.has(table.name));
                there().try_for_each(|dataset| refuse_empty(dataset, table.name))?;
                let places = there();
                let places: Vec<String> = places.map(|dataset| dataset.place(table.name)).collect::<Result<_, _>>()?;
                let listed = match places.as_slice() {
                    [] => MemTable::try_new(Arc::clone(&schema), vec![vec![]])
                        .and_then(|empty| self.context.register_table(table.name, Arc::new(empty)).map(drop)),
                    places => self.list(table.name, places, &schema).await,
                };
                listed.map_err(|error| self.error(error, ""))?;
            }
            let calls = views::calls(|table| formats::tables::table(table).is_some());
            let view = self.context.sql(&format!("create view calls as {calls}")).await;
            view.map_err(|error| self.error(error, ""))?
                .collect()
                .await
                .map_err(|error| self.error(error, ""))
                .map(drop)
        })
    }

    /// The files of all places as one table: thousands of datasets are planned as one is. Only those in several stores are
    /// a table for each store, and their union.
    async fn list(&self, name: &str, places: &[String], schema: &SchemaRef) -> Result<(), DataFusionError> {
        let mut by_store: BTreeMap<String, Vec<ListingTableUrl>> = BTreeMap::new();
        for place in places {
            let url = ListingTableUrl::parse(place)?;
            by_store.entry(url.object_store().as_str().to_owned()).or_default().push(url);
        }
        let mut selects = Vec::new();
        let one = by_store.len() == 1;
        for (at, urls) in by_store.into_values().enumerate() {
            let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
            let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options);
            let files = Arc::new(ListingTable::try_new(config.with_schema(Arc::clone(schema)))?);
            let part = if one { name.to_owned() } else { format!("{name}__{at}") };
            self.context.register_table(&part, files)?;
            selects.push(format!("select * from {part}"));
        }
        if one {
            return Ok(());
        }
        self.context
            .sql(&format!("create view {name} as {}", selects.join(" union all ")))
            .await?
            .collect()
            .await
            .map(drop)
    }

    /// Whether a statement can be answered, without answering it.
    ///
    /// # Errors
    /// What is wrong with the SQL.
    pub fn check(&self, sql: &str) -> Result<(), QueryError> {
        self.runtime.block_on(self.plan(sql)).map(drop)
    }

    async fn plan(&self, sql: &str) -> Result<DataFrame, QueryError> {
        let reads_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false);
        self.context.sql_with_options(sql, reads_only).await.map_err(|error| self.error(error, sql))
    }

    /// The functions there are, by name.
    pub fn functions(&self) -> Vec<String> {
        let state = self.context.state();
        let names = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        let names: BTreeSet<&String> = names.chain(state.window_functions().keys()).collect();
        names.into_iter().cloned().collect()
    }

    /// Answers one statement, batch by batch; returns how many rows there were.
    ///
    /// # Errors
    /// What is wrong with the SQL, or with the files.
    pub fn answer(
        &self,
        sql: &str,
        each: impl FnMut(&RecordBatch) -> Result<(), QueryError>,
    ) -> Result<u64, QueryError> {
        self.answer_until(sql, std::future::pending(), each)
    }

    /// As [`Self::answer`], until `stop` is ready.
    ///
    /// # Errors
    /// [`QueryError::Stopped`] then.
    pub fn answer_until(
        &self,
        sql: &str,
        stop: impl Future<Output = ()>,
        mut each: impl FnMut(&RecordBatch) -> Result<(), QueryError>,
    ) -> Result<u64, QueryError> {
        let answer = async {
            let frame = self.plan(sql).await?;
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
        };
        self.runtime.block_on(async {
            tokio::select! {
                rows = answer => rows,
                () = stop => Err(QueryError::Stopped),
            }
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

    /// What is missing in the tables a statement asks, in words; none where nothing is. `recorders_lost` is what
    /// the seals beside the captures say, where there are any.
    pub fn loss(&self, sql: &str, recorders_lost: Option<Lost>) -> Option<String> {
        loss::of(self, sql, recorders_lost)
    }

    fn error(&self, error: DataFusionError, sql: &str) -> QueryError {
        let tables: Vec<String> =
            TABLES.iter().map(|table| table.name.to_owned()).chain(["calls".to_owned()]).collect();
        match QueryError::new(error, sql, &tables, self.memory_max_mib) {
            QueryError::Engine(said) if said.contains("Parquet error") => {
                self.damaged(sql).unwrap_or(QueryError::Engine(said))
            }
            error => error,
        }
    }

    /// The first file behind a statement that is damaged: the engine does not say which. Only whole files have a footer.
    fn damaged(&self, sql: &str) -> Option<QueryError> {
        let named = named(sql);
        let asked = |table: &&str| named.is_empty() || named.contains("calls") || named.contains(table);
        let tables = || TABLES.iter().map(|table| table.name).filter(asked);
        self.datasets.iter().flat_map(|dataset| tables().map(move |table| (dataset, table))).find_map(
            |(dataset, table)| {
                let (file, detail) = dataset.damaged_file(table).ok().flatten()?;
                Some(QueryError::Damaged { file, detail })
            },
        )
    }
}

fn refuse_empty(dataset: &Dataset, table: &str) -> Result<(), QueryError> {
    let refused = |place: String, detail: &str| QueryError::Place { place, detail: detail.to_owned() };
    match dataset.empty_file(table) {
        Ok(None) => Ok(()),
        Ok(Some(file)) => {
            Err(refused(file.display().to_string(), "there is no byte in it; remove it, or make it anew"))
        }
        Err(error) => Err(refused(format!("{dataset:?}/{table}"), &error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_takes_too_long_can_be_stopped() {
        let empty = Catalogue::open(&[], 64, 1).unwrap();
        let sql = "select sum(value) from generate_series(1, 1000000000000)";
        let soon = || tokio::time::sleep(Duration::from_millis(100));
        let stopped = empty.answer_until(sql, async { soon().await }, |_| Ok(()));
        assert!(matches!(stopped, Err(QueryError::Stopped)), "{stopped:?}");
        assert_eq!(empty.answer("select 1", |_| Ok(())).unwrap(), 1);
    }
}
