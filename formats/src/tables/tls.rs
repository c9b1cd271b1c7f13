use super::{Column, Kind::*, Table, column, common};

pub(super) const TABLE: Table = Table {
    name: "tls",
    row: "a TLS handshake, or the part of it that was seen",
    on_request: false,
    groups: &[common::CALL_ID, common::FLOW_ID, common::CALL_TIME, common::ENDS, common::CALL_STATE, COLUMNS],
};

const NO_CLIENT_HELLO: &str = "the client's hello was not seen, or not to its end";
const NO_SERVER_HELLO: &str = "the server's hello was not seen, or not to its end";
const NO_CERTIFICATE: &str = "none was seen (TLS 1.3 encrypts it, a resumed session has none), or it could not be read";

const COLUMNS: &[Column] = &[
    column("version", Text, "Version the server chose: 'TLS 1.3', 'TLS 1.3 draft 23', 'SSL 3.0', or its code.")
        .null(NO_SERVER_HELLO)
        .source("RFC 8446 §4.1.3, §4.2.1"),
    column(
        "sni",
        Text,
        "Name of the server the client asks for; the public name where the hello carries another, encrypted.",
    )
    .null("the hello names none, or was not seen")
    .source("RFC 6066 §3")
    .looked_up(),
    column("alpn", Text, "Application protocol the server chose.")
        .null("it says none in clear: TLS 1.3 encrypts it; client_alpns has what was offered")
        .source("RFC 7301 §3.1"),
    column("cipher", Text, "Cipher suite the server chose, by its registered name, or its code.")
        .null(NO_SERVER_HELLO)
        .source("IANA TLS Cipher Suites"),
    column(
        "client_versions",
        TextList,
        "Versions the client offers, in its order; the highest alone where it says no other.",
    )
    .null(NO_CLIENT_HELLO)
    .source("RFC 8446 §4.2.1, RFC 5246 §7.4.1.2"),
    column("client_alpns", TextList, "Application protocols the client offers, in its order.")
        .null(NO_CLIENT_HELLO)
        .source("RFC 7301 §3.1"),
    column("resumed", Boolean, "Whether an earlier session, or a key both sides knew before, was taken up again.")
        .null("too little was seen to tell")
        .source("RFC 8446 §2.2, RFC 5246 §7.3, RFC 5077 §3.1"),
    column("ja3", Text, "JA3 fingerprint of the client's hello.")
        .null(NO_CLIENT_HELLO)
        .source("salesforce/ja3")
        .looked_up(),
    column("ja3s", Text, "JA3S fingerprint of the server's hello.")
        .null(NO_SERVER_HELLO)
        .source("salesforce/ja3")
        .looked_up(),
    column("ja4", Text, "JA4 fingerprint of the client's hello.")
        .null(NO_CLIENT_HELLO)
        .source("FoxIO JA4, technical_details/JA4.md")
        .looked_up(),
    column("certificate_subject", Text, "Whose certificate the server shows.")
        .null(NO_CERTIFICATE)
        .source("RFC 5280 §4.1.2.6 in the form of RFC 4514"),
    column("certificate_issuer", Text, "Who issued it.")
        .null(NO_CERTIFICATE)
        .source("RFC 5280 §4.1.2.4 in the form of RFC 4514"),
    column("certificate_names", TextList, "Names, addresses and URIs it is good for.")
        .null(NO_CERTIFICATE)
        .source("RFC 5280 §4.2.1.6"),
    column("not_before", Timestamp, "When it begins to be good.")
        .unit("µs, UTC")
        .null(NO_CERTIFICATE)
        .source("RFC 5280 §4.1.2.5"),
    column("not_after", Timestamp, "When it ends to be good.")
        .unit("µs, UTC")
        .null(NO_CERTIFICATE)
        .source("RFC 5280 §4.1.2.5"),
    column("certificate_sha256", Text, "SHA-256 of it, also where it could not be read.")
        .null("none was seen")
        .source("FIPS 180-4 over its DER bytes")
        .looked_up(),
    column("alert", Text, "The alert in clear that ended the handshake, else the first one, by its registered name.")
        .null("none was seen in clear")
        .source("RFC 8446 §6, IANA TLS Alerts"),
    column(
        "ech",
        Boolean,
        "Whether the client's hello carries an encrypted one; one made up to look alike cannot be told from it.",
    )
    .null(NO_CLIENT_HELLO)
    .source("RFC 9849 §5, §6.2"),
];
