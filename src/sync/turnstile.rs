//! A turnstile: lets one through per so much time, whichever thread it is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The next time that somebody may pass. Orders nothing else, hence relaxed throughout: the read-modify-write alone
/// gives each place to one caller.
#[derive(Default, Debug)]
pub struct Turnstile(AtomicU64);

impl Turnstile {
    /// Passes if the time has come, and holds others back for `spacing`. Else says when to ask again.
    ///
    /// # Errors
    /// The time from which passing may work.
    pub fn pass(&self, now: u64, spacing: u64) -> Result<(), u64> {
        let taken = self.0.fetch_update(Relaxed, Relaxed, |next| (next <= now).then_some(now + spacing));
        taken.map(|_| ())
    }
}
