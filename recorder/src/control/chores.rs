//! What is done on the spool's disk, one after the other, by whoever does chores.

use crate::ready;
use crate::spool::Spool;
use formats::store::Name;

/// Work that waits for the spool's disk. A disk that hangs must not keep other recordings from beginning and ending.
pub type Chore = Box<dyn FnOnce() + Send>;

/// Keeps what became of a window's runs for the next start, then does the rest.
pub(super) fn keep_runs(spool: Spool, window: Name, then: impl FnOnce() + Send + 'static) -> Chore {
    Box::new(move || {
        if let Err(error) = spool.keep_starts(&window) {
            tracing::error!(%window, %error, "what is left of a run may be recorded after the next start, though it is over");
        }
        then();
    })
}

/// Removes what is kept ready, but for these windows.
pub(super) fn remove_what_is_ready_but_for(spool: Spool, windows: Vec<Name>) -> Chore {
    Box::new(move || {
        if let Err(error) = ready::remove_others(&spool, &windows) {
            tracing::error!(%error, "what is kept ready for windows that are gone cannot be removed");
        }
    })
}
