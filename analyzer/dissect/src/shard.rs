//! The conversations of one shard: from packet to row, on one thread.

mod conversation;
mod seen;

use crate::decode::{FlowKey, Packet, Transport};
use crate::flow::{Flow, FlowTable, Place, Queue, flow_id};
use crate::limits;
use crate::plan::Plan;
use crate::protocols::{self, Options, Protocol};
use crate::read::{Frame, Stretch};
use crate::table::{PacketRow, Rows, first_rank};
use crate::tally::Tally;
use conversation::{Conversation, payload};
use std::collections::HashSet;

/// What the conversations of a shard share.
pub struct Desk<'a> {
    protocols: &'a [&'static Protocol],
    options: Options,
    /// The rows of the thread it has its turn on.
    pub rows: &'a mut Rows,
    /// What became of its packets since the last capture ended.
    pub tally: &'a mut Tally,
}

/// How far a shard came with its packets of a stretch: when it made as many rows as it may at a time, these are written
/// before it goes on.
#[derive(Default)]
pub struct Turn {
    /// Packets it took in.
    pub packets: usize,
    /// Whether it is done with the stretch.
    pub over: bool,
}

/// Whether rows have come to as much as a shard may make at a time, from so many bytes on.
fn is_full(rows: &Rows, from_bytes: usize) -> bool {
    rows.bytes() - from_bytes >= limits::ROW_BYTES_PER_TURN_MAX
}

/// One shard.
pub struct Shard {
    conversations: FlowTable<Box<Conversation>>,
    held_bytes: usize,
    /// Time of the latest packet of the stretch.
    now_ns: i64,
    capture: u32,
    /// Flows that made room though nothing was open in them, as in a SYN flood: said in one row.
    quiet_evictions: u64,
    /// Ids of flows that are gone, so that a later one on the same ports gets another.
    used_ids: HashSet<i64>,
    with_packets: bool,
    protocols: Vec<&'static Protocol>,
    options: Options,
    /// Rank of its next row.
    rank: u64,
    /// What became of its packets since the last capture ended.
    pub tally: Tally,
}

/// What stands on the desk of a shard while it has its turn.
macro_rules! desk {
    ($shard:ident, $rows:ident) => {
        &mut Desk { protocols: &$shard.protocols, options: $shard.options, rows: &mut *$rows, tally: &mut $shard.tally }
    };
}

impl Shard {
    /// The shard of that number, of which nothing was seen yet.
    pub fn new(number: usize, plan: &Plan) -> Self {
        Self {
            conversations: FlowTable::default(),
            held_bytes: 0,
            now_ns: i64::MIN,
            capture: 0,
            quiet_evictions: 0,
            used_ids: HashSet::new(),
            with_packets: plan.tables.contains("packets"),
            protocols: protocols::wanted(&plan.tables),
            options: Options { body_bytes_max: plan.body_bytes_max },
            rank: first_rank(number),
            tally: Tally::default(),
        }
    }

    /// A further input begins.
    pub fn begin_capture(&mut self, index: u32) {
        self.capture = index;
    }

