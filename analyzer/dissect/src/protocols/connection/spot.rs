//! What a dissector hands on, with what the connection knows of it: stamps, the flow, who asks.

use super::Output;
use super::doubt::Doubts;
use crate::flow::{Flow, Way};
use crate::limits;
use crate::protocols::unread::Unread;
use crate::protocols::{Anomaly, Call, Row, Side, Sink, Stamp};
use std::ops::Range;

/// The sink of one call of a dissector.
pub(super) struct Spot<'a> {
    pub unread: &'a mut Unread,
    /// Whose bytes `unread` are.
    pub side: Side,
    /// The way of what the dissector has for the client.
    pub client: Way,
    /// Whether it came to see that the other one asks.
    pub reversed: &'a mut bool,
    pub flow: &'a mut Flow,
    pub out: &'a mut dyn Output,
    pub anomalies: &'a mut u32,
    pub doubts: &'a Doubts,
}

impl Sink for Spot<'_> {
    fn stamp(&mut self, span: Range<usize>) -> Stamp {
        self.unread.stamp(span, self.side, self.flow.end_ns)
    }

    fn row(&mut self, call: &Call, row: Row<'_>) {
        if let Row::Tls(handshake) = row {
            let facts = self.flow.tls.get_or_insert_default();
            facts.sni = facts.sni.take().or_else(|| handshake.sni.clone());
            facts.alpn = facts.alpn.take().or_else(|| handshake.alpn.clone());
        }
        if !*self.reversed && self.doubts.is_empty() {
            return self.out.row(self.flow, self.client, call, row);
        }
        let mut call = *call;
        for stamp in [&mut call.request, &mut call.response].into_iter().flatten() {
            let way = if stamp.side == Side::Client { self.client } else { self.client.back() };
            stamp.damaged |= self.doubts.touch(way, stamp);
            if *self.reversed {
                stamp.side = stamp.side.other();
            }
        }
        let client = if *self.reversed { self.client.back() } else { self.client };
        self.out.row(self.flow, client, &call, row);
    }

    fn anomaly(&mut self, span: Range<usize>, anomaly: Anomaly) {
        let stamp = self.stamp(span);
        *self.anomalies += 1;
        if *self.anomalies <= limits::ANOMALIES_PER_FLOW_MAX {
            self.out.anomaly(self.flow, &stamp, anomaly);
        }
    }

    fn asked_by(&mut self, asker: Side) {
        *self.reversed = asker == Side::Server;
        let client = if *self.reversed { self.client.back() } else { self.client };
        self.flow.asked_by(client);
    }

    fn topic(&mut self, id: [u8; 16], name: &str) {
        self.out.topic(id, name);
    }
}
