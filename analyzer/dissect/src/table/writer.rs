//! Rows of all shards, ordered by time, to Parquet.

use super::schema::{schema, schema_of_views};
use super::waiting::{Lot, Waiting};
use crate::limits;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use formats::tables;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// How Hive spells NULL as a folder; engines read it as such.
const NO_NODE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Why a dataset could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Columns could not be put together.
    #[error("rows of {table} could not be put in order: {error}")]
    Arrow {
        /// The table.
        table: &'static str,
        /// What Arrow says.
        error: ArrowError,
    },
    /// The system failed.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A file could not be written.
    #[error("{path}: {error}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What Parquet says.
        error: ParquetError,
    },
}

struct Open {
    writer: ArrowWriter<File>,
    temporary: PathBuf,
    /// How many files of this table and day came before.
    part: u32,
    used: u64,
}

/// The open files of one table, by day since the epoch.
struct TableFiles {
    table: &'static str,
    rows: u64,
    open: BTreeMap<i64, Open>,
    parts: BTreeMap<i64, u32>,
    waiting: Waiting,
    /// Closed files: where they are, and where they go.
    done: Vec<(PathBuf, i64, u32)>,
    clock: u64,
}

/// Writes the tables of one unit. Files carry temporary names until [`Writer::finish`] knows the content's name.
pub struct Writer {
    out: PathBuf,
    node: String,
    files: BTreeMap<&'static str, TableFiles>,
    /// Files that have the name of the content.
    named: Vec<PathBuf>,
}

impl Writer {
    /// Writes below `out`, for a node.
    pub fn new(out: &Path, node: Option<&str>) -> Self {
        let node = node.map_or_else(|| NO_NODE.to_owned(), folder_name);
        Self { out: out.to_owned(), node, files: BTreeMap::new(), named: Vec::new() }
    }

    /// Writes what the shards gathered, but for the latest rows: some that come later may belong in front of them.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, lots: Vec<Lot>) -> Result<(), TableError> {
        let mut by_table: BTreeMap<&'static str, Vec<Lot>> = BTreeMap::new();
        for lot in lots {
            by_table.entry(lot.table).or_default().push(lot);
        }
        for &table in by_table.keys() {
            self.files.entry(table).or_insert_with(|| TableFiles::new(table));
        }
        let (out, node) = (&self.out, &self.node);
        let mut work: Vec<_> = self
            .files
            .iter_mut()
            .filter_map(|(table, files)| by_table.remove(table).map(|lots| (files, lots)))
            .collect();
        // What takes longest is begun first.
        work.sort_by_cached_key(|(_, lots)| {
            Reverse(lots.iter().map(|lot| lot.batch.get_array_memory_size()).sum::<usize>())
        });
        work.into_iter().par_bridge().try_for_each(|(files, lots)| files.write(lots, false, out, node))?;
        self.make_room()
    }

    /// Closes the largest row groups under construction, until all of them together are within their bound.
    fn make_room(&mut self) -> Result<(), TableError> {
        loop {
            let bytes: usize = self.files.values().map(TableFiles::in_progress_size).sum();
            if bytes <= limits::ROW_GROUPS_BYTES_MAX {
                return Ok(());
            }
            let open = self.files.values_mut().flat_map(|files| files.open.values_mut());
            let Some(largest) = open.max_by_key(|open| open.writer.in_progress_size()) else { return Ok(()) };
            largest.flush()?;
        }
    }

    /// Closes all files and gives them the name of the content. Returns rows by table, and the files.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(mut self, name: &str) -> Result<Finished, TableError> {
        let name = folder_name(name);
        let (out, node) = (&self.out, &self.node);
        let close = |files: &mut TableFiles| {
            files.write(Vec::new(), true, out, node)?;
            files.close_all()
        };
        let mut work: Vec<_> = self.files.values_mut().collect();
        work.sort_by_cached_key(|files| Reverse(files.in_progress_size()));
        work.into_iter().par_bridge().try_for_each(close)?;
        for (table, files) in &mut self.files {
            while let Some((temporary, day, part)) = files.done.last() {
                let part = if *part == 0 { String::new() } else { format!("-{part}") };
                let path = folder(&self.out, table, *day, &self.node).join(format!("{name}{part}.parquet"));
                fs::rename(temporary, &path).map_err(|error| TableError::Io { path: path.clone(), error })?;
                self.named.push(path);
                files.done.pop();
            }
        }
        let rows = self.files.iter().map(|(table, files)| (*table, files.rows)).collect();
        let mut files = std::mem::take(&mut self.named);
        files.sort();
        Ok(Finished { rows, files })
    }
}

