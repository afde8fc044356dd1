//! The keys of the next series, found before their rows are taken.
//!
//! Where predictions fail, keys are announced some series ahead, so that the memory of one is fetched while the others
//! are found. Keys must stay where they are until they are asked for: they lie in the body or side by side here.

use crate::bytes::ProtobufFields;
use crate::model::Intake;

use super::labels::{KeyFault, KeyPlace, key_v1, key_v2};
use super::message::{Message, Outer, Part, bytes, fields};
use super::rows::keep;
use super::symbols::Symbols;

/// Keys of some series side by side in the body.
#[derive(Default, Debug)]
pub(super) struct Ahead {
    found: Vec<FoundKey>,
    /// The one that was asked for last.
    present: usize,
    /// Keys that do not lie in the body.
    built: Vec<u8>,
    references: Vec<u64>,
}

#[derive(Clone, Debug)]
struct FoundKey {
    /// Where the series' message starts in the body.
    at: usize,
    key: Result<KeyPlace, KeyFault>,
}

impl Ahead {
    pub(super) fn clear(&mut self) {
        self.found.clear();
        self.present = 0;
    }

    /// The key of the series at `at`, which is `parts`. It may be asked for again.
    #[inline]
    pub(super) fn key<'a, I: Intake>(
        &'a mut self,
        message: Message,
        body: &'a [u8],
        (at, parts): (usize, &'a [u8]),
        symbols: &Symbols,
        intake: &mut I,
    ) -> Result<&'a [u8], KeyFault> {
        let is = |found: Option<&FoundKey>| found.is_some_and(|found| found.at == at);
        if !is(self.found.get(self.present)) {
            if is(self.found.get(self.present + 1)) {
                self.present += 1;
            } else {
                self.look(message, body, (at, parts), symbols, intake);
            }
        }
        match &self.found[self.present].key {
            Ok(KeyPlace::Received(range)) => Ok(&parts[range.clone()]),
            Ok(KeyPlace::Built(range)) => Ok(&self.built[range.clone()]),
            Err(fault) => Err(*fault),
        }
    }

    /// Finds the key of the series at `at`, and those of the next ones if they are to be announced.
    #[inline]
    fn look<I: Intake>(
        &mut self,
        message: Message,
        body: &[u8],
        (at, parts): (usize, &[u8]),
        symbols: &Symbols,
        intake: &mut I,
    ) {
        self.clear();
        self.built.clear();
        self.find(message, body, (at, parts), symbols);
        if !intake.wants_announcements() {
            return;
        }
        let mut rest = ProtobufFields::new(&body[at + parts.len()..]);
        while self.found.len() < AHEAD_SERIES
            && let Some(Ok((number, value))) = rest.next()
        {
            if message.outer(number) == Outer::Series {
                let parts = bytes(value);
                let at = body.len() - rest.rest().len() - parts.len();
                self.find(message, body, (at, parts), symbols);
            }
        }
        for found in &self.found {
            let key = match &found.key {
                Ok(KeyPlace::Received(range)) => &body[found.at..][range.clone()],
                Ok(KeyPlace::Built(range)) => &self.built[range.clone()],
                Err(_) => &[],
            };
            if !key.is_empty() {
                intake.announce(key);
            }
        }
    }

    fn find(&mut self, message: Message, body: &[u8], (at, parts): (usize, &[u8]), symbols: &Symbols) {
        let key = match message {
            Message::V1 => key_v1(parts, &mut self.built),
            Message::V2 => {
                self.references.clear();
                for (number, value) in fields(parts) {
                    if message.part(number) == Part::Labels {
                        let references = &mut self.references;
                        // A varint that is cut is found where the series is checked.
                        let _ = value.each_varint(|reference| keep(references, reference));
                    }
                }
                let references = self.references.iter().copied();
                key_v2(body, symbols, references, &mut self.built).map(KeyPlace::Built)
            }
        };
        self.found.push(FoundKey { at, key });
    }
}

/// Series whose keys are announced together: enough for a fetch from memory to pass while they are found.
const AHEAD_SERIES: usize = 16;
