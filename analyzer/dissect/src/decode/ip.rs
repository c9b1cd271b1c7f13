//! IPv4 (RFC 791) and IPv6 with its extension headers (RFC 8200).

use super::walk::{Fragment, Layer, Turn, Walk, u16_at, u32_at};

/// An IPv4 address in its mapped form (RFC 4291 §2.5.5.2).
fn mapped(bytes: &[u8]) -> Option<[u8; 16]> {
    let mut ip = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    ip.last_chunk_mut::<4>()?.copy_from_slice(bytes.first_chunk::<4>()?);
    Some(ip)
}

/// IPv4 or IPv6.
pub fn ip(walk: &mut Walk<'_>) -> Turn {
    match walk.rest().first().map(|byte| byte >> 4) {
        Some(4) => ipv4(walk).unwrap_or(Turn::Refused("cut in the ip header")),
        Some(6) => ipv6(walk).unwrap_or(Turn::Refused("cut in the ip header")),
        Some(_) => Turn::Refused("malformed ip version"),
        None => Turn::Refused("cut in the ip header"),
    }
}

fn ipv4(walk: &mut Walk<'_>) -> Option<Turn> {
    let rest = walk.rest();
    let header_bytes = usize::from(rest.first()? & 0x0f) * 4;
    let total = usize::from(u16_at(rest, 2)?);
    let flags_and_offset = u16_at(rest, 6)?;
    let protocol = *rest.get(9)?;
    (walk.around.ip_version, walk.around.ip_id) = (4, u16_at(rest, 4)?);
    (walk.around.source, walk.around.destination) = (mapped(rest.get(12..)?)?, mapped(rest.get(16..)?)?);
    if header_bytes < 20 || (total != 0 && total < header_bytes) {
        return Some(Turn::Refused("malformed ipv4"));
    }
    // A total length of 0 is how segmentation offload writes frames above 64 KiB.
    if total != 0 {
        walk.limit(total);
    }
    if walk.rest().len() < header_bytes {
        return None;
    }
    walk.skip(header_bytes);
    let (more, offset) = (flags_and_offset & 0x2000 != 0, u32::from(flags_and_offset & 0x1fff) * 8);
    if more || offset > 0 {
        return Some(Turn::Fragment(Fragment {
            id: walk.around.ip_id.into(),
            offset,
            more,
            protocol,
            cut: walk.cut_bytes > 0,
        }));
    }
    Some(Turn::Next(Layer::Transport(protocol)))
}

fn ipv6(walk: &mut Walk<'_>) -> Option<Turn> {
    let rest = walk.rest();
    let payload_bytes = usize::from(u16_at(rest, 4)?);
    let next = *rest.get(6)?;
    (walk.around.ip_version, walk.around.ip_id) = (6, 0);
    walk.around.source = *rest.get(8..)?.first_chunk()?;
    walk.around.destination = *rest.get(24..)?.first_chunk()?;
    walk.skip(40);
    // A payload length of 0 is a jumbogram (RFC 2675) or a frame of segmentation offload: to the end.
    if payload_bytes != 0 {
        walk.limit(payload_bytes);
    }
    Some(extensions(walk, next))
}

/// The extension headers of IPv6 from one on, up to what they are in front of.
pub fn extensions(walk: &mut Walk<'_>, next: u8) -> Turn {
    chain(walk, next).unwrap_or(Turn::Refused("cut in the ip header"))
}

fn chain(walk: &mut Walk<'_>, mut next: u8) -> Option<Turn> {
    for _ in 0..crate::limits::HEADERS_NESTED_MAX {
        let rest = walk.rest();
        let header_bytes = match next {
            // Hop-by-hop, routing, destination, mobility, HIP, shim6 (RFC 8200 §4, RFC 6275, 7401, 5533).
            0 | 43 | 60 | 135 | 139 | 140 => usize::from(*rest.get(1)?) * 8 + 8,
            44 => {
                let (offset, id) = (u16_at(rest, 2)?, u32_at(rest, 4)?);
                let protocol = *rest.first()?;
                walk.skip(8);
                if offset & !6 == 0 {
                    // An atomic fragment is whole (RFC 6946).
                    next = protocol;
                    continue;
                }
                let fragment = Fragment {
                    id,
                    offset: u32::from(offset & !7),
                    more: offset & 1 != 0,
                    protocol,
                    cut: walk.cut_bytes > 0,
                };
                return Some(Turn::Fragment(fragment));
            }
            // Authentication header (RFC 4302 §2.2).
            51 => usize::from(*rest.get(1)?) * 4 + 8,
            59 => return Some(Turn::Refused("ipv6 without next header")),
            _ => return Some(Turn::Next(Layer::Transport(next))),
        };
        next = *rest.first()?;
        if rest.len() < header_bytes {
            return None;
        }
        walk.skip(header_bytes);
    }
    Some(Turn::Refused("too many headers"))
}
