//! What a row of a part may say otherwise than the row of the whole.

use crate::case::Row;
use std::collections::BTreeSet;

/// Columns that say how much of a call was seen, and how often. A part may say that it saw less.
const OF_WHAT_WAS_SEEN: [&str; 5] = ["pair", "damaged", "body_note", "end_reason", "repeats"];

/// Columns of `flows` that measure what was captured of a connection: of a part, they measure the part.
const OF_PACKETS: [&str; 26] = [
    "ts",
    "end_ts",
    "duration_ms",
    "client_packets",
    "server_packets",
    "client_bytes",
    "server_bytes",
    "client_wire_bytes",
    "server_wire_bytes",
    "tcp_state",
    "closed_by",
    "handshake_ms",
    "rtt_ms",
    "first_byte_ms",
    "client_retransmits",
    "server_retransmits",
    "client_out_of_order",
    "server_out_of_order",
    "client_gap_bytes",
    "server_gap_bytes",
    "client_zero_windows",
    "server_zero_windows",
    "resets",
    "direction_known",
    "mesh",
    "decrypted_flow_id",
];

/// Times of a call. Where a packet is missing that was sent again, the second one tells when its bytes came.
const TIMES: [&str; 4] = ["ts", "latency_ms", "first_byte_ms", "settled_ms"];

/// Bodies: of a part they are the beginning, or what is left of them, and `body_note` says where bytes are missing.
const BODIES: [&str; 3] = ["request_body", "response_body", "body"];

/// Protocols that a connection changes to: a part may end before.
const UPGRADES: [&str; 2] = ["http2", "websocket"];

/// Fields of a message: of a head that was cut, those in front.
const HEADS: [&str; 2] = ["request_headers", "response_headers"];

/// Records of an answer of DNS: of a datagram that lacks fragments, those in front.
const RECORDS: [&str; 3] = ["answers", "authorities", "additionals"];

/// Messages of gRPC: of a part those before a loss or the end, as a list.
const MESSAGES: [&str; 2] = ["request", "response"];

/// Who talks to whom.
const ENDS: [&str; 4] = ["client_ip", "client_port", "server_ip", "server_port"];

/// Lengths and counts: so far, where the input ended in what they measure, which `pair` or `end_reason` says.
const LENGTHS: [&str; 7] = [
    "request_body_bytes",
    "response_body_bytes",
    "reply_bytes",
    "request_bytes",
    "response_bytes",
    "request_messages",
    "response_messages",
];

impl Row {
    /// A column; nothing where it is NULL.
    pub fn get(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }

    /// When it began [µs].
    pub fn ts_us(&self) -> i64 {
        self.get("ts").parse().unwrap()
    }

    /// What it is told from others by: a call may have several rows in a table.
    pub fn key(&self) -> Vec<&str> {
        ["flow_id", "call_id", "batch_index", "partition", "offset"].map(|column| self.get(column)).into()
    }

    /// Whether this row of a part may be about the topic of that row of the whole.
    pub fn shares_topic(&self, whole: &Row) -> bool {
        let topic = self.get("topic");
        topic == whole.get("topic") || is_topic_id(topic)
    }

    /// Whether all of it was seen.
    pub fn is_whole(&self) -> bool {
        self.get("pair") == "complete" && self.get("damaged") == "false"
    }

    /// Who talks to whom, whoever is the client.
    pub fn ends(&self) -> BTreeSet<(&str, &str)> {
        [(ENDS[0], ENDS[1]), (ENDS[2], ENDS[3])].map(|(ip, port)| (self.get(ip), self.get(port))).into()
    }
}

/// Whether this stands for a topic of Kafka whose name the part does not show: 128 bits in URL-safe base64.
fn is_topic_id(text: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    text.len() == 22 && text.bytes().all(is_letter) && text.ends_with(['A', 'Q', 'g', 'w'])
}

/// Whether a text says itself that it is cut, by the notation of Redis' values, and is the beginning of the whole one.
fn begins(held: &str, whole: &str) -> bool {
    if !held.contains("{\"$cut\":")
        && let Some((front, _)) = held.split_once("{\"$left_out\":")
    {
        return whole.starts_with(front);
    }
    if let Some((kept, _)) = held.split_once("…(") {
        return whole.starts_with(kept);
    }
    let Some((front, cut)) = held.split_once("{\"$cut\":\"") else { return false };
    let kept = cut.split_once("\",\"bytes\":").map(|(kept, _)| kept);
    let follows = whole.strip_prefix(front).map(|rest| rest.trim_start_matches("{\"$cut\":").trim_start_matches('"'));
    kept.zip(follows).is_some_and(|(kept, follows)| follows.starts_with(kept))
}

