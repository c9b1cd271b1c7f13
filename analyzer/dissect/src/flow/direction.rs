//! Who is the client, and how we know.

use super::Way;
use crate::decode::FlowKey;

/// How client and server were told apart, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// By port, or by who was seen first.
    Port,
    /// By what was said.
    Protocol,
    /// By the SYN.
    Syn,
}

/// The way the client sends.
#[derive(Debug, Clone, Copy)]
pub struct Direction {
    client: Way,
    evidence: Evidence,
}

impl Direction {
    /// A first guess: the side with the port of a service is the server, else the side seen first is the client.
    pub fn guess(key: &FlowKey, first: Way) -> Self {
        let (low, high) = (service_rank(key.low.port), service_rank(key.high.port));
        let client = match low.cmp(&high) {
            std::cmp::Ordering::Less => Way::FromHigh,
            std::cmp::Ordering::Equal => first,
            std::cmp::Ordering::Greater => Way::FromLow,
        };
        Self { client, evidence: Evidence::Port }
    }

    /// Takes better evidence; a SYN is never overruled.
    pub fn learn(&mut self, client: Way, evidence: Evidence) {
        if evidence > self.evidence {
            *self = Self { client, evidence };
        }
    }

    /// The way the client sends.
    pub fn client(&self) -> Way {
        self.client
    }

    /// Whether more than a port says so.
    pub fn known(&self) -> bool {
        self.evidence > Evidence::Port
    }
}

/// Well-known ports before registered ones before those that clients are given (RFC 6335 §6; Linux gives from 32768).
fn service_rank(port: u16) -> u8 {
    match port {
        1..=1023 => 0,
        1024..=32767 => 1,
        _ => 2,
    }
}
