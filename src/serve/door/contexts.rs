//! The contexts of keys: numbers for what makes the same bytes another series.
//!
//! A format by itself has the number that it gives its own. A door that labels (a tenant's label, rules) has contexts
//! of its own for each format and tenant; a reload that changes its rules makes new ones. The old ones age out: their
//! number is given again when no request uses them any more and every worker has begun three segments since, so that
//! neither of a worker's two tables holds a key of them, however late its count is seen. It then goes to a context of
//! the same format: what is known of a format's shapes by their context stays true.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ingest::ContextId;
use crate::model::{LabelsBuf, Rewrite, Verdict};
use crate::relabel::Rules;
use crate::telemetry::WorkerCounters;

/// What a door does with labels. Equal ones have one serial number for as long as the configuration keeps them.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Labeling {
    serial: u32,
    rules: Arc<Rules>,
    tenant_label: Option<Arc<str>>,
}

/// What the keys of a request are read in.
#[derive(Debug)]
pub(in crate::serve) struct Context {
    pub(in crate::serve) id: ContextId,
    key: Key,
    labeling: Labeling,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    format: ContextId,
    serial: u32,
    tenant: Option<Box<[u8]>>,
}

/// All contexts that have been made.
#[derive(Debug)]
pub(in crate::serve) struct Contexts {
    serials: AtomicU32,
    workers: Vec<Arc<WorkerCounters>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    known: HashMap<Key, Arc<Context>>,
    next: u32,
    retired: Vec<Retired>,
    /// Numbers that have aged out, by the format that they were of.
    free: HashMap<ContextId, Vec<ContextId>>,
}

/// A context that no new request gets.
#[derive(Debug)]
struct Retired {
    context: Arc<Context>,
    /// The generations of the workers' tables when the last request had gone.
    unused_since: Option<Vec<u64>>,
}

/// The context of a connection's last request: the next one is mostly the same.
#[derive(Default, Debug)]
pub(in crate::serve) struct Passage(Option<Arc<Context>>);

/// Every number is given.
#[derive(Debug)]
pub(in crate::serve) struct ContextsFull;

/// Segments that every worker begins before a number is given again.
const ROTATIONS: u64 = 3;

/// Numbers below are the formats' own.
const FORMATS_MAX: u32 = 64;

/// Numbers from here on are others'.
const DOORS_MAX: u32 = u16::MAX as u32;

/// A longer tenant is cut out of the question: it would be a label value that no reader takes.
pub(in crate::serve) const TENANT_BYTES_MAX: usize = 1024;

impl Contexts {
    pub(in crate::serve) fn new(workers: &[Arc<WorkerCounters>]) -> Contexts {
        let state =
            State { known: HashMap::new(), next: FORMATS_MAX, retired: Vec::new(), free: HashMap::new() };
        Contexts { serials: AtomicU32::new(0), workers: workers.to_vec(), state: Mutex::new(state) }
    }

    /// What a door does, under a serial number that no other has.
    pub(in crate::serve) fn labeling(&self, rules: &Rules, tenant_label: Option<&str>) -> Labeling {
        Labeling {
            serial: self.serials.fetch_add(1, Ordering::Relaxed),
            rules: Arc::new(rules.clone()),
            tenant_label: tenant_label.map(Arc::from),
        }
    }

    /// The context of a request: of this format, through a door that does this, for this tenant.
    ///
    /// # Errors
    /// There are as many contexts as can be told apart, and none has aged out.
    pub(in crate::serve) fn enter(
        &self,
        passage: &mut Passage,
        format: ContextId,
        labeling: &Labeling,
        tenant: Option<&[u8]>,
    ) -> Result<Arc<Context>, ContextsFull> {
        debug_assert!(format.0 < FORMATS_MAX, "a format's own number is below those that are given here");
        let tenant = tenant.filter(|_| labeling.tenant_label.is_some());
        if let Some(last) = &passage.0
            && last.key.format == format
            && last.key.serial == labeling.serial
            && last.key.tenant.as_deref() == tenant
        {
            return Ok(Arc::clone(last));
        }
        let key = Key { format, serial: labeling.serial, tenant: tenant.map(Box::from) };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let context = match state.known.get(&key) {
            Some(known) => Arc::clone(known),
            None => {
                let id = state.number(format, &self.workers).ok_or(ContextsFull)?;
                let made = Arc::new(Context { id, key: key.clone(), labeling: labeling.clone() });
                state.known.insert(key, Arc::clone(&made));
                made
            }
        };
        passage.0 = Some(Arc::clone(&context));
        Ok(context)
    }

    /// The doors do this and nothing else from now on.
    pub(in crate::serve) fn keep<'a>(&self, labelings: impl Iterator<Item = &'a Labeling>) {
        let serials: Vec<u32> = labelings.map(|labeling| labeling.serial).collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = state.known.extract_if(|key, _| !serials.contains(&key.serial));
        let gone: Vec<_> = gone.map(|(_, context)| Retired { context, unused_since: None }).collect();
        state.retired.extend(gone);
    }
}

impl State {
    fn number(&mut self, format: ContextId, workers: &[Arc<WorkerCounters>]) -> Option<ContextId> {
        if self.next < DOORS_MAX {
            self.next += 1;
            return Some(ContextId(self.next - 1));
        }
        if let Some(free) = self.free.get_mut(&format).and_then(Vec::pop) {
            return Some(free);
        }
        self.free_aged_out(workers);
        self.free.get_mut(&format)?.pop()
    }

