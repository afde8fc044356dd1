//! How sources fare: whose they are, and what of them fails since when.
//!
//! Told by whoever follows a source, who names no passwords; read by pages. What is said of a source in the log names
//! the same jobs. Keeps: no more entries than sources have parts.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, Mutex};

use crate::clock::{Clock, SystemClock};

use super::counts::KindCounts;
use super::lock;

/// Something of a source that fails now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// What fails: a URL without password, a file, a name, a path of an API server.
    pub of: String,
    /// Why it did so last.
    pub why: String,
    /// Since when, in nanoseconds since the Unix epoch: it has not worked once since then.
    pub since_ns: i64,
}

/// What fails now of all sources.
#[derive(Default, Debug)]
pub struct Troubles(Mutex<Vec<Arc<Standing>>>);

/// How one source fares.
#[derive(Default, Debug)]
pub(super) struct Standing(Mutex<State>);

#[derive(Default, Debug)]
struct State {
    /// The names of those who hear it.
    jobs: Vec<String>,
    /// What fails: why, and since when.
    failing: BTreeMap<String, (String, i64)>,
}

/// Where a source tells how it fares.
#[derive(Clone, Copy)]
pub(super) struct Account<'a> {
    pub(super) counts: &'a KindCounts,
    pub(super) standing: &'a Standing,
}

impl Troubles {
    /// Those of a job's sources, in their order.
    pub fn of(&self, job: &str) -> Vec<Trouble> {
        let mut found = Vec::new();
        for standing in &*lock(&self.0) {
            let state = lock(&standing.0);
            if state.jobs.iter().any(|known| known == job) {
                let trouble = |(of, (why, since_ns)): (&String, &(String, i64))| Trouble {
                    of: of.clone(),
                    why: why.clone(),
                    since_ns: *since_ns,
                };
                found.extend(state.failing.iter().map(trouble));
            }
        }
        found
    }

    /// There are these sources from now on.
    pub(super) fn set(&self, sources: Vec<Arc<Standing>>) {
        *lock(&self.0) = sources;
    }
}

impl Standing {
    /// These jobs hear it from now on.
    pub(super) fn set_jobs(&self, jobs: Vec<String>) {
        lock(&self.0).jobs = jobs;
    }
}

impl Account<'_> {
    /// Whose it is, for the log.
    pub(super) fn job(&self) -> impl Display + use<> {
        Names(lock(&self.standing.0).jobs.clone())
    }

    /// What became of an attempt at a part of the source. Whether that is news: it works again, or fails in a new way.
    pub(super) fn note<T>(&self, of: &str, outcome: &Result<T, String>) -> bool {
        let failing = &mut lock(&self.standing.0).failing;
        match (outcome, failing.get_mut(of)) {
            (Ok(_), None) => false,
            (Ok(_), Some(_)) => failing.remove(of).is_some(),
            (Err(why), Some((last, _))) => {
                let is_news = last != why;
                last.clone_from(why);
                is_news
            }
            (Err(why), None) => {
                failing.insert(of.to_owned(), (why.clone(), SystemClock::default().wall_ns())).is_none()
            }
        }
    }

    /// The source has these parts and no others.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.standing.0).failing.retain(|of, _| is_there(of));
    }
}

/// Some names, and how many more there are.
struct Names(Vec<String>);

impl Display for Names {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shown = self.0.len().min(NAMES_SHOWN_MAX);
        f.write_str(&self.0[..shown].join(", "))?;
        match self.0.len() - shown {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Jobs that a line of the log names.
const NAMES_SHOWN_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_lasts_from_the_first_failure_to_the_next_success() {
        let (counts, standing, troubles) = (KindCounts::default(), Arc::default(), Troubles::default());
        let account = Account { counts: &counts, standing: &standing };
        troubles.set(vec![Arc::clone(&standing)]);
        standing.set_jobs(vec!["a".into(), "b".into()]);
        let failed = |why: &str| Err::<(), _>(why.to_owned());
        assert!(account.note("x", &failed("one")) && !account.note("x", &failed("one")), "news once");
        let first = troubles.of("a");
        assert_eq!((first[0].of.as_str(), first[0].why.as_str()), ("x", "one"));
        assert!(first[0].since_ns > 0);
        assert!(account.note("x", &failed("two")));
        assert_eq!(troubles.of("b"), [Trouble { why: "two".into(), ..first[0].clone() }]);
        assert_eq!(troubles.of("c"), []);
        account.note("y", &failed("three"));
        let worked = Ok::<_, String>(());
        assert!(account.note("x", &worked) && !account.note("x", &worked), "news once");
        let names = || troubles.of("a").into_iter().map(|trouble| trouble.of).collect::<Vec<_>>();
        assert_eq!(names(), ["y"]);
        account.keep(|of| of != "y");
        assert!(names().is_empty());
    }

    #[test]
    fn a_line_names_some_of_many_jobs() {
        let names = |count: usize| Names((0..count).map(|n| format!("j{n}")).collect()).to_string();
        assert_eq!(names(1), "j0");
        assert_eq!(names(5), "j0, j1, j2, j3, j4");
        assert_eq!(names(7), "j0, j1, j2, j3, j4 and 2 more");
    }
}
