//! The `dns` table.

use super::builders::{BigInt, Boolean, Int, Record, Records, Text, columns, groups};
use super::call::Common;
use crate::flow::{Flow, Way};
use crate::protocols::Call;
use crate::protocols::dns::{self, Exchange, Message, registry};

columns! {
    /// What `dns` has beyond the common columns.
    Columns {
        transport: Text,
        id: Int,
        opcode: Text,
        qname: Text,
        qtype: Text,
        qclass: Text,
        rcode: Text,
        authoritative: Boolean,
        truncated: Boolean,
        recursion_desired: Boolean,
        recursion_available: Boolean,
        authentic: Boolean,
        answers: Records,
        authorities: Records,
        additionals: Records,
        answer_count: Int,
        request_bytes: BigInt,
        response_bytes: BigInt,
        repeats: Int,
    }
}

groups! {
    /// Rows of `dns`.
    DnsRows {
        common: Common,
        columns: Columns,
    }
}

impl DnsRows {
    /// Appends an exchange; returns the time it is ordered by [ns].
    pub fn append(&mut self, flow: &Flow, client: Way, call: &Call, exchange: &Exchange, node: Option<&str>) -> i64 {
        let ts_ns = self.common.append(flow, client, call, node);
        let (query, answer) = (exchange.query.as_ref(), exchange.answer.as_ref());
        let to = &mut self.columns;
        let Some((first, _)) = query.or(answer) else { unreachable!("an exchange has a side") };
        to.transport.append_value(exchange.transport);
        to.id.append_value(first.header.id.into());
        to.opcode.append_value(registry::opcode(first.header.opcode()));
        // The query's spelling of the name, for mixed case is a cookie (draft-vixie-dnsext-dns0x20).
        let question = first.questions.first().or(answer.and_then(|(message, _)| message.questions.first()));
        to.qname.append_option(question.map(|question| &question.name));
        to.qtype.append_option(question.map(|question| registry::record_type(question.kind)));
        let mdns = exchange.transport == "mdns";
        let class = |class: u16| registry::class(if mdns { class & 0x7fff } else { class });
        to.qclass.append_option(question.map(|question| class(question.class)));
        let answer = answer.map(|(message, bytes)| (message, *bytes));
        to.rcode.append_option(answer.and_then(|(message, _)| message.rcode()).map(registry::rcode));
        let flag = |message: &Message, bit: u16| message.header.flags & bit != 0;
        to.authoritative.append_option(answer.map(|(message, _)| flag(message, 0x0400)));
        to.truncated.append_option(answer.map(|(message, _)| flag(message, 0x0200)));
        to.recursion_desired.append_value(flag(first, 0x0100));
        to.recursion_available.append_option(answer.map(|(message, _)| flag(message, 0x0080)));
        to.authentic.append_option(answer.map(|(message, _)| flag(message, 0x0020)));
        for (at, section) in [&mut to.answers, &mut to.authorities, &mut to.additionals].into_iter().enumerate() {
            section.append(answer.and_then(|(message, _)| message.section(at)).map(records));
        }
        to.answer_count.append_option(answer.map(|(message, _)| message.header.counts[1].into()));
        to.request_bytes.append_option(query.map(|(_, bytes)| *bytes as i64));
        to.response_bytes.append_option(answer.map(|(_, bytes)| bytes as i64));
        to.repeats.append_value(exchange.repeats as i32);
        ts_ns
    }
}

fn records(section: &[dns::Record]) -> impl Iterator<Item = Record<'_>> {
    section.iter().map(|record| Record {
        name: &record.name,
        kind: registry::record_type(record.kind),
        ttl: record.ttl.into(),
        data: &record.data,
    })
}
