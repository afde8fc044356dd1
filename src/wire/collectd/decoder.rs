//! The decoder of write_http's bodies.

use super::element::Element;
use super::fault::Fault;
use super::fields::Fields;
use crate::bytes::json::Json;
use crate::model::{Full, Intake, LabelsBuf, WriteResult};
use crate::wire::{Decode, Elements, Fed, Malformed};

/// A decoder of one body at a time: an array of elements, or one alone.
///
/// Bodies are checked whole before they are fed; faults are by element from 1.
///
/// ```
/// use tidegate::wire::Decode;
/// use tidegate::wire::collectd::{Counters, Decoder};
/// let mut decoder = Decoder::new(Counters::AsSent, 0);
/// assert!(decoder.check(br#"[{"values":[1],"dstypes":["gauge"],"dsnames":["value"],"plugin":"load"}]"#).is_ok());
/// assert!(decoder.check(b"PUTVAL h/load/load interval=10 N:1").is_err());
/// ```
#[derive(Debug)]
pub struct Decoder {
    counters: Counters,
    /// The time of what has none, in nanoseconds since the Unix epoch.
    default_time_ns: i64,
    elements: Elements,
    key: Vec<u8>,
    labels: LabelsBuf,
    row: Fields,
    scratch: Vec<u8>,
}

/// What the values of derives, counters and absolutes are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Counters {
    /// Integers where they are printed so, as collectd sends them unless it is told otherwise.
    #[default]
    AsSent,
    /// Rates, as under `StoreRates`: doubles, also where one happens to be whole.
    Rates,
}

impl Decoder {
    /// A decoder. What has no time of its own gets `default_time_ns`, nanoseconds since the Unix epoch.
    pub fn new(counters: Counters, default_time_ns: i64) -> Decoder {
        Decoder {
            counters,
            default_time_ns,
            elements: Elements::default(),
            key: Vec::new(),
            labels: LabelsBuf::default(),
            row: Fields::default(),
            scratch: Vec::new(),
        }
    }

    /// Takes an element: how many values its row has.
    fn take<I: Intake>(&mut self, json: &mut Json<'_>, intake: &mut I) -> Result<Result<u64, Full>, Fault> {
        let element = Element::read(json)?;
        self.key.clear();
        self.row.clear();
        let time_ns = match &element {
            Element::List(list) => {
                list.write_key(&mut self.key)?;
                list.read_fields(self.counters, &mut self.row)?;
                list.time_ns()?
            }
            Element::Alert(alert) => {
                alert.write_key(&mut self.key)?;
                alert.read_fields(&mut self.row)?;
                alert.time_ns(&mut self.scratch)?
            }
        };
        let series = if intake.predicted() == self.key {
            intake.confirm()
        } else if let Some(series) = intake.find(&self.key) {
            series
        } else {
            self.labels.clear();
            match &element {
                Element::List(list) => list.read_labels(&mut self.labels, &mut self.scratch)?,
                Element::Alert(alert) => alert.read_labels(&mut self.labels, &mut self.scratch)?,
            }
            intake.define(&self.key, &mut self.labels).map_err(Fault::Refused)?
        };
        self.row.push_to(series, time_ns.unwrap_or(self.default_time_ns), intake)
    }
}

impl Decode for Decoder {
    /// Checks that a body is JSON, and an object or an array.
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut json = Json::new(body, 0);
        match json.peek() {
            None => return Err(Malformed { error: "the body is empty".into() }),
            Some(b'{' | b'[') => {}
            Some(_) => {
                let error = "not JSON: write_http needs Format \"JSON\"".into();
                return Err(Malformed { error });
            }
        }
        json.skip().and_then(|_| json.end()).map_err(|fault| Malformed {
            error: format!("not JSON: {} at byte {}", fault.what, fault.at + 1),
        })
    }

    fn rewind(&mut self) {
        self.elements = Elements::default();
    }

    /// Takes the rows of a body that was [checked](Decode::check).
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        debug_assert!(last, "a body comes whole");
        let mut elements = self.elements;
        let fed = elements.feed(input, result, Fault::reason, |json| self.take(json, intake));
        self.elements = elements;
        fed
    }
}
