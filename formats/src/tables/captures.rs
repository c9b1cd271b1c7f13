use super::{Column, Kind::*, Table, column};

pub(super) const TABLE: Table = Table { name: "captures", row: "an input file", on_request: false, groups: &[COLUMNS] };

const COLUMNS: &[Column] = &[
    column("capture", Text, "Name of the input, without its folder.").source("read room"),
    column("source", Text, "Program and system that wrote it.")
        .null("the file does not say")
        .source("draft-ietf-opsawg-pcapng §4.1"),
    column("node", Text, "Node that recorded it.").null("not from a store").source("seal"),
    column("window", Text, "Window it was recorded in.").null("not from a store").source("seal"),
    column("recording", Text, "Recording it belongs to.").null("not from a store").source("seal"),
    column("first_ts", Timestamp, "Earliest packet.").unit("µs, UTC").null("no packets").source("capture time"),
    column("last_ts", Timestamp, "Latest packet.").unit("µs, UTC").null("no packets").source("capture time"),
    column("packets", BigInt, "Packets read: none of what could not be, as `damage` says then.").source("read room"),
    column(
        "bytes",
        BigInt,
        "Captured bytes of these packets, and bytes that gave none: damage, and blocks of unknown type.",
    )
    .unit("bytes")
    .source("read room"),
    column("dropped", BigInt, "Packets the capturing system says it lost.")
        .null("the file does not say")
        .source("draft-ietf-opsawg-pcapng §4.6"),
    column("link_types", TextList, "Link types of its interfaces.").source("link-layer header types registry"),
    column("sha256", Text, "SHA-256 of the input as stored, in hex; of one that is encrypted, of what was decrypted.")
        .source("FIPS 180-4")
        .looked_up(),
    column("damage", Text, "What was wrong with the file, or why nothing of it could be read.")
        .null("nothing")
        .source("read room"),
    column(
        "redaction",
        Text,
        "Rules by which the rows were redacted: names of their files, each with the SHA-256 of its text. What was \
         hidden reads '[redacted]'; 'anomalies' of the room 'redact' say where.",
    )
    .null("not redacted")
    .source("redact room"),
];