    fn free_aged_out(&mut self, workers: &[Arc<WorkerCounters>]) {
        let now: Vec<u64> = workers.iter().map(|worker| worker.generation.value()).collect();
        let gone = |since: &Vec<u64>| since.iter().zip(&now).all(|(since, now)| *now >= since + ROTATIONS);
        for aged in self.retired.extract_if(.., |retired| retired.unused_since.as_ref().is_some_and(gone)) {
            self.free.entry(aged.context.key.format).or_default().push(aged.context.id);
        }
        for retired in &mut self.retired {
            if retired.unused_since.is_none() && Arc::strong_count(&retired.context) == 1 {
                retired.unused_since = Some(now.clone());
            }
        }
    }
}

impl Context {
    /// What is done with labels in it.
    pub(in crate::serve) fn labeling(&self) -> &Labeling {
        &self.labeling
    }
}

impl Rewrite for Context {
    /// The tenant's label comes first, so that rules can see it. A row that has a label of that name loses it: the
    /// request says whose it is.
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        if let (Some(label), Some(tenant)) = (&self.labeling.tenant_label, &self.key.tenant) {
            labels.set(label.as_bytes(), tenant);
        }
        if self.labeling.rules.is_empty() { Verdict::Keep } else { self.labeling.rules.rewrite(labels) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::{NameValidation, Rule, RuleText};

    fn contexts() -> (Contexts, Vec<Arc<WorkerCounters>>) {
        let workers = vec![Arc::new(WorkerCounters::default()), Arc::new(WorkerCounters::default())];
        (Contexts::new(&workers), workers)
    }

    #[test]
    fn equal_ways_in_have_one_context() {
        let (contexts, _) = contexts();
        let (a, b) =
            (contexts.labeling(&Rules::default(), Some("team")), contexts.labeling(&Rules::default(), None));
        let enter = |format, labeling: &Labeling, tenant: Option<&[u8]>| {
            contexts.enter(&mut Passage::default(), ContextId(format), labeling, tenant).unwrap().id
        };
        let first = enter(0, &a, Some(b"x"));
        assert!(first.0 >= FORMATS_MAX);
        assert_eq!(enter(0, &a, Some(b"x")), first);
        let others =
            [enter(1, &a, Some(b"x")), enter(0, &a, Some(b"y")), enter(0, &a, None), enter(0, &b, None)];
        assert!(!others.contains(&first));
        assert_eq!(enter(0, &b, Some(b"x")), others[3], "without a label for it nobody's tenant matters");
    }

    #[test]
    fn the_tenant_is_set_before_the_rules_see_the_labels() {
        let rule = RuleText {
            source_labels: Some(vec!["team".into()]),
            regex: Some("bad".into()),
            action: Some("drop".into()),
            ..RuleText::default()
        };
        let rules = Rules::new(vec![Rule::new(&rule, NameValidation::Utf8).unwrap()]);
        let (contexts, _) = contexts();
        let labeling = contexts.labeling(&rules, Some("team"));
        let rewritten = |tenant: Option<&[u8]>| {
            let context = contexts.enter(&mut Passage::default(), ContextId(0), &labeling, tenant).unwrap();
            let mut labels = LabelsBuf::default();
            labels.push(b"team", b"own");
            let verdict = context.rewrite(&mut labels);
            (verdict, labels.value_of(b"team").map(<[u8]>::to_vec))
        };
        assert_eq!(rewritten(Some(b"good")), (Verdict::Keep, Some(b"good".to_vec())));
        assert_eq!(rewritten(Some(b"bad")).0, Verdict::Drop);
        assert_eq!(rewritten(None), (Verdict::Keep, Some(b"own".to_vec())));
    }

    #[test]
    fn numbers_are_given_again_when_no_table_can_hold_their_keys() {
        let (contexts, workers) = contexts();
        let labeling = contexts.labeling(&Rules::default(), Some("team"));
        let enter = |format: u32, labeling: &Labeling, n: u32| {
            let tenant = n.to_string();
            contexts.enter(&mut Passage::default(), ContextId(format), labeling, Some(tenant.as_bytes()))
        };
        let in_use = enter(0, &labeling, 0).unwrap();
        let most = DOORS_MAX - FORMATS_MAX;
        for n in 1..most {
            enter(0, &labeling, n).unwrap();
        }
        assert!(enter(0, &labeling, most).is_err());
        assert!(enter(0, &labeling, 7).is_ok(), "known ones go on");

        let next = contexts.labeling(&Rules::default(), Some("group"));
        contexts.keep([&next].into_iter());
        assert!(enter(0, &next, 1).is_err(), "tables hold keys of the old ones");
        for rotations in 1..=ROTATIONS {
            workers[0].generation.set(rotations);
            workers[1].generation.set(ROTATIONS - 1);
            assert!(enter(0, &next, 1).is_err());
        }
        workers[1].generation.set(ROTATIONS);
        assert!(enter(1, &next, 1).is_err(), "another format may not have it");
        assert_ne!(enter(0, &next, 1).unwrap().id, in_use.id);
        for n in 2..most {
            enter(0, &next, n).unwrap();
        }
        assert!(enter(0, &next, most).is_err(), "one is in use");
    }
}
