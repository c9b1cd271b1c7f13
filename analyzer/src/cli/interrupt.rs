//! Ctrl-C while a prompt is open: it ends the statement that is answered; where none is, or it does not end, the program.

use std::future::Future;
use std::io;
use std::process::exit;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot::{Sender, channel};

/// Exit code of a program that SIGINT ended: 128 and its number.
const INTERRUPTED: i32 = 130;

/// Waits for Ctrl-C.
pub struct Interrupt {
    /// Ends what is answered.
    answering: Arc<Mutex<Option<Sender<()>>>>,
}

impl Interrupt {
    /// From here on.
    ///
    /// # Errors
    /// The system's.
    pub fn listen() -> io::Result<Self> {
        let answering: Arc<Mutex<Option<Sender<()>>>> = Arc::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut interrupts = runtime.block_on(async { signal(SignalKind::interrupt()) })?;
        let waiting = Arc::clone(&answering);
        let listen = async move {
            while interrupts.recv().await.is_some() {
                match waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    // It may have ended by itself just now.
                    Some(answering) => drop(answering.send(())),
                    None => exit(INTERRUPTED),
                }
            }
        };
        std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(Self { answering })
    }

    /// Answers something, which is handed what becomes ready when it is to end.
    pub fn during<T>(&self, answer: impl FnOnce(Stop) -> T) -> T {
        let (sender, receiver) = channel();
        self.set(Some(sender));
        let answered = answer(Box::pin(async { drop(receiver.await) }));
        self.set(None);
        answered
    }

    fn set(&self, answering: Option<Sender<()>>) {
        *self.answering.lock().unwrap_or_else(PoisonError::into_inner) = answering;
    }
}

/// Ready when somebody wants it to end.
pub type Stop = std::pin::Pin<Box<dyn Future<Output = ()>>>;