/// Whether these bytes, in hexadecimal, are those in their order, with some missing. Of a whole that is cut itself the end is
/// not known: with bytes missing, what is kept reaches further.
fn is_left_of(held: &[u8], whole: &[u8], is_cut: bool) -> bool {
    let mut whole = whole.chunks(2);
    held.chunks(2).all(|byte| whole.any(|other| other == byte) || is_cut)
}

/// Whether this list is the begin of that one.
fn is_front_of(held: &str, whole: &str) -> bool {
    held == "[]" || held.strip_suffix("}]").is_some_and(|front| whole.starts_with(front))
}

/// Whether the known fields of a list are fields of the whole one, in its order. Others are not known: HTTP/2 names fields
/// by a table whose begin was not seen, and among them may be pseudo-fields, which the whole list has not.
fn is_known_of(held: &str, whole: &str) -> bool {
    fn fields(list: &str) -> impl Iterator<Item = &str> {
        list.trim_start_matches("[{").trim_end_matches("}]").split("}, {")
    }
    let mut whole = fields(whole);
    fields(held).filter(|field| !field.contains('␀')).all(|field| whole.any(|other| other == field))
}

/// How a row of a part relates to the rows of the whole.
#[derive(Debug, Clone, Copy)]
pub struct Relation {
    /// Its first byte is another: its id and its time are others too.
    pub begins_elsewhere: bool,
    /// What came before on the same ports is missing, by which the ids of flows are told apart.
    pub flow_renamed: bool,
    /// Packets of its connection were sent again.
    pub repeats: bool,
    /// Packets of its connection were sent again with other bytes: the first one that was captured stands.
    pub ambiguous: bool,
}

impl Relation {
    /// Why a row of a part cannot be this row of the whole: the columns that differ.
    pub fn differences<'a>(self, table: &str, part: &'a Row, whole: &Row) -> Vec<&'a str> {
        let part_of_body = |column: &str, held: &str| {
            let is_cut = !whole.get("body_note").is_empty();
            let (whole, note) = (whole.get(column), part.get("body_note"));
            BODIES.contains(&column)
                && !part.is_whole()
                && (whole.starts_with(held)
                    || note.contains("kept as sent")
                    || !note.is_empty() && is_left_of(held.as_bytes(), whole.as_bytes(), is_cut))
        };
        let counted_so_far = |column: &str, held: &str| {
            let number = |text: &str| text.parse::<u64>().ok();
            LENGTHS.contains(&column)
                && (part.get("pair") == "cut" || ["input_end", "reset"].contains(&part.get("end_reason")))
                && (number(held) <= number(whole.get(column)) || whole.get(column).is_empty() && !whole.is_whole())
        };
        let first_messages = |column: &str, held: &str| {
            let held = held.strip_prefix('[').and_then(|held| held.strip_suffix(']'));
            let whole = whole.get(column);
            table == "grpc"
                && MESSAGES.contains(&column)
                && !part.is_whole()
                && held.is_some_and(|held| whole.strip_prefix('[').unwrap_or(whole).starts_with(held))
        };
        let may_differ = |column: &str| {
            OF_WHAT_WAS_SEEN.contains(&column)
                || table == "flows" && OF_PACKETS.contains(&column)
                // No TLS was seen in it: too little was.
                || table == "flows" && column == "tls" && part.get("tls") == "false"
                // Only a port told who the client is.
                || table == "flows" && part.get("direction_known") == "false" && ENDS.contains(&column)
                // The one it was seen in first, where each way has its own.
                || table == "flows" && column == "tunnel" && !whole.get("tunnel").is_empty()
                // Of ICMP, the kind of the first packet is in it.
                || table == "flows" && column == "community_id" && whole.get("client_port").is_empty()
                // That of the answer stands for the one of the query.
                || column == "recursion_desired" && part.get("pair") == "response_only"
                || self.begins_elsewhere && ["call_id", "ts"].contains(&column)
                || self.flow_renamed && ["call_id", "flow_id"].contains(&column)
                || self.repeats && TIMES.contains(&column)
                || self.ambiguous && BODIES.contains(&column)
        };
        let agrees = |column: &str, held: &str| {
            whole.get(column) == held
                || part_of_body(column, held)
                || counted_so_far(column, held)
                || first_messages(column, held)
                || HEADS.contains(&column) && part.get("pair") == "cut" && is_front_of(held, whole.get(column))
                || RECORDS.contains(&column) && !part.is_whole() && is_front_of(held, whole.get(column))
                || table == "flows" && column == "protocol" && held == "http" && UPGRADES.contains(&whole.get(column))
                || column == "topic" && is_topic_id(held)
                || column == "topics" && held.trim_matches(['[', ']']).split(", ").all(is_topic_id)
                || held.contains('␀') && is_known_of(held, whole.get(column))
                || !part.is_whole() && begins(held, whole.get(column))
        };
        let columns = part.columns.iter();
        columns
            .filter(|(column, held)| !may_differ(column) && !agrees(column, held))
            .map(|(column, _)| column.as_str())
            .collect()
    }
}
