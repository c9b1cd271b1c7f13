//! What the recorder says of itself while it runs: metrics, health, and an alarm when a capture stalls.
//!
//! Enters: what captures, writers and the sender did, in an [`Observer`] that they share. Leaves: answers over HTTP,
//! and lines in the log. Refused: to wait for anything it speaks of. Who answers reads memory and nothing else; the
//! spool is looked at by a thread of its own, which may hang as the disk does, and that is then the answer.
//!
//!     GET /metrics   OpenMetrics text, as Prometheus reads it
//!     GET /healthz   200, or 503 with what is wrong: a capture has stalled, the spool cannot be written, or whoever stores
//!                    what is in it is gone
//!     POST /trigger/NAME   with the secret: triggers a window, as the control socket does; only where there is a secret
//!     GET /readyz    200, or 503 with what is missing: start-up is not over, or a recording that is due has no ring

mod health;
mod look;
mod metrics;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod trigger;

pub use server::{Observing, start};
pub use state::{Observer, Pulse};
pub use trigger::{Door, Token, TokenError};
