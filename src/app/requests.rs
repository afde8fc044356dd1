//! What the process is asked to do while it runs: by signals, by an HTTP request, by a worker that can't go on.
//!
//! Comes in: requests from any thread. Goes out: the same to the one thread that waits, the gravest first. Keeps: there
//! is no queue to fill; asking twice for what is not done yet is asking once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something asked of the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// A thread that the process can't be without has failed, for this reason: stop with exit code 1.
    Fail(String),
    /// The server has drained and is gone.
    Stopped,
    /// Answer what was taken, then stop.
    Drain,
    /// Read the configuration again.
    Reload,
}

/// Requests that nobody has taken yet.
#[derive(Default, Debug)]
pub struct Requests {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default, Debug)]
struct Asked {
    fail: Option<String>,
    stopped: bool,
    drain: bool,
    reload: bool,
}

impl Requests {
    /// Asks; never waits for the request to be done. The first reason to fail is kept.
    pub fn ask(&self, request: Request) {
        let mut asked = self.lock();
        match request {
            Request::Fail(why) => _ = asked.fail.get_or_insert(why),
            Request::Stopped => asked.stopped = true,
            Request::Drain => asked.drain = true,
            Request::Reload => asked.reload = true,
        }
        self.changed.notify_one();
    }

    /// Takes the gravest request; waits `at_most` for one.
    pub fn wait(&self, at_most: Duration) -> Option<Request> {
        let nothing =
            |asked: &mut Asked| asked.fail.is_none() && !asked.stopped && !asked.drain && !asked.reload;
        let waited = self.changed.wait_timeout_while(self.lock(), at_most, nothing);
        let (mut asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = asked.fail.take() {
            Some(Request::Fail(why))
        } else if std::mem::take(&mut asked.stopped) {
            Some(Request::Stopped)
        } else if std::mem::take(&mut asked.drain) {
            Some(Request::Drain)
        } else {
            std::mem::take(&mut asked.reload).then_some(Request::Reload)
        }
    }

    /// No code that could panic runs under the lock: what a poisoned one holds is sound.
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn the_gravest_goes_first_and_asking_twice_is_asking_once() {
        let requests = Requests::default();
        for request in
            [Request::Reload, Request::Reload, Request::Drain, Request::Stopped, Request::Fail("a".into())]
        {
            requests.ask(request);
        }
        requests.ask(Request::Fail("b".into()));
        assert_eq!(requests.wait(Duration::ZERO), Some(Request::Fail("a".into())));
        assert_eq!(requests.wait(Duration::ZERO), Some(Request::Stopped));
        assert_eq!(requests.wait(Duration::ZERO), Some(Request::Drain));
        assert_eq!(requests.wait(Duration::ZERO), Some(Request::Reload));
        assert_eq!(requests.wait(Duration::ZERO), None);
    }

    #[test]
    fn a_waiting_thread_is_woken() {
        let requests = Arc::new(Requests::default());
        let asking = Arc::clone(&requests);
        let thread = thread::spawn(move || asking.ask(Request::Drain));
        assert_eq!(requests.wait(Duration::from_secs(60)), Some(Request::Drain));
        thread.join().unwrap();
    }
}
