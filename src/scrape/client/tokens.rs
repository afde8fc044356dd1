//! OAuth 2 tokens for scrapes, fetched beside the workers: they come from other servers, and a worker must not wait.
//!
//! A thread fetches a token that is wanted, and ends. A token is used until shortly before its end; a failure is told
//! to all who ask within [`RETRY_NS`] of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine;
use crate::scrape::OAuth2;
use crate::scrape::discovery::client::{KeptToken, Token, shown_token_url};

use super::resolver::Resolver;

/// Fetches tokens for all workers.
pub(in crate::scrape) struct Tokens {
    sources: Mutex<Vec<Arc<Source>>>,
    /// Whoever waits for a token waits as for an address.
    resolver: Arc<Resolver>,
}

/// Where tokens come from, and the last one.
struct Source {
    options: OAuth2,
    token: Token,
    fetched: Mutex<Fetched>,
}

#[derive(Default)]
struct Fetched {
    last: Option<Result<KeptToken, Arc<str>>>,
    /// When it was fetched, by the resolver's clock.
    at_ns: u64,
    /// It is being fetched.
    wanted: bool,
}

/// What there is of a token.
pub(super) enum TokenLookup {
    Known(String),
    /// It is being fetched: ask again when woken.
    Pending,
    Failed(Arc<str>),
}

impl Tokens {
    pub(in crate::scrape) fn new(resolver: Arc<Resolver>) -> Tokens {
        Tokens { sources: Mutex::default(), resolver }
    }

    /// The token of these options.
    pub(super) fn find(&self, options: &OAuth2) -> TokenLookup {
        let source = self.source(options);
        let mut fetched = lock(&source.fetched);
        match &fetched.last {
            Some(Ok(kept)) if kept.until.is_none_or(|until| Instant::now() < until) => {
                return TokenLookup::Known(kept.token.clone());
            }
            Some(Err(why)) if self.resolver.now_ns() < fetched.at_ns + RETRY_NS => {
                return TokenLookup::Failed(Arc::clone(why));
            }
            _ => {}
        }
        if !std::mem::replace(&mut fetched.wanted, true) {
            let (of, resolver) = (Arc::clone(&source), Arc::clone(&self.resolver));
            if engine::spawn("token", Box::new(move || of.fetch(&resolver))).is_err() {
                fetched.wanted = false;
                return TokenLookup::Failed("no thread to fetch a token".into());
            }
        }
        TokenLookup::Pending
    }

    fn source(&self, options: &OAuth2) -> Arc<Source> {
        let mut sources = lock(&self.sources);
        if let Some(known) = sources.iter().find(|source| source.options == *options) {
            return Arc::clone(known);
        }
        if sources.len() == SOURCES_MAX {
            // Reloads have changed what most of them were made of.
            sources.clear();
        }
        let source = Arc::new(Source {
            options: options.clone(),
            token: Token::new(options.clone()),
            fetched: Mutex::default(),
        });
        sources.push(Arc::clone(&source));
        source
    }
}

impl Source {
    fn fetch(&self, resolver: &Resolver) {
        let answer = self.ask();
        let mut fetched = lock(&self.fetched);
        fetched.last = Some(answer.map_err(Into::into));
        fetched.at_ns = resolver.now_ns();
        fetched.wanted = false;
        drop(fetched);
        resolver.answered();
    }

    fn ask(&self) -> Result<KeptToken, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("oauth2: {error}"))?;
        let asked = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.token.read()).await });
        // A look-up of its server's name cannot be broken off: nobody waits for its end.
        runtime.shutdown_background();
        match asked {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => {
                Err(format!("oauth2: {}: it does not answer", shown_token_url(&self.options.token_url)))
            }
        }
    }
}

/// No code that could panic runs under these locks: what a poisoned one holds is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a token's server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a failure it is left alone for so long.
const RETRY_NS: u64 = 1_000_000_000;

/// Different `oauth2` of all jobs that are remembered, and threads at a time.
const SOURCES_MAX: usize = 64;
