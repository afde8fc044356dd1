//! Names looked up beside the workers: the system's resolver waits, and a worker must not.
//!
//! Threads are started when names come and end when none is left. An answer is good for [`FRESH_NS`]; an older one is
//! used while a newer one is looked up, so that a resolver that hangs costs only names that were never found.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock, SystemClock};
use crate::engine;

/// Looks names up for all workers.
pub(in crate::scrape) struct Resolver {
    clock: SystemClock,
    answers: AtomicU64,
    state: Mutex<State>,
    /// Called when there are answers.
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<str>>,
    /// In the queue, or being looked up.
    wanted: HashSet<Arc<str>>,
    threads: usize,
    known: HashMap<Arc<str>, Found>,
}

struct Found {
    answer: Result<Arc<[SocketAddr]>, Arc<str>>,
    at_ns: u64,
}

/// What is known of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Lookup {
    /// Its addresses, in the system's order, without a port; at least one.
    Known(Arc<[SocketAddr]>),
    /// It is being looked up: ask again when woken.
    Pending,
    /// It has none, or cannot be looked up now.
    Failed(Arc<str>),
}

impl Resolver {
    pub(in crate::scrape) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Resolver {
        Resolver { clock: SystemClock::default(), answers: AtomicU64::new(0), state: Mutex::default(), wake }
    }

    /// The addresses of a host. `asked_ns` is when whoever asks began to: a failure from before is looked up anew.
    pub(super) fn find(self: &Arc<Resolver>, host: &str, asked_ns: u64) -> Lookup {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Lookup::Known(Arc::new([SocketAddr::new(address, 0)]));
        }
        let now_ns = self.clock.monotonic_ns();
        let mut state = self.lock();
        let known = state.known.get(host).map(|found| (found.answer.clone(), found.at_ns));
        match known {
            Some((Ok(addresses), at_ns)) => {
                if now_ns >= at_ns + FRESH_NS {
                    // The old answer does until there is a new one.
                    let _ = self.want(&mut state, host);
                }
                Lookup::Known(addresses)
            }
            Some((Err(why), at_ns)) if at_ns >= asked_ns && !state.wanted.contains(host) => {
                Lookup::Failed(why)
            }
            _ => match self.want(&mut state, host) {
                Ok(()) => Lookup::Pending,
                Err(why) => Lookup::Failed(why.into()),
            },
        }
    }

    /// The moment from which answers count for one who asks now.
    pub(super) fn now_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    /// How many answers there were: when it changes, asking again is worth it.
    pub(in crate::scrape) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// None of a host's addresses answers: they may be old.
    pub(super) fn distrust(&self, host: &str) {
        let mut state = self.lock();
        if state.known.get(host).is_some_and(|found| found.answer.is_ok()) {
            state.known.remove(host);
        }
    }

    fn want(self: &Arc<Resolver>, state: &mut State, host: &str) -> Result<(), &'static str> {
        if state.wanted.contains(host) {
            return Ok(());
        }
        if state.wanted.len() == WANTED_MAX {
            return Err("too many names are being looked up");
        }
        if state.threads < THREADS_MAX {
            let resolver = Arc::clone(self);
            match engine::spawn("resolver", Box::new(move || resolver.run())) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    tracing::error!(%error, "no thread to look names up");
                    return Err("no thread to look names up");
                }
                Err(_) => {}
            }
        }
        let host: Arc<str> = host.into();
        state.queue.push_back(Arc::clone(&host));
        state.wanted.insert(host);
        Ok(())
    }

    /// Looks up until there is nothing left to.
    fn run(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.queue.pop_front();
                state.threads -= usize::from(next.is_none());
                next
            };
            let Some(host) = next else { return };
            let answer = look_up(&host);
            let at_ns = self.clock.monotonic_ns();
            {
                let mut state = self.lock();
                state.wanted.remove(&host);
                // A failure does not take away what was known: it may be the resolver's.
                let keep =
                    answer.is_err() && state.known.get(&host).is_some_and(|known| known.answer.is_ok());
                if state.known.len() >= KNOWN_MAX && !state.known.contains_key(&host) {
                    state.known.retain(|_, found| at_ns < found.at_ns + FRESH_NS);
                }
                if !keep && state.known.len() < KNOWN_MAX {
                    state.known.insert(host, Found { answer, at_ns });
                } else if let Some(found) = state.known.get_mut(&host) {
                    found.at_ns = at_ns;
                }
            }
            self.answered();
        }
    }

    /// There is an answer: those who wait for one ask again.
    pub(super) fn answered(&self) {
        // Whoever is woken sees it: waking and being woken go through the system.
        self.answers.fetch_add(1, Ordering::Relaxed);
        (self.wake)();
    }

    /// No code that could panic runs under the lock: what a poisoned one holds is sound.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_up(host: &str) -> Result<Arc<[SocketAddr]>, Arc<str>> {
    if let Some(address) = in_zone(host) {
        return Ok(Arc::new([address.into()]));
    }
    let found = (host, 0).to_socket_addrs().map_err(|error| format!("lookup {host}: {error}"))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        Err(format!("lookup {host}: no such host").into())
    } else {
        Ok(addresses.into())
    }
}

