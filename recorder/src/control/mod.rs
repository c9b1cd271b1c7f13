//! What people and signals tell a recorder that runs, and what it answers.
//!
//! Enters: requests, one JSON line each, on a Unix socket that only its owner may open; a new configuration.
//! Leaves: recordings to begin, [`Orders`](crate::orders::Orders) to those that run, answers. Refused: what is no
//! request, with a reason.

mod chores;
mod desk;
mod files;
mod pins;
mod request;
mod socket;

pub use chores::Chore;
pub use desk::{Begin, Desk, Ending};
pub use request::{Answer, Reload, Request, RunStatus, Seen, SpoolStatus, Status, WindowStatus};
pub(crate) use socket::hand_on;
pub use socket::{Ask, ControlError, Listener, SOCKET, ask};
