//! Rows become columns, and columns Parquet.
//!
//! Enters: rows of the protocols room, flows, counts. Leaves: `<table>/date=…/node=…/<capture>.parquet`, as
//! [`formats::tables`] promises them. Refused: nothing.

mod amqp;
mod anomalies;
mod builders;
mod call;
mod dns;
mod facts;
mod flows;
mod graphql;
mod grpc;
mod http;
mod kafka;
mod packets;
mod redis;
mod rows;
mod schema;
mod spans;
mod tables;
mod tls;
mod topics;
mod views;
mod waiting;
mod writer;

pub use facts::{CaptureFacts, captures, coverage};
pub use packets::PacketRow;
pub use rows::{Rows, first_rank};
pub use schema::schema;
pub use topics::Topics;
pub use waiting::{Lot, Order};
pub use writer::{TableError, Writer};