    /// Takes in the packets of a stretch that are left, in order, each with its frame where the table `packets` is made;
    /// `turn` says how many were taken in before.
    pub fn process<'a>(
        &mut self,
        stretch: &Stretch,
        packets: impl Iterator<Item = (&'a Packet, Option<&'a Frame>)>,
        turn: &mut Turn,
        rows: &mut Rows,
    ) {
        rows.rank = self.rank;
        let from_bytes = rows.bytes();
        for (packet, frame) in packets {
            if turn.packets == 0 {
                // Of this stretch: where captures stand end to end, it goes back.
                self.now_ns = packet.ts_ns;
            }
            self.packet(stretch, packet, frame, rows);
            turn.packets += 1;
            if is_full(rows, from_bytes) {
                self.rank = rows.rank;
                return;
            }
        }
        let now_ns = self.now_ns;
        turn.over = [(Queue::Closed, limits::CLOSED_IDLE_NS), (Queue::Conversations, limits::DATAGRAM_IDLE_NS)]
            .into_iter()
            .all(|(queue, idle_ns)| {
                let is_idle = |last_ns: i64| now_ns.abs_diff(last_ns) > idle_ns as u64;
                self.close_oldest(queue, is_idle, from_bytes, rows)
            });
        self.rank = rows.rank;
    }

    /// The input ended: every conversation becomes a row. Says whether all did, or these are to be written first.
    pub fn finish(&mut self, rows: &mut Rows) -> bool {
        rows.rank = self.rank;
        let from_bytes = rows.bytes();
        let all = Queue::ALL.into_iter().all(|queue| self.close_oldest(queue, |_| true, from_bytes, rows));
        if all && self.quiet_evictions > 0 {
            let detail = format!("{} flows in which nothing was open made room", self.quiet_evictions);
            rows.anomaly_of("flow", None, Some(self.now_ns), "evicted", &detail, None);
        }
        self.rank = rows.rank;
        all
    }

    /// Ends the conversations of a queue that were quiet long enough, by the time of their latest packets [ns]. Says whether
    /// that was all of them, or rows are to be written first.
    fn close_oldest(&mut self, queue: Queue, is_due: impl Fn(i64) -> bool, from_bytes: usize, rows: &mut Rows) -> bool {
        while let Some((at, last_ns)) = self.conversations.oldest(queue)
            && is_due(last_ns)
        {
            if is_full(rows, from_bytes) {
                return false;
            }
            self.close(at, rows);
        }
        true
    }

    fn packet(&mut self, stretch: &Stretch, packet: &Packet, frame: Option<&Frame>, rows: &mut Rows) {
        self.now_ns = self.now_ns.max(packet.ts_ns);
        if let Some(capture) = packet.piece_of {
            return self.piece(stretch, packet, capture, rows);
        }
        let at = self.place(packet, payload(stretch, packet), rows);
        let Some(conversation) = self.conversations.touch(at, packet.ts_ns) else { return };
        let (held_bytes, queue) = (conversation.held_bytes(), conversation.queue());
        conversation.packet(stretch, packet, desk!(self, rows));
        self.held_bytes = self.held_bytes - held_bytes + conversation.held_bytes();
        if self.with_packets
            && let Some(frame) = frame
        {
            rows.packet(&PacketRow { frame, packet: Some((packet, &conversation.flow)), capture: None });
        }
        let moved = conversation.queue();
        if moved != queue {
            self.conversations.move_to(at, moved);
        }
        self.make_room(rows);
    }

    /// Takes in a frame that brought a fragment: it was counted with its datagram.
    fn piece(&mut self, stretch: &Stretch, packet: &Packet, capture: u32, rows: &mut Rows) {
        let at = self.conversations.find(&packet.key).or_else(|| self.conversations.find_anywhere(&packet.key));
        let mut conversation = at.and_then(|at| self.conversations.get_mut(at));
        if let Some(conversation) = conversation.as_mut().filter(|_| capture == self.capture) {
            conversation.flow.whose.learn(packet, &stretch.points);
        }
        if self.with_packets {
            let of = conversation.map(|conversation| (packet, &conversation.flow));
            rows.packet(&PacketRow { frame: &packet.frame(), packet: of, capture: Some(capture) });
        }
    }

    /// Where the conversation of a packet stands; a new one where it begins one.
    fn place(&mut self, packet: &Packet, payload: &[u8], rows: &mut Rows) -> Place {
        let known = self.conversations.find(&packet.key).or_else(|| self.in_another_network(packet, payload));
        let mut begins_anew = false;
        if let Some(at) = known {
            begins_anew = self.conversations.get(at).is_some_and(|there| there.is_followed_by(packet));
            if !begins_anew {
                return at;
            }
            self.close(at, rows);
        }
        let mut id = flow_id(&packet.key, packet.ts_ns, 0);
        if begins_anew || self.used_ids.contains(&id) {
            let reuse = match packet.transport {
                Transport::Tcp(header) => u64::from(header.seq) | 1 << 32,
                _ => packet.ts_ns as u64,
            };
            id = flow_id(&packet.key, packet.ts_ns, reuse);
        }
        let conversation = Box::new(Conversation::new(Flow::begin(id, packet, self.capture)));
        let queue = conversation.queue();
        self.conversations.insert(packet.key, queue, packet.ts_ns, conversation)
    }

    /// The conversation a packet is of, though it is of another VLAN or tunnel.
    fn in_another_network(&mut self, packet: &Packet, payload: &[u8]) -> Option<Place> {
        let at = self.conversations.find_anywhere(&packet.key)?;
        self.conversations.get_mut(at)?.goes_on_in(packet, payload).then_some(at)
    }

    fn close(&mut self, at: Place, rows: &mut Rows) {
        let Some(mut conversation) = self.conversations.remove(at) else { return };
        self.held_bytes -= conversation.held_bytes();
        conversation.end(desk!(self, rows));
        if self.used_ids.len() < limits::USED_IDS_PER_SHARD_MAX {
            self.used_ids.insert(conversation.flow.id);
        }
        rows.flow(&conversation.flow);
    }

    /// Ends the conversations that were quiet longest, until the bounds hold again.
    fn make_room(&mut self, rows: &mut Rows) {
        loop {
            let too_many = self.conversations.len() > limits::FLOWS_PER_SHARD_MAX;
            if !too_many && self.held_bytes <= limits::HELD_BYTES_PER_SHARD_MAX {
                return;
            }
            let [over, connection, conversation] = Queue::ALL.map(|queue| self.conversations.oldest(queue));
            // One that is over costs nothing but its late repeats, and datagrams that wait for no answer little more;
            // a quiet connection may go on.
            let over_first = over.filter(|_| too_many);
            let answered = conversation.filter(|(_, last_ns)| self.now_ns.saturating_sub(*last_ns) > limits::ANSWER_NS);
            let oldest = [connection, conversation, over].into_iter().flatten().min_by_key(|(_, last_ns)| *last_ns);
            let Some((at, _)) = over_first.or(answered).or(oldest) else { return };
            match self.conversations.get(at) {
                Some(gone) if gone.is_open() && gone.queue() != Queue::Closed => {
                    let detail = if too_many { "too many flows" } else { "too many bytes held" };
                    rows.anomaly_of("flow", Some(&gone.flow), Some(self.now_ns), "evicted", detail, None);
                }
                Some(gone) => self.quiet_evictions += u64::from(gone.queue() != Queue::Closed),
                None => {}
            }
            self.close(at, rows);
        }
    }
}

/// The shard of a key: the same in every run, and for all networks between the same ends.
pub fn shard_of(key: &FlowKey) -> usize {
    let word = |bytes: &[u8; 16]| {
        bytes
            .chunks_exact(8)
            .fold(0u64, |sum, half| sum.rotate_left(17) ^ half.try_into().map_or(0, u64::from_le_bytes))
    };
    let ports = u64::from(key.low.port) << 16 | u64::from(key.high.port);
    let mixed = (word(&key.low.ip) ^ word(&key.high.ip).rotate_left(31) ^ ports).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize % limits::SHARDS
}
