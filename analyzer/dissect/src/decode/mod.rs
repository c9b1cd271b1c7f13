//! Frames become packets: link headers, tags, tunnels and fragments are undone.
//!
//! Enters: [`crate::read::Frame`]. Leaves: [`Packet`], one for the innermost transport of each frame, and
//! one more for each tunnel around it that is a conversation of its own (`carrier`). Refused: frames
//! without IP, or cut inside their headers; they are counted with a reason.

mod packet;

pub use packet::{Endpoint, FlowKey, IpProtocol, Packet, TcpHeader, Transport, Tunnel, flags};
