//! What HTTP/1 and HTTP/2 share: the exchange they hand on, fields, bodies.

mod exchange;

pub use exchange::{EndReason, Exchange, Fields, Message, Version};
