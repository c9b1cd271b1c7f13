//! Rows become columns, and columns Parquet.
//!
//! Enters: rows of the protocols room, flows, counts. Leaves: `<table>/date=…/node=…/<capture>.parquet`, as
//! [`formats::tables`] promises them. Refused: nothing.

mod amqp;
mod builders;
mod call;
mod dns;
mod facts;
mod flows;
mod graphql;
mod grpc;
mod http;
mod kafka;
mod redis;
mod rows;
mod schema;
mod tls;
mod topics;
mod waiting;
mod writer;

pub use facts::{CaptureFacts, captures, coverage};
pub use rows::{PacketRow, Rows, first_rank};
pub use schema::schema;
pub use topics::Topics;
pub use waiting::{Lot, Order};
pub use writer::{TableError, Writer};
