//! SQL over Remora's tables: the only place that knows DataFusion. Start reading at `catalogue.rs`.
//!
//! Enters: folders and store prefixes of Parquet tables by the contract of [`formats::tables`], and SQL. Leaves: batches of rows, and
//! [`output`] that writes them down. Refused: SQL that would change a dataset.

mod catalogue;
mod dataset;
mod errors;
mod exact;
mod functions;
mod loss;
mod named;
pub mod output;
pub mod schema;
mod statements;
mod types;
mod views;

pub use catalogue::{Catalogue, STACK_BYTES};
pub use dataset::{Dataset, is_dataset};
pub use errors::QueryError;
pub use loss::Lost;
pub use named::named;
pub use statements::{is_finished, statements};
pub use types::arrow_schema;
pub use views::behind_calls;