/// What was written.
#[derive(Debug, Default)]
pub struct Finished {
    /// Rows, by table.
    pub rows: Vec<(&'static str, u64)>,
    /// Files, by name.
    pub files: Vec<PathBuf>,
}

impl Drop for Writer {
    /// What was not finished leaves nothing behind: neither files that nobody reads, nor some tables without the others.
    fn drop(&mut self) {
        for path in &self.named {
            let _ = fs::remove_file(path);
        }
        for files in self.files.values() {
            let open = files.open.values().map(|open| &open.temporary);
            for temporary in open.chain(files.done.iter().map(|(temporary, ..)| temporary)) {
                let _ = fs::remove_file(temporary);
            }
        }
    }
}

impl TableFiles {
    fn new(table: &'static str) -> Self {
        Self {
            table,
            rows: 0,
            open: BTreeMap::new(),
            parts: BTreeMap::new(),
            waiting: Waiting::default(),
            done: Vec::new(),
            clock: 0,
        }
    }

    /// Encoded bytes of the row groups under construction.
    fn in_progress_size(&self) -> usize {
        self.open.values().map(|open| open.writer.in_progress_size()).sum()
    }

    /// `last` where no rows follow.
    fn write(&mut self, lots: Vec<Lot>, last: bool, out: &Path, node: &str) -> Result<(), TableError> {
        let settled = self.waiting.settle(lots, last);
        let settled = settled.map_err(|error| TableError::Arrow { table: self.table, error })?;
        settled.iter().try_for_each(|(day, rows)| self.append(*day, rows, out, node))
    }

    fn append(&mut self, day: i64, rows: &RecordBatch, out: &Path, node: &str) -> Result<(), TableError> {
        self.clock += 1;
        self.rows += rows.num_rows() as u64;
        if !self.open.contains_key(&day) {
            while self.open.len() >= limits::OPEN_FILES_PER_TABLE_MAX {
                let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(&day, _)| day);
                oldest.map_or(Ok(()), |day| self.close(day))?;
            }
            let part = self.parts.entry(day).and_modify(|part| *part += 1).or_insert(0);
            self.open.insert(day, Open::create(self.table, day, *part, rows, out, node)?);
        }
        for (_, other) in self.open.iter_mut().filter(|(other, _)| **other != day) {
            // One row group at a time is under construction.
            other.flush()?;
        }
        let Some(open) = self.open.get_mut(&day) else { return Ok(()) };
        open.used = self.clock;
        let written = open.writer.write(rows);
        written.map_err(|error| TableError::Parquet { path: open.temporary.clone(), error })?;
        if open.writer.in_progress_rows() >= limits::ROWS_PER_GROUP_MAX
            || open.writer.in_progress_size() >= limits::ROW_GROUP_BYTES_MAX
        {
            open.flush()?;
        }
        Ok(())
    }