/// A long address whose zone is the name or number of an interface. The system's resolver knows names only where the
/// address is of one link alone.
fn in_zone(host: &str) -> Option<SocketAddrV6> {
    let (address, zone) = host.split_once('%')?;
    let named = || {
        let file = (!zone.contains('/')).then(|| format!("/sys/class/net/{zone}/ifindex"))?;
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    };
    let scope = zone.parse().ok().or_else(named)?;
    Some(SocketAddrV6::new(address.parse().ok()?, 0, 0, scope))
}

/// For so long an answer is not asked for again: as long as resolvers on a host keep one at least.
const FRESH_NS: u64 = 30_000_000_000;

/// A resolver that does not answer keeps a thread for some seconds; the others go on.
const THREADS_MAX: usize = 4;

/// Names that wait: more than targets that begin within a second.
const WANTED_MAX: usize = 4096;

/// Names that are remembered.
const KNOWN_MAX: usize = 65_536;

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn resolver() -> (Arc<Resolver>, std::sync::mpsc::Receiver<()>) {
        let (woken, wake) = channel();
        (Arc::new(Resolver::new(Box::new(move || woken.send(()).unwrap()))), wake)
    }

    #[test]
    fn an_address_is_its_own_answer() {
        let (resolver, _) = resolver();
        assert_eq!(resolver.find("::1", 0), Lookup::Known(Arc::new(["[::1]:0".parse().unwrap()])));
    }

    #[test]
    fn a_name_is_looked_up_once_and_known_then() {
        let (resolver, wake) = resolver();
        let asked_ns = resolver.now_ns();
        assert_eq!(resolver.find("localhost", asked_ns), Lookup::Pending);
        wake.recv().unwrap();
        let Lookup::Known(addresses) = resolver.find("localhost", asked_ns) else { panic!("not found") };
        assert!(addresses.iter().all(|at| at.ip().is_loopback()) && !addresses.is_empty());
    }

    #[test]
    fn an_address_keeps_its_zone() {
        let (resolver, wake) = resolver();
        let asked_ns = resolver.now_ns();
        assert_eq!(resolver.find("::1%lo", asked_ns), Lookup::Pending);
        wake.recv().unwrap();
        let Lookup::Known(addresses) = resolver.find("::1%lo", asked_ns) else { panic!("not found") };
        assert!(matches!(*addresses, [SocketAddr::V6(at)] if at.scope_id() > 0), "{addresses:?}");
        assert_eq!(in_zone("fe80::1%3").map(|at| at.scope_id()), Some(3));
    }

    #[test]
    fn a_failure_is_told_to_those_who_waited_for_it_and_looked_up_anew_for_others() {
        let (resolver, wake) = resolver();
        let asked_ns = resolver.now_ns();
        assert_eq!(resolver.find("no.such.host.invalid", asked_ns), Lookup::Pending);
        wake.recv().unwrap();
        assert!(matches!(resolver.find("no.such.host.invalid", asked_ns), Lookup::Failed(_)));
        assert_eq!(resolver.find("no.such.host.invalid", resolver.now_ns() + 1), Lookup::Pending);
        wake.recv().unwrap();
    }
}
