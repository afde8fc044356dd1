//! Who may come in: passwords and tokens.
//!
//! A password is kept as its bcrypt hash, which is slow to compare by intent: a tenth of a second, for which no worker
//! stands still. A request with a password that was not seen before is set aside, a thread that lives as long as there
//! are such passwords compares, and the answer is kept for the next request. A token is compared at once, in a time
//! that does not depend on where it differs ([`Tokens`]).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Debug, Formatter};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tokens::{TokenFile, Tokens};
use crate::engine;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A bcrypt hash.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl FromStr for PasswordHash {
    type Err = String;

    fn from_str(text: &str) -> Result<PasswordHash, String> {
        let bytes = text.as_bytes();
        let sound = bytes.len() == HASH_BYTES
            && ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| text.starts_with(kind))
            && bytes[6] == b'$'
            && bytes[7..].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'));
        if !sound {
            return Err("not a bcrypt hash".to_owned());
        }
        match text[4..6].parse() {
            Ok(COST_MIN..=COST_MAX) => Ok(PasswordHash(text.to_owned())),
            _ => Err(format!("a bcrypt hash's cost is from {COST_MIN} to {COST_MAX}")),
        }
    }
}

impl Debug for PasswordHash {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<hash>")
    }
}

/// What a client can show.
#[derive(Debug)]
pub(super) struct Credentials {
    users: BTreeMap<String, PasswordHash>,
    tokens: Tokens,
}

/// What there is to say to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::serve) enum Admission {
    /// Come in. Without credentials asked there are none shown.
    Granted { shown: bool },
    /// It has not shown what it needs to.
    Denied,
    /// It is being looked at: ask again when woken.
    Pending,
    /// Too many are being looked at.
    Busy,
}

impl Credentials {
    pub(super) fn new(users: &BTreeMap<String, PasswordHash>, tokens: &[TokenFile]) -> Credentials {
        Credentials { users: users.clone(), tokens: Tokens::new(tokens) }
    }

    fn are_asked(&self) -> bool {
        !self.users.is_empty() || self.tokens.are_asked()
    }

    /// Looks whether files of tokens have changed, if that was long ago.
    pub(super) fn follow(&self, now_ns: u64) {
        self.tokens.follow(now_ns);
    }

    /// The values of `WWW-Authenticate`.
    pub(super) fn challenges(&self) -> impl Iterator<Item = &'static str> {
        let basic = (!self.users.is_empty()).then_some("Basic realm=\"tidegate\"");
        let bearer = self.tokens.are_asked().then_some("Bearer realm=\"tidegate\"");
        basic.into_iter().chain(bearer)
    }

    /// Judges an `Authorization` header; `woken` is called once a pending one is worth asking about again.
    pub(super) fn judge(&self, header: &[u8], verifier: &Arc<Verifier>) -> Admission {
        if !self.are_asked() {
            return Admission::Granted { shown: false };
        }
        let Some((scheme, shown)) = split_scheme(header) else { return Admission::Denied };
        let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
        if is("Basic") {
            return self.judge_basic(shown, verifier);
        }
        // InfluxDB's clients say Token; those of version 1.8 with a user and a password, not encoded.
        if is("Token") && shown.contains(&b':') {
            return self.judge_pair(shown, verifier);
        }
        if is("Bearer") || is("Token") {
            let known = self.tokens.have(shown);
            return if known { Admission::Granted { shown: true } } else { Admission::Denied };
        }
        Admission::Denied
    }

    fn judge_basic(&self, shown: &[u8], verifier: &Arc<Verifier>) -> Admission {
        STANDARD.decode(shown).map_or(Admission::Denied, |pair| self.judge_pair(&pair, verifier))
    }

    /// `user:password`
    fn judge_pair(&self, pair: &[u8], verifier: &Arc<Verifier>) -> Admission {
        let Some(colon) = pair.iter().position(|&b| b == b':') else { return Admission::Denied };
        let (user, password) = (&pair[..colon], &pair[colon + 1..]);
        if self.users.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Admission::Denied;
        }
        let known = std::str::from_utf8(user).ok().and_then(|user| self.users.get(user));
        // Nobody's hash is compared for nobody's name: how long that takes is not to tell who is known.
        let hash = known.map_or(NOBODY, |hash| &hash.0);
        match verifier.judge(hash, password) {
            Verdict::Right if known.is_some() => Admission::Granted { shown: true },
            Verdict::Right | Verdict::Wrong => Admission::Denied,
            Verdict::Pending => Admission::Pending,
            Verdict::Busy => Admission::Busy,
        }
    }
}

fn split_scheme(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = header.iter().position(|&b| b == b' ')?;
    Some((&header[..space], header[space..].trim_ascii()))
}

/// Compares passwords with hashes, away from the workers.
pub(in crate::serve) struct Verifier {
    state: Mutex<State>,
    compared: AtomicU64,
    /// Called after each comparison.
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// Comparisons to come, the one under way first.
    queue: VecDeque<Comparison>,
    running: bool,
    right: Kept,
    wrong: Kept,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Comparison {
    hash: String,
    password: Vec<u8>,
}

/// Comparisons that were made, the oldest forgotten first.
#[derive(Default)]
struct Kept {
    known: HashMap<Comparison, ()>,
    order: VecDeque<Comparison>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Right,
    Wrong,
    Pending,
    Busy,
}

impl Verifier {
    pub(in crate::serve) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Verifier {
        Verifier { state: Mutex::default(), compared: AtomicU64::new(0), wake }
    }

