//! What threads share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what holds whole values only, each written at once: what a thread that panicked left is as good as what any other did.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
