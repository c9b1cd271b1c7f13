//! What HTTP/1 and HTTP/2 share: the exchange they hand on, fields, targets, bodies and their codings.

mod body;
mod coding;
mod exchange;
mod target;

pub use body::{Body, Ended};
pub use coding::Codings;
pub use exchange::{EndReason, Exchange, Fields, Message, Version};
pub use target::{Form, Target};
