//! Names of codes as the table spells them.

use super::ciphers;
use std::borrow::Cow;

/// A version: 'TLS 1.3', 'TLS 1.3 draft 23', or the code of one nobody knows (RFC 8446 §4.2.1).
pub fn version(code: u16) -> Cow<'static, str> {
    match code {
        0x0002 => "SSL 2.0".into(),
        0x0300 => "SSL 3.0".into(),
        0x0301 => "TLS 1.0".into(),
        0x0302 => "TLS 1.1".into(),
        0x0303 => "TLS 1.2".into(),
        0x0304 => "TLS 1.3".into(),
        0x7f00..=0x7fff => format!("TLS 1.3 draft {}", code & 0xff).into(),
        // Facebook's servers spoke the drafts under codes of their own.
        0xfb00..=0xfbff => format!("TLS 1.3 Facebook draft {}", code & 0xff).into(),
        _ => format!("{code:#06x}").into(),
    }
}

/// Whether a version is TLS 1.3 or a draft of it.
pub fn is_tls13(code: u16) -> bool {
    code == 0x0304 || matches!(code >> 8, 0x7f | 0xfb)
}

/// A cipher suite by its registered name, or its code where it has none.
pub fn cipher(code: u16) -> Cow<'static, str> {
    ciphers::cipher_suite(code).map_or_else(|| format!("{code:#06x}").into(), Cow::Borrowed)
}

/// An alert by its name in the registry, or its number (IANA TLS Alerts, RFC 8446 §6).
pub fn alert(code: u8) -> Cow<'static, str> {
    alert_name(code).map_or_else(|| code.to_string().into(), Cow::Borrowed)
}

/// The name of an alert, where it has one.
pub fn alert_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        52 => "too_many_cids_requested",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        117 => "general_error",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => return None,
    })
}
