//! Packets become flows: which conversation, who opened it, how it went and how it ended.
//!
//! Enters: [`crate::decode::Packet`]. Leaves: [`Flow`], the facts of a conversation, kept up to date packet by
//! packet. Refused: nothing. The table of flows is bounded: the one that was quiet longest makes room.

mod community_id;
mod direction;
#[expect(clippy::module_inception, reason = "the type the room is named for")]
mod flow;
mod id;
mod table;
mod tcp;
mod whose;

pub use community_id::community_id;
pub use flow::{Counters, Flow};
pub use id::{call_id, flow_id};
pub use table::{FlowTable, Place, Queue};
pub use tcp::{Opening, Tcp, TcpSide};
pub use whose::Whose;

use std::ops::{Index, IndexMut};

/// Which end of the key sent something; unlike client and server, this is known from the first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Sent by the greater end.
    FromHigh,
    /// Sent by the lesser end.
    FromLow,
}

impl Way {
    /// Both.
    pub const BOTH: [Way; 2] = [Way::FromLow, Way::FromHigh];

    /// The way of a packet.
    pub fn of(from_low: bool) -> Self {
        if from_low { Way::FromLow } else { Way::FromHigh }
    }

    /// The other one.
    pub fn back(self) -> Self {
        match self {
            Way::FromHigh => Way::FromLow,
            Way::FromLow => Way::FromHigh,
        }
    }
}

/// One value for each way.
#[derive(Debug, Clone, Copy, Default)]
pub struct PerWay<T> {
    from_low: T,
    from_high: T,
}

impl<T> PerWay<T> {
    /// Both values at once.
    pub fn both_mut(&mut self, way: Way) -> (&mut T, &mut T) {
        match way {
            Way::FromLow => (&mut self.from_low, &mut self.from_high),
            Way::FromHigh => (&mut self.from_high, &mut self.from_low),
        }
    }
}

impl<T> Index<Way> for PerWay<T> {
    type Output = T;
    fn index(&self, way: Way) -> &T {
        match way {
            Way::FromHigh => &self.from_high,
            Way::FromLow => &self.from_low,
        }
    }
}

impl<T> IndexMut<Way> for PerWay<T> {
    fn index_mut(&mut self, way: Way) -> &mut T {
        match way {
            Way::FromHigh => &mut self.from_high,
            Way::FromLow => &mut self.from_low,
        }
    }
}
