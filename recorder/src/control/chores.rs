//! What is done on the spool's disk, one after the other, by whoever does chores.

use crate::ready;
use crate::spool::Spool;
use formats::store::Name;

/// Work that waits for the spool's disk. A disk that hangs must not keep other recordings from beginning and ending.
pub type Chore = Box<dyn FnOnce() + Send>;

/// Removes what is kept ready, but for these windows.
pub(super) fn remove_what_is_ready_but_for(spool: Spool, windows: Vec<Name>) -> Chore {
    Box::new(move || {
        if let Err(error) = ready::remove_others(&spool, &windows) {
            tracing::error!(%error, "what is kept ready for windows that are gone cannot be removed");
        }
    })
}
