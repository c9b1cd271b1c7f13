//! A line to a server that can be cut, slowed and closed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Line {
    Good,
    /// Ends after some bytes.
    Cut,
    /// Nobody answers.
    Closed,
    Slow,
}

const LINES: [Line; 4] = [Line::Good, Line::Cut, Line::Closed, Line::Slow];

/// Listens for as long as the test runs.
pub struct Proxy {
    pub port: u16,
    line: Arc<AtomicU8>,
}

impl Proxy {
    /// A good line to a port of this machine.
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let line = Arc::new(AtomicU8::new(Line::Good as u8));
        let its_line = line.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if its_line.load(Ordering::Relaxed) == Line::Closed as u8 {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                for (from, into) in [(&client, &server), (&server, &client)] {
                    let (from, into) = (from.try_clone().expect("a socket"), into.try_clone().expect("a socket"));
                    let line = its_line.clone();
                    std::thread::spawn(move || carry(from, into, &line));
                }
            }
        });
        Self { port, line }
    }

    /// From now on the line is like that, also for those who use it.
    pub fn set(&self, line: Line) {
        self.line.store(line as u8, Ordering::Relaxed);
    }

    /// One of the ways a line can be.
    pub fn line(number: u64) -> Line {
        LINES[(number % LINES.len() as u64) as usize]
    }
}

fn carry(mut from: TcpStream, mut into: TcpStream, line: &AtomicU8) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let line = line.load(Ordering::Relaxed);
        let carried = if line == Line::Cut as u8 { count / 2 } else { count };
        if line == Line::Slow as u8 {
            std::thread::sleep(Duration::from_millis(50));
        }
        if line == Line::Closed as u8 || into.write_all(&bytes[..carried]).is_err() || carried < count {
            break;
        }
    }
    // Whoever waits at either end is told.
    from.shutdown(Shutdown::Both).ok();
    into.shutdown(Shutdown::Both).ok();
}
