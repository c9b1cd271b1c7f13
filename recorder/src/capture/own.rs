//! The connections this process opens: its uploads, which it must not record, for each would be uploaded in turn.
//!
//! They are known by both addresses and both ports, from our own sockets, in all targets: what we send to a store on this
//! node goes through its namespace too. So what is left out is nobody else's: while a connection is ours nobody can have
//! those ports, and who opens one with the same ports later is told apart by its first packet.
//!
//! Where addresses are translated on the way they are others: our sockets carry a mark, which the kernel keeps with each
//! packet through our namespace, and tells whoever asks for packets that have it ([`marked`]).
//!
//! Whoever sends looks, each time that it has to wait: then a socket that connects is still there, also one that is refused or
//! closed before its packets come out of a ring. Whoever captures looks too, where the first packet is there before the
//! sender has looked.

mod marked;

use super::ends::{Ends, Opening};
use super::sys;
use crate::sync::lock;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Our connections.
#[derive(Debug)]
pub struct OwnConnections {
    /// A bit for each port of our ends: nearly all packets of others have none of these.
    ports: [AtomicU64; PORT_WORDS],
    /// Whether there are any.
    are_any: AtomicBool,
    /// When somebody last looked, by the clock that packets have their times from [ns since the Unix epoch].
    looked_ns: AtomicU64,
    /// Whether they are to be marked.
    is_marking: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// When each was last open: our end, and the other.
    open: HashMap<[SocketAddr; 2], Open>,
    /// Our sockets when they were last looked at: what of their marks is their own, and our end.
    marked: Vec<(u32, SocketAddr)>,
    /// When those that are over were last forgotten.
    cleared: Instant,
}

/// When a connection was last open.
#[derive(Debug, Clone, Copy)]
struct Open {
    at: Instant,
    /// The same by the clock that packets have their times from [ns since the Unix epoch].
    at_ns: u64,
}

impl Open {
    fn now() -> Self {
        Self { at: Instant::now(), at_ns: now_ns() }
    }
}

const PORT_WORDS: usize = (1 << 16) / 64;

/// How long the last packets of a connection may take: a request that nobody waits for any more is sent again for nearly two
/// minutes (ip-sysctl, `tcp_orphan_retries`), and idle connections are closed after one and a half.
const LINGER: Duration = Duration::from_secs(300);

/// Connections that are remembered for so long, some 1.5 MiB: 27 in a second. Where there are more, those that were closed only lately.
const CONNECTIONS_MAX: usize = 1 << 13;
const LINGER_CROWDED: Duration = Duration::from_secs(2);

/// How long after our last look another first packet is taken for ours [ns]: a queue kept it, or it was sent once more. Others get
/// the same ports only after thousands of connections, for the kernel gives them in turn.
const ANOTHER_NS: u64 = 2_000_000_000;

/// How often those that are over are forgotten.
const CLEAR: Duration = Duration::from_secs(10);

const TCP: u8 = 6;

