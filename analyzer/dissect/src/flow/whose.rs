//! Whose the ends of a flow are, as the recorder saw it from inside their network namespaces.
//!
//! What a namespace sends is of an end in it, unless it forwards for others: then it is of the one that sent it first.
//! What it receives is for an end in it, unless it forwards: so that counts only until this end sends something.

use super::{PerWay, Way};
use crate::decode::{Packet, Tunnel};
use crate::read::{Heard, Points};
use formats::pcapng::{Point, Target};
use std::sync::Arc;

/// Whose the ends of a flow are.
#[derive(Debug, Default)]
pub struct Whose(PerWay<Option<Claim>>);

/// What is known of an end.
#[derive(Debug)]
struct Claim {
    point: Arc<Point>,
    has_sent: bool,
}

impl Whose {
    /// Takes in where a packet was seen.
    pub fn learn(&mut self, packet: &Packet, points: &Points) {
        let Some(point) = points.get(packet.interface) else { return };
        // The host forwards for all of its pods, and an end of a tunnel for what is in it.
        if point.target.host || packet.key.tunnel != Tunnel::None {
            return;
        }
        let way = Way::of(packet.from_low);
        match packet.heard {
            Heard::Sent => self.sent(way, point),
            Heard::Received => {
                // Packets to oneself are not seen a second time, when they are sent.
                if point.interface == "lo" {
                    self.sent(way, point);
                }
                self.received(way.back(), point);
            }
            Heard::Unknown => {}
        }
    }

    fn sent(&mut self, end: Way, point: &Arc<Point>) {
        if !self.0[end].as_ref().is_some_and(|claim| claim.has_sent) {
            self.0[end] = Some(Claim { point: point.clone(), has_sent: true });
        }
    }

    fn received(&mut self, end: Way, point: &Arc<Point>) {
        let known = self.0[end].as_ref();
        if !known.is_some_and(|claim| claim.has_sent || Arc::ptr_eq(&claim.point, point)) {
            self.0[end] = Some(Claim { point: point.clone(), has_sent: false });
        }
    }

    /// Whose the end is that sends this way.
    pub fn end(&self, way: Way) -> Option<&Target> {
        self.0[way].as_ref().map(|claim| &claim.point.target)
    }
}
