//! What HTTP/1 and HTTP/2 share: the exchange they hand on, fields, targets, bodies and their codings.

mod body;
mod coding;
mod escape;
mod exchange;
mod fields;
mod target;

pub use body::{Beyond, Body, Ended, is_text};
pub use coding::{Codings, decode};
pub use escape::{parameter, unescape};
pub use exchange::{EndReason, Exchange, Message, Version};
pub use fields::Fields;
pub use target::{Form, Target};
