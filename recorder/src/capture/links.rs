//! The interfaces of a network namespace, as rtnetlink(7) tells them.
//!
//! Asked over a socket of that namespace, so that it does not matter where the asking thread is.

use super::sys::Socket;
use formats::bytes::{Reader, Short};
use std::io;

/// An interface there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its index, as long as it lives.
    pub index: u32,
    /// What kind of link it is: `ARPHRD_…`.
    pub hardware: u16,
    /// Its name.
    pub name: String,
    /// What the administrator wrote down for it.
    pub alias: Option<String>,
}

/// A message of the kernel's answer; the kernel's own are at most 32 KiB.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Marks our question, and so the kernel's answer to it.
const QUESTION: u32 = 0x4c69_6e6b;

/// All interfaces of the namespace of `socket`, which listens to link news and does not block.
pub fn links(socket: &Socket) -> io::Result<Vec<Found>> {
    socket.send(&question())?;
    let mut found = Vec::new();
    let mut message = vec![0; MESSAGE_BYTES_MAX];
    loop {
        match socket.receive(&mut message) {
            // The kernel answers while we ask: when nothing is there, nothing comes.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(found),
            // News were lost, not our answer.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => return Err(error),
            Ok(bytes) => {
                if answer(message.get(..bytes).unwrap_or_default(), &mut found)? {
                    return Ok(found);
                }
            }
        }
    }
}

/// RTM_GETLINK for all interfaces, without their statistics.
fn question() -> Vec<u8> {
    const BYTES: u32 = 40;
    const SKIP_STATISTICS: u32 = 1 << 3;
    let mut out = BYTES.to_ne_bytes().to_vec();
    out.extend_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    out.extend_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    out.extend_from_slice(&QUESTION.to_ne_bytes());
    out.extend_from_slice(&[0; 4 + 16]); // To the kernel; any interface.
    out.extend_from_slice(&8u16.to_ne_bytes());
    out.extend_from_slice(&libc::IFLA_EXT_MASK.to_ne_bytes());
    out.extend_from_slice(&SKIP_STATISTICS.to_ne_bytes());
    out
}

/// Reads a part of the answer; true when it was the last.
fn answer(message: &[u8], found: &mut Vec<Found>) -> io::Result<bool> {
    let mut input = Reader::new(message);
    while let Ok((kind, question, body)) = next(&mut input) {
        match i32::from(kind) {
            _ if question != QUESTION => {} // News: whoever listens asks again.
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let code = Reader::new(body.rest()).array().map(i32::from_ne_bytes).unwrap_or(-libc::EPROTO);
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            _ if kind == libc::RTM_NEWLINK => found.extend(link(body).ok().flatten()),
            _ => {}
        }
    }
    Ok(false)
}

/// The next message of several (linux/netlink.h, `nlmsghdr`): kind, which question it answers, body.
fn next<'a>(input: &mut Reader<'a>) -> Result<(u16, u32, Reader<'a>), Short> {
    const HEADER_BYTES: usize = 16;
    let bytes = u32::from_ne_bytes(input.array()?) as usize;
    let kind = u16::from_ne_bytes(input.array()?);
    input.skip(2)?;
    let question = u32::from_ne_bytes(input.array()?);
    input.skip(4)?;
    let body = input.sub(bytes.saturating_sub(HEADER_BYTES))?;
    input.skip_up_to(u64::from((bytes as u32).wrapping_neg() % 4));
    Ok((kind, question, body))
}

/// An interface (linux/rtnetlink.h, `ifinfomsg` and its attributes); none without a name.
fn link(mut body: Reader<'_>) -> Result<Option<Found>, Short> {
    body.skip(2)?;
    let hardware = u16::from_ne_bytes(body.array()?);
    let index = u32::from_ne_bytes(body.array()?);
    body.skip(8)?;
    let (mut name, mut alias) = (None, None);
    while let Ok((kind, value)) = attribute(&mut body) {
        let text = || String::from_utf8_lossy(value.rest()).trim_matches(['\0', ' ', '\n']).to_owned();
        match kind {
            libc::IFLA_IFALIAS => alias = Some(text()).filter(|text| !text.is_empty()),
            libc::IFLA_IFNAME => name = Some(text()),
            _ => {}
        }
    }
    Ok(name.map(|name| Found { index, hardware, name, alias }))
}

fn attribute<'a>(body: &mut Reader<'a>) -> Result<(u16, Reader<'a>), Short> {
    const HEADER_BYTES: usize = 4;
    const KIND_BITS: u16 = 0x3fff;
    let bytes = u16::from_ne_bytes(body.array()?);
    let kind = u16::from_ne_bytes(body.array()?) & KIND_BITS;
    let value = body.sub(usize::from(bytes).saturating_sub(HEADER_BYTES))?;
    body.skip_up_to(u64::from(bytes.wrapping_neg() % 4));
    Ok((kind, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn loopback_is_there() {
        let found = links(&Socket::link_news().unwrap()).unwrap();
        let lo = found.iter().find(|link| link.name == "lo").expect("every namespace has it");
        assert_eq!((lo.index, lo.hardware, &lo.alias), (1, libc::ARPHRD_LOOPBACK, &None));
    }

    proptest! {
        #[test]
        fn whatever_is_answered_reading_it_ends(message: Vec<u8>, at in 0usize..64, byte: u8) {
            let _ = answer(&message, &mut Vec::new());
            let mut near = question();
            near[4] = libc::RTM_NEWLINK as u8;
            if let Some(changed) = near.get_mut(at) {
                *changed = byte;
            }
            let _ = answer(&near, &mut Vec::new());
        }
    }
}
