//! Ids that come from what was on the wire, so that two runs, or a run over a part, agree.

use super::Way;
use crate::decode::FlowKey;
use sha2::{Digest, Sha256};

const DAY_NS: i64 = 86_400_000_000_000;

/// The id of a flow.
///
/// Hashed: key, UTC day of its first packet, and `reuse`: the initial sequence number where the same
/// ports were used before in the same input, 0 otherwise; the key's namespace where it has one. A part of a capture
/// therefore gives a flow the id the whole gives it, unless it leaves out an earlier connection on the same ports.
pub fn flow_id(key: &FlowKey, start_ns: i64, reuse: u64) -> i64 {
    let (tunnel, tunnel_id) = key.tunnel.numbers();
    let mut hash = Sha256::new();
    for end in [&key.low, &key.high] {
        hash.update(end.ip);
        hash.update(end.port.to_be_bytes());
    }
    hash.update([key.protocol.0, key.ip_version, tunnel]);
    hash.update(tunnel_id.to_be_bytes());
    hash.update(key.vlan.to_be_bytes());
    hash.update(start_ns.div_euclid(DAY_NS).to_be_bytes());
    hash.update(reuse.to_be_bytes());
    if key.netns != 0 {
        hash.update(key.netns.to_be_bytes());
    }
    positive(&hash.finalize())
}

/// The id of a call: of its flow, the way of its first byte, and that byte's place on the wire.
pub fn call_id(flow_id: i64, way: Way, place: u64) -> i64 {
    // SplitMix64 over the three: ids need to differ, not to withstand anybody.
    let mut mixed = flow_id as u64 ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((way == Way::FromLow) as u64) << 63;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 1) as i64
}

/// The first 63 bits of a digest: engines without unsigned integers read it alike.
fn positive(digest: &[u8]) -> i64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    (u64::from_be_bytes(bytes) >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Endpoint, IpProtocol, Tunnel};

    #[test]
    fn ids_stay_what_they_are() {
        let end = |port| Endpoint { ip: 0xffff_7f00_0001_u128.to_be_bytes(), port };
        let (key, _) = FlowKey::new(end(4000), end(80), IpProtocol::TCP, 4, 0, Tunnel::None);
        for (netns, id) in [(0, 8430362816702702720), (7, 70552988589111351)] {
            assert_eq!(flow_id(&FlowKey { netns, ..key }, 1_700_000_000_000_000_000, 0), id);
        }
    }
}