impl OwnConnections {
    /// Those of this process, as all see them who send or capture.
    pub fn of_process() -> &'static Self {
        static OF_PROCESS: LazyLock<OwnConnections> = LazyLock::new(OwnConnections::new);
        &OF_PROCESS
    }

    fn new() -> Self {
        Self {
            ports: [const { AtomicU64::new(0) }; PORT_WORDS],
            are_any: AtomicBool::new(false),
            looked_ns: AtomicU64::new(0),
            is_marking: AtomicBool::new(false),
            known: Mutex::new(Known { open: HashMap::new(), marked: Vec::new(), cleared: Instant::now() }),
        }
    }

    /// Does what may open connections, and knows them.
    pub async fn open<T>(&self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        std::future::poll_fn(|context| {
            let polled = request.as_mut().poll(context);
            // A socket that connects is waited for, and not closed before the next turn, whatever became of it.
            if polled.is_pending() {
                self.look();
            }
            polled
        })
        .await
    }

    /// Whether there are any.
    pub fn are_any(&self) -> bool {
        self.are_any.load(Ordering::Relaxed)
    }

    /// Whether a packet seen at `seen_ns` is of one of our connections. `is_here`: in our own network namespace.
    pub fn has(&self, ends: &Ends, seen_ns: u64, is_here: bool) -> bool {
        // Each namespace has a loopback of its own.
        if ends.protocol != TCP || !is_here && ends.from.ip().is_loopback() {
            return false;
        }
        if ends.opening.is_some() && seen_ns > self.looked_ns.load(Ordering::Relaxed) {
            self.look();
        }
        let pairs = [[ends.from, ends.to], [ends.to, ends.from]];
        if !pairs.iter().any(|[ours, _]| self.has_port(ours.port())) {
            return false;
        }
        let open = &mut lock(&self.known).open;
        let Some((pair, known)) = pairs.iter().find_map(|pair| Some((pair, open.get(pair)?))) else { return false };
        let is_ours = ends.opening != Some(Opening::Asked) || seen_ns <= known.at_ns.saturating_add(ANOTHER_NS);
        if !is_ours {
            // Somebody else has these ports from now on.
            open.remove(pair);
        }
        is_ours
    }

    fn has_port(&self, port: u16) -> bool {
        let ports = self.ports.get(usize::from(port) / 64);
        ports.is_some_and(|ports| ports.load(Ordering::Relaxed) >> (port % 64) & 1 == 1)
    }

    /// Takes some 50 µs.
    fn look(&self) {
        // Before it is looked: what is opened meanwhile was not seen.
        let now = Open::now();
        let sockets = sys::own_sockets();
        // Whoever asks us for metrics opened the connection, and is none of ours.
        let is_asked = |local: SocketAddr| {
            sockets.iter().any(|socket| socket.remote.is_none() && socket.local.port() == local.port())
        };
        let mut known = lock(&self.known);
        known.marked.clear();
        for socket in &sockets {
            if let Some(remote) = socket.remote
                && !is_asked(socket.local)
            {
                self.note(&mut known, [socket.local, remote], now);
                known.marked.extend(self.mark(socket).map(|mark| (mark, socket.local)));
            }
        }
        drop(known);
        self.looked_ns.store(now.at_ns, Ordering::Relaxed);
    }

    /// A connection of ours is open.
    fn note(&self, known: &mut Known, pair: [SocketAddr; 2], now: Open) {
        let open = known.open.entry(pair).or_insert(now);
        // Another thread, that began to look later, may have been faster.
        *open = Open { at: open.at.max(now.at), at_ns: open.at_ns.max(now.at_ns) };
        let port = pair[0].port();
        if let Some(ports) = self.ports.get(usize::from(port) / 64) {
            ports.fetch_or(1 << (port % 64), Ordering::Relaxed);
        }
        self.are_any.store(true, Ordering::Relaxed);
        if known.open.len() > CONNECTIONS_MAX || now.at.duration_since(known.cleared) >= CLEAR {
            self.clear(known, now.at);
        }
    }

    /// Forgets those that are over.
    fn clear(&self, known: &mut Known, now: Instant) {
        known.cleared = now;
        let linger = if known.open.len() > CONNECTIONS_MAX { LINGER_CROWDED } else { LINGER };
        known.open.retain(|_, open| now.duration_since(open.at) < linger);
        let mut ports = [0; PORT_WORDS];
        for [ours, _] in known.open.keys() {
            if let Some(ports) = ports.get_mut(usize::from(ours.port()) / 64) {
                *ports |= 1 << (ours.port() % 64);
            }
        }
        self.are_any.store(!known.open.is_empty(), Ordering::Relaxed);
        // Each word at once: a port that stays is known all the while.
        self.ports.iter().zip(ports).for_each(|(known, ports)| known.store(ports, Ordering::Relaxed));
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
        let own = OwnConnections::new();
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
        let another = connect();
        let answer = packet(another.peer_addr().unwrap(), another.local_addr().unwrap(), Some(Opening::Answered));
        assert!(own.has(&answer, now_ns(), true), "it was not open yet when it was asked for");
        drop(stream);
        assert!(own.has(&ends(to, from, false), seen_ns, true), "its last packets");
        assert!(own.has(&ends(from, to, true), seen_ns, true), "its first, which comes out of the ring only now");
        let later_ns = now_ns() + 2 * ANOTHER_NS;
        assert!(!own.has(&ends(from, to, true), later_ns, true), "others have its ports");
        assert!(!own.has(&ends(to, from, false), later_ns, true), "and it stays theirs");
        server.wait().unwrap();
        drop(process.stdin.take());
        process.wait().unwrap();
    }

    #[tokio::test]
    async fn what_is_refused_before_its_packets_come_is_ours_too() {
        let own = OwnConnections::new();
        let to = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let from = socket.local_addr().unwrap();
        let asked_ns = now_ns();
        assert!(own.open(socket.connect(to)).await.is_err());
        let asked = Ends { protocol: TCP, from, to, opening: Some(Opening::Asked) };
        let refused = Ends { from: to, to: from, opening: None, ..asked };
        assert!(own.has(&asked, asked_ns, true) && own.has(&refused, asked_ns, true));
    }

    #[test]
    fn those_that_are_over_are_forgotten() {
        for (connections, after, stay) in [
            (100, LINGER_CROWDED, true),
            (100, LINGER, false),
            (CONNECTIONS_MAX as u16, LINGER_CROWDED, true),
            (CONNECTIONS_MAX as u16 + 1, LINGER_CROWDED, false),
        ] {
            let own = OwnConnections::new();
            let now = Open { at: Instant::now(), at_ns: 0 };
            let pair = |port: u16| [SocketAddr::from(([10, 0, 0, 1], port)), SocketAddr::from(([10, 0, 0, 2], 0))];
            let mut known = lock(&own.known);
            known.open.extend((1..=connections).map(|port| (pair(port), now)));
            own.clear(&mut known, now.at + after);
            drop(known);
            let [from, to] = pair(connections);
            assert_eq!(own.has(&Ends { protocol: TCP, from, to, opening: None }, 0, true), stay, "{connections}");
            assert_eq!(own.has_port(connections), stay, "{connections}");
        }
    }
}