    fn close(&mut self, day: i64) -> Result<(), TableError> {
        if let Some(open) = self.open.remove(&day) {
            let path = open.temporary;
            self.done.push((path.clone(), day, open.part));
            open.writer.close().map_err(|error| TableError::Parquet { path, error })?;
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<(), TableError> {
        let days: Vec<i64> = self.open.keys().copied().collect();
        days.into_iter().try_for_each(|day| self.close(day))
    }
}

impl Open {
    fn flush(&mut self) -> Result<(), TableError> {
        let flushed = self.writer.flush();
        flushed.map_err(|error| TableError::Parquet { path: self.temporary.clone(), error })
    }

    fn create(
        table: &'static str,
        day: i64,
        part: u32,
        rows: &RecordBatch,
        out: &Path,
        node: &str,
    ) -> Result<Self, TableError> {
        let folder = folder(out, table, day, node);
        fs::create_dir_all(&folder).map_err(|error| TableError::Io { path: folder.clone(), error })?;
        let (named, file) = temporary(&folder, part)?;
        // Views are of no use in a file: its schema is the contract's.
        let mut properties = properties(table, rows.num_rows());
        if let Some(contract) = tables::table(table) {
            add_encoded_arrow_schema_to_metadata(&schema(contract), &mut properties);
        }
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, rows.schema(), options)
            .map_err(|error| TableError::Parquet { path: named.clone(), error })?;
        Ok(Self { writer, temporary: named, part, used: 0 })
    }
}

/// A new file, of a name that no reader takes for a table's and no other run takes either: in containers all are process 1.
fn temporary(folder: &Path, part: u32) -> Result<(PathBuf, File), TableError> {
    let mut names = (0u32..).map(|n| folder.join(format!(".{}-{part}-{n}.tmp", std::process::id())));
    loop {
        let path = names.next().unwrap_or_default();
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(TableError::Io { path, error }),
        }
    }
}

/// `rows` are those of the first pass: a group has some more, a small file has no others.
fn properties(table: &str, rows: usize) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        // Level 1: on these columns higher levels cost more time than they save space.
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_created_by(concat!("remora ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .set_data_page_size_limit(limits::PAGE_BYTES_MAX);
    for column in tables::table(table).into_iter().flat_map(|table| table.columns()) {
        let path = ColumnPath::from(column.name);
        match column.kind {
            // Ids, counts and durations hardly repeat: looking for repeats costs more than it saves.
            tables::Kind::BigInt | tables::Kind::Double => {
                properties = properties.set_column_dictionary_enabled(path.clone(), false);
            }
            // In order, so small steps; and what most questions begin with.
            tables::Kind::Timestamp => {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                    .set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
            }
            // Bodies hardly repeat, and nobody looks them up by order.
            tables::Kind::Blob => {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            }
            // Neither does the least of all header values say anything.
            tables::Kind::Pairs | tables::Kind::Records => {
                for field in ["name", "value", "type", "ttl", "data"] {
                    let leaf = ["list", "item", field].map(str::to_owned);
                    let path = ColumnPath::new([column.name.to_owned()].into_iter().chain(leaf).collect());
                    properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
                }
            }
            _ => {}
        }
        if column.looked_up {
            let values = (4 * rows).clamp(64, limits::ROWS_PER_GROUP_MAX) as u64;
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_max_ndv(path, values);
        }
    }
    properties.build()
}

fn folder(out: &Path, table: &str, day: i64, node: &str) -> PathBuf {
    // Days of 64-bit nanoseconds reach from 1677 to 2262: all of them have a date.
    let time = jiff::Timestamp::from_second(day * 86_400).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
    out.join(table).join(format!("date={date}")).join(format!("node={node}"))
}

/// A name that stays one folder or file, whatever a capture or store calls itself.
fn folder_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let mut safe: String = name.chars().take(150).map(|c| if plain(c) { c } else { '_' }).collect();
    if safe.starts_with('.') || safe.is_empty() {
        safe.insert(0, '_');
    }
    safe
}

/// The columns of a table that are all there at once.
pub fn whole(table: &'static str, columns: Vec<ArrayRef>, order: Vec<i64>) -> Result<Lot, TableError> {
    let Some(contract) = tables::table(table) else { unreachable!("{table} is in the contract") };
    let batch =
        RecordBatch::try_new(schema_of_views(contract), columns).map_err(|error| TableError::Arrow { table, error })?;
    Ok(Lot { table, batch, order: order.into_iter().zip(0..).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (day, date) in [(0, "1970-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (20_781, "2026-11-24")] {
            assert_eq!(
                folder(Path::new("d"), "t", day, "n"),
                Path::new("d/t").join(format!("date={date}")).join("node=n")
            );
        }
    }

    #[test]
    fn names_stay_inside_their_folder() {
        for (name, want) in [("a.pcap", "a.pcap"), ("../../etc/passwd", "_.._.._etc_passwd"), ("", "_"), ("a b", "a_b")]
        {
            assert_eq!(folder_name(name), want);
        }
    }
}
