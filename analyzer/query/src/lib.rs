//! SQL over Remora's tables: the only place that knows DataFusion. Start reading at `catalogue.rs`.
//!
//! Enters: folders of Parquet tables by the contract of [`formats::tables`], and SQL. Leaves: batches of rows, and
//! [`output`] that writes them down. Refused: SQL that would change a dataset.

mod catalogue;
mod errors;
mod functions;
pub mod loss;
pub mod output;
pub mod schema;
mod types;

pub use catalogue::{Catalogue, is_dataset};
pub use errors::QueryError;
pub use types::arrow_schema;