    /// How many passwords were compared: when it changes, pending requests are worth another look.
    pub(in crate::serve) fn compared(&self) -> u64 {
        self.compared.load(Ordering::Relaxed)
    }

    fn judge(self: &Arc<Verifier>, hash: &str, password: &[u8]) -> Verdict {
        let comparison = Comparison { hash: hash.to_owned(), password: password.to_vec() };
        let mut state = self.lock();
        if state.right.known.contains_key(&comparison) {
            return Verdict::Right;
        }
        if state.wrong.known.contains_key(&comparison) {
            return Verdict::Wrong;
        }
        if state.queue.contains(&comparison) {
            return Verdict::Pending;
        }
        if state.queue.len() == QUEUE_MAX {
            return Verdict::Busy;
        }
        state.queue.push_back(comparison);
        if !state.running {
            let verifier = Arc::clone(self);
            if let Err(error) = engine::spawn("passwords", Box::new(move || verifier.run())) {
                tracing::error!(%error, "no thread to compare passwords");
                state.queue.clear();
                return Verdict::Busy;
            }
            state.running = true;
        }
        Verdict::Pending
    }

    /// Compares until there is nothing left to.
    fn run(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                state.running = !state.queue.is_empty();
                state.queue.front().cloned()
            };
            let Some(next) = next else { return };
            let right = bcrypt::verify(&next.password, &next.hash).unwrap_or(false);
            {
                let mut state = self.lock();
                state.queue.pop_front();
                let kept = if right { &mut state.right } else { &mut state.wrong };
                kept.keep(next);
            }
            // Whoever is woken sees it: waking and being woken go through the system.
            self.compared.fetch_add(1, Ordering::Relaxed);
            (self.wake)();
        }
    }

    /// No code that could panic runs under the lock: what a poisoned one holds is sound.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, comparison: Comparison) {
        if self.order.len() == KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(comparison.clone());
        self.known.insert(comparison, ());
    }
}

impl Debug for Verifier {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

const HASH_BYTES: usize = 60;
const COST_MIN: u32 = 4;

/// About six seconds a comparison; each step doubles it.
const COST_MAX: u32 = 16;

/// bcrypt looks at the first 72 bytes; a longer password than this is none that anybody types or stores.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Comparisons that wait. At a tenth of a second each the last waits seconds.
const QUEUE_MAX: usize = 64;

/// Passwords remembered as right, and as many as wrong. Guesses push out guesses only.
const KEPT_MAX: usize = 256;

/// A hash of nothing that anybody knows, of the usual cost.
const NOBODY: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// `secret`, at the least cost.
    const SECRET: &str = "$2b$04$EcFqU1XgzJ7MSZLJdXXjvOwUJ0kZmsOLVlcWIsmAhRYKuUxxmTcWi";

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused() {
        assert!(SECRET.parse::<PasswordHash>().is_ok());
        for text in
            ["", "secret", &SECRET[..59], &SECRET.replace("$2b", "$1b"), &SECRET.replace("$04", "$31")]
        {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
        assert!(!format!("{:?}", SECRET.parse::<PasswordHash>()).contains("2b"));
    }

    #[test]
    fn a_password_is_compared_once_and_the_answer_kept() {
        let hash = bcrypt::hash_with_result("secret", 4).unwrap().to_string();
        let users = BTreeMap::from([("ann".to_owned(), hash.parse().unwrap())]);
        let credentials = Credentials::new(&users, &[]);
        let (woken, wake) = channel();
        let verifier = Arc::new(Verifier::new(Box::new(move || woken.send(()).unwrap())));
        for (shown, expected) in [
            ("ann:secret", Admission::Granted { shown: true }),
            ("ann:secret2", Admission::Denied),
            ("bob:secret", Admission::Denied),
        ] {
            assert_eq!(credentials.judge(&basic(shown), &verifier), Admission::Pending, "{shown}");
            wake.recv().unwrap();
            assert_eq!(credentials.judge(&basic(shown), &verifier), expected, "{shown}");
        }
        let granted = Admission::Granted { shown: true };
        assert_eq!(credentials.judge(b"Token ann:secret", &verifier), granted);
        for header in [&b""[..], b"Basic", b"Basic !", b"Digest x", b"Bearer secret", b"Basic c2VjcmV0"] {
            assert_eq!(credentials.judge(header, &verifier), Admission::Denied);
        }
        assert_eq!(credentials.challenges().collect::<Vec<_>>(), ["Basic realm=\"tidegate\""]);
    }

    #[test]
    fn tokens_are_taken_by_either_scheme() {
        let directory = tempfile::tempdir().unwrap();
        let files = ["one", "two"].map(|token| {
            let path = directory.path().join(token);
            std::fs::write(&path, token).unwrap();
            TokenFile::read(path).unwrap()
        });
        let credentials = Credentials::new(&BTreeMap::new(), &files);
        let verifier = Arc::new(Verifier::new(Box::new(|| {})));
        for header in ["Bearer two", "Token one", "bearer  two"] {
            let granted = Admission::Granted { shown: true };
            assert_eq!(credentials.judge(header.as_bytes(), &verifier), granted, "{header}");
        }
        for header in ["Bearer on", "Bearer ", "Bearer three", "Basic dHdvOng="] {
            assert_eq!(credentials.judge(header.as_bytes(), &verifier), Admission::Denied, "{header}");
        }
    }
}
