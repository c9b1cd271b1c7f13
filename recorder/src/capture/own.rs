//! The connections this process opened: its uploads, which it must not record, for each would be uploaded in turn.
//!
//! They are known by both addresses and both ports, from our own sockets, in all targets: what we send to a store on this
//! node goes through its namespace too. So what is left out is nobody else's: while a connection is ours nobody can have
//! those ports, and who opens one with the same ports a moment later is told apart by its first packet. Where addresses are
//! translated on the way they are others, and packets not known as ours. Nor is the first packet to a store so far away
//! that its answer is still awaited when the packet is looked at: until then a socket does not say where it leads.

use super::ends::{Ends, Opening};
use super::sys;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Our connections.
#[derive(Debug, Default)]
pub struct OwnConnections {
    /// When each was last open: our end, and the other.
    known: HashMap<[SocketAddr; 2], Instant>,
    /// A bit for each port of our ends, or nothing where there are none: nearly all packets of others have none of these.
    ports: Vec<u64>,
    looked: Option<Instant>,
    /// The same by the clock that packets have their times from [ns since the Unix epoch].
    looked_ns: u64,
    /// Somebody opened a connection, or was told that it is open, since we looked.
    opened: bool,
}

/// We look again when somebody opened a connection: at once if that was after we looked, for its next packets may already be in
/// the ring, and all that is there now is older than the next look; else not more often, for looking takes some 50 µs.
const LOOK: Duration = Duration::from_millis(20);

/// How long the last packets of a connection may take.
const LINGER: Duration = Duration::from_secs(2);

const TCP: u8 = 6;

impl OwnConnections {
    /// Whether a packet seen at `seen_ns` is of one of our connections. `is_here`: in our own network namespace.
    pub fn has(&mut self, ends: &Ends, seen_ns: u64, is_here: bool) -> bool {
        // Each namespace has a loopback of its own.
        if ends.protocol != TCP || !is_here && ends.from.ip().is_loopback() {
            return false;
        }
        self.opened |= ends.opening.is_some();
        let is_news = ends.opening.is_some() && seen_ns > self.looked_ns;
        if self.looked.is_none_or(|looked| is_news || self.opened && looked.elapsed() >= LOOK) {
            self.look();
        }
        let pairs = [[ends.from, ends.to], [ends.to, ends.from]];
        let open =
            pairs.iter().filter(|[ours, _]| self.has_port(ours.port())).find_map(|pair| self.known.get(pair)).copied();
        // One that is opened is ours if it is open now.
        open.is_some_and(|open| ends.opening != Some(Opening::Asked) || Some(open) == self.looked)
    }

    fn has_port(&self, port: u16) -> bool {
        self.ports.get(usize::from(port) / 64).is_some_and(|ports| ports >> (port % 64) & 1 == 1)
    }

    fn look(&mut self) {
        let now = Instant::now();
        self.looked = Some(now);
        self.looked_ns = now_ns();
        self.opened = false;
        self.known.retain(|_, open| now.duration_since(*open) < LINGER);
        let sockets = sys::own_sockets();
        // Whoever asks us for metrics opened the connection, and is none of ours.
        let is_asked = |local: SocketAddr| {
            sockets.iter().any(|socket| socket.remote.is_none() && socket.local.port() == local.port())
        };
        for socket in &sockets {
            if let Some(remote) = socket.remote
                && !is_asked(socket.local)
            {
                self.known.insert([socket.local, remote], now);
            }
        }
        self.ports.clear();
        for [ours, _] in self.known.keys() {
            self.ports.resize(1024, 0);
            if let Some(ports) = self.ports.get_mut(usize::from(ours.port()) / 64) {
                *ports |= 1 << (ours.port() % 64);
            }
        }
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn what_we_opened_is_ours_and_nothing_else() {
        let packet = |from, to, opening| Ends { protocol: TCP, from, to, opening };
        let ends = |from, to, asks: bool| packet(from, to, asks.then_some(Opening::Asked));
        let mut own = OwnConnections::default();
        let asked = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked_at = asked.local_addr().unwrap();
        // Another process asks us: no socket of it is ours.
        let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{}; echo; read x", asked_at.port());
        let mut process = std::process::Command::new("bash");
        process.args(["-c", &connect]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let mut process = process.spawn().unwrap();
        let (_asked, who) = asked.accept().unwrap();
        assert!(!own.has(&ends(who, asked_at, true), now_ns(), true), "they opened it");

        // A listener of another process; for us it is where we connect to.
        let serve = "import socket\nl = socket.create_server(('127.0.0.1', 0))\nprint(l.getsockname()[1], flush=True)\n\
                     p, _ = l.accept()\np.recv(1)";
        let mut server = std::process::Command::new("python3");
        let mut server = server.args(["-c", serve]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut port).unwrap();
        let connect = || TcpStream::connect(("127.0.0.1", port.trim().parse().unwrap())).unwrap();
        let stream = connect();
        let [from, to] = [stream.local_addr().unwrap(), stream.peer_addr().unwrap()];
        let seen_ns = now_ns();
        assert!(!own.has(&ends(from, to, false), seen_ns, true), "nobody looked since");
        assert!(own.has(&ends(from, to, true), seen_ns, true), "it was opened after we looked");
        assert!(own.has(&ends(to, from, false), seen_ns, true) && !own.has(&ends(from, who, false), seen_ns, true));
        assert!(!own.has(&ends(to, from, false), seen_ns, false), "the loopback of others");
        let looked_ns = own.looked_ns;
        assert!(own.has(&ends(from, to, true), seen_ns, true) && own.looked_ns == looked_ns, "that one was seen");
        let another = connect();
        let answer = packet(another.peer_addr().unwrap(), another.local_addr().unwrap(), Some(Opening::Answered));
        assert!(own.has(&answer, now_ns(), true), "it was not open yet when it was asked for");
        drop(stream);
        assert!(own.has(&ends(to, from, false), seen_ns, true), "its last packets");
        server.wait().unwrap();
        drop(process.stdin.take());
        process.wait().unwrap();
    }
}
