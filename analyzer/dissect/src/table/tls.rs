//! The `tls` table.

use super::builders::{Boolean, Text, TextList, Time, append_text, columns, groups, text};
use super::call::Common;
use crate::flow::{Flow, Way};
use crate::protocols::Call;
use crate::protocols::tls::{Certificate, Handshake, registry};

columns! {
    /// What `tls` has beyond the common columns.
    Columns {
        version: Text,
        sni: Text,
        alpn: Text,
        cipher: Text,
        client_versions: TextList,
        client_alpns: TextList,
        resumed: Boolean,
        ja3: Text,
        ja3s: Text,
        ja4: Text,
        certificate_subject: Text,
        certificate_issuer: Text,
        certificate_names: TextList,
        not_before: Time,
        not_after: Time,
        certificate_sha256: Text,
        alert: Text,
        ech: Boolean,
    }
}

groups! {
    /// Rows of `tls`.
    TlsRows {
        common: Common,
        columns: Columns,
    }
}

impl TlsRows {
    /// Appends a handshake; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, handshake: &Handshake, node: Option<&str>) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let to = &mut self.columns;
        to.version.append_option(handshake.version.map(registry::version));
        append_text(&mut to.sni, handshake.sni.as_deref());
        append_text(&mut to.alpn, handshake.alpn.as_deref());
        to.cipher.append_option(handshake.cipher.map(registry::cipher));
        let versions: Option<Vec<_>> =
            handshake.client_versions.as_ref().map(|codes| codes.iter().map(|&code| registry::version(code)).collect());
        to.client_versions.append_option(versions.as_ref().map(|names| names.iter().map(|name| &**name)));
        let alpns: Option<Vec<_>> =
            handshake.client_alpns.as_ref().map(|names| names.iter().map(|name| text(name)).collect());
        to.client_alpns.append_option(alpns.as_ref().map(|names| names.iter().map(|name| &**name)));
        to.resumed.append_option(handshake.resumed);
        to.ja3.append_option(handshake.ja3.as_deref());
        to.ja3s.append_option(handshake.ja3s.as_deref());
        to.ja4.append_option(handshake.ja4.as_deref());
        self.certificate(handshake.certificate.as_ref());
        self.columns.alert.append_option(handshake.alert.map(registry::alert));
        self.columns.ech.append_option(handshake.ech);
        ts_ns
    }

    fn certificate(&mut self, certificate: Option<&Certificate>) {
        let to = &mut self.columns;
        let said = certificate.and_then(|certificate| certificate.said.as_ref());
        to.certificate_subject.append_option(said.map(|said| &said.subject));
        to.certificate_issuer.append_option(said.map(|said| &said.issuer));
        to.certificate_names.append_option(said.map(|said| said.names.iter().map(String::as_str)));
        to.not_before.append_option_s(said.map(|said| said.not_before_s));
        to.not_after.append_option_s(said.map(|said| said.not_after_s));
        to.certificate_sha256.append_option(certificate.map(|certificate| certificate.sha256.to_string()));
    }
}
