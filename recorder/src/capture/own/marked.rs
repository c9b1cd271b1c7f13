//! Our connections as they are on their way, by the marks of their packets.
//!
//! A store behind a Service of a cluster has another address on the wire than the one we connect to, and we may have another,
//! too; what a tunnel carries is inside of it. The kernel has the mark of our sockets with each packet they send, until that leaves
//! this network namespace. A socket that takes marked packets alone tells the ends they have then, and by these their answers
//! are known, and both in other namespaces of this node.

use super::{Open, OwnConnections, TCP};
use crate::capture::ends::Ends;
use crate::capture::flow::Flows;
use crate::capture::sys::{OwnSocket, Socket};
use crate::filter::Instruction;
use crate::sync::lock;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The mark, and the bits of it that count; each socket has some more for itself. kube-proxy, Cilium, Calico and
/// the VPC CNI of AWS have others, and add them to ours.
const MARK: u32 = 0x3000;
const OWN_BITS: u32 = 0x7f;

/// As much of a packet as has the headers of a tunnel, and of what it carries.
const HEADERS_BYTES: u32 = 256;

/// What waits to be read, how many are read at once, and how long none is then: a long upload is to cost nothing, and of each
/// connection one packet is enough.
const WAITING_BYTES: i32 = 256 << 10;
const AT_ONCE: u32 = 64;
const PAUSE: Duration = Duration::from_millis(20);

impl OwnConnections {
    /// Marks them from now on, and knows them by that in the network namespace of the calling thread. Where that is not allowed,
    /// or the kernel has none of it, they are known by the ends of their sockets alone.
    pub fn watch(&'static self) {
        let spawn = |socket| std::thread::Builder::new().name("own".to_owned()).spawn(move || self.learn(&socket));
        match marked_packets().and_then(spawn) {
            Ok(_) => self.is_marking.store(true, Ordering::Relaxed),
            Err(error) => {
                tracing::info!(%error, "own uploads are recorded where addresses are translated: marks need Linux 5.19");
            }
        }
    }

    /// Marks a socket of ours. What of its mark is its own; none where it could not.
    pub(super) fn mark(&self, socket: &OwnSocket) -> Option<u32> {
        // Another recorder on this node is to have others.
        let own = 1 + std::process::id().wrapping_mul(31).wrapping_add(socket.number()) % OWN_BITS;
        let is_marked = self.is_marking.load(Ordering::Relaxed) && socket.mark(MARK | own).is_ok();
        is_marked.then_some(own)
    }

    /// Until the process ends.
    fn learn(&self, socket: &Socket) {
        let mut flows = Flows::default();
        let mut packet = [0; HEADERS_BYTES as usize];
        loop {
            for _ in 0..AT_ONCE {
                // Without one an interface is gone.
                let Ok((bytes, mark)) = socket.receive_marked(&mut packet) else { break };
                let ends = packet.get(..bytes).and_then(|packet| flows.inside_ip(packet));
                if let Some(ends) = ends.filter(|ends| ends.protocol == TCP && ends.from.port() != 0) {
                    self.learn_ends(&ends, mark & OWN_BITS);
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// A packet with that mark had these ends; nothing where no socket of ours has it.
    fn learn_ends(&self, ends: &Ends, mark: u32) {
        let mut known = lock(&self.known);
        let ours = known.marked.iter().filter(|(own, _)| *own == mark).map(|(_, local)| *local);
        let ours: Vec<SocketAddr> = ours.collect();
        let is_ours = !ours.is_empty();
        // Answers that cross a bridge are seen with one end translated back, and the other not yet (br_netfilter).
        for from in ours.into_iter().chain(is_ours.then_some(ends.from)) {
            self.note(&mut known, [from, ends.to], Open::now());
        }
    }
}

/// A socket that receives the packets that are marked, whatever interface of this namespace they pass.
fn marked_packets() -> io::Result<Socket> {
    // Extensions of classic BPF (Linux, Documentation/networking/filter.rst).
    const PACKET_MARK: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_MARK).cast_unsigned();
    let put = |code: u32, jf: u8, k: u32| Instruction { code: code as u16, jt: 0, jf, k };
    let socket = Socket::network_packet()?;
    socket.attach_filter(&[
        put(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, PACKET_MARK),
        put(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, MARK),
        put(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, MARK),
        put(libc::BPF_RET | libc::BPF_K, 0, HEADERS_BYTES),
        put(libc::BPF_RET | libc::BPF_K, 0, 0),
    ])?;
    socket.set_number(libc::SOL_SOCKET, libc::SO_RCVBUF, WAITING_BYTES)?;
    socket.tell_marks()?;
    socket.bind_packet(0)?;
    Ok(socket)
}
