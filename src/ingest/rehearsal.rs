//! An intake that takes what a writer would, and keeps nothing: for requests that are all or nothing, read once before
//! their first row is taken.

use crate::model::{
    Exemplar, FieldText, Full, Intake, LabelsBuf, Metadata, Refusal, Rewrite, Series, Shape, ShapeId, Verdict,
};

use super::keys::KEY_BYTES_MAX;
use super::shapes::Shapes;
use super::stream::ContextId;
use super::table::{KEY_TOO_LONG, Table};
use super::writer::Ingest;

/// Checks the rows of one request: whatever it takes is refused later only for want of room. See
/// [`Writer::rehearsed`](super::Writer::rehearsed).
#[derive(Debug)]
pub struct Rehearsal<'a> {
    ingest: &'a Ingest,
    context: ContextId,
    rewrite: Option<&'a dyn Rewrite>,
    /// The series that the request would add.
    added: Table,
    shapes: Shapes,
    scratch: Vec<u8>,
}

impl<'a> Rehearsal<'a> {
    pub(super) fn new(
        ingest: &'a Ingest,
        context: ContextId,
        rewrite: Option<&'a dyn Rewrite>,
    ) -> Rehearsal<'a> {
        let (added, shapes) = (Table::new(0, ingest.hasher()), Shapes::new(ingest.hasher()));
        Rehearsal { ingest, context, rewrite, added, shapes, scratch: Vec::new() }
    }
}

const ANY: Series = Series { key: 0, shape: ShapeId::NONE };

impl Intake for Rehearsal<'_> {
    fn epoch(&self) -> u64 {
        0
    }

    fn predicted(&self) -> &[u8] {
        &[]
    }

    fn confirm(&mut self) -> Series {
        ANY
    }

    fn announce(&mut self, _key: &[u8]) {}

    fn wants_announcements(&self) -> bool {
        false
    }

    fn find(&mut self, key: &[u8]) -> Option<Series> {
        let hash = self.added.hash(self.context, key);
        let known = self.ingest.knows_key(self.context, key, hash)
            || self.added.find(self.context, key, hash).is_some();
        known.then_some(ANY)
    }

    fn define(&mut self, key: &[u8], labels: &mut LabelsBuf) -> Result<Series, Refusal> {
        labels.canonicalize().map_err(Refusal::Labels)?;
        if key.len() > KEY_BYTES_MAX {
            return Err(KEY_TOO_LONG);
        }
        if let Some(rewrite) = self.rewrite {
            match rewrite.rewrite(labels) {
                Verdict::Keep => {}
                Verdict::Drop => return Ok(ANY),
                Verdict::Refuse(why) => return Err(Refusal::Unfit(why)),
            }
            labels.canonicalize().map_err(Refusal::Labels)?;
        }
        if self.ingest.knows_series(labels, &mut self.scratch) {
            return Ok(ANY);
        }
        let budget = self.ingest.series_budget();
        let is_new = !self.added.has_series(labels, &mut self.scratch);
        if is_new && self.added.series_count() >= budget.left() {
            return Err(budget.refusal());
        }
        let hash = self.added.hash(self.context, key);
        self.added.define(self.context, key, hash, labels)?;
        Ok(ANY)
    }

    fn identity(&self, series: Series) -> Option<u32> {
        Some(series.key)
    }

    fn shape(&self, id: ShapeId) -> &Shape {
        self.shapes.shape(id)
    }

    fn define_shape(&mut self, _series: Series, fields: &[FieldText<'_>]) -> Result<ShapeId, Refusal> {
        self.shapes.define(ContextId::default(), &[], fields)
    }

    fn push(&mut self, _: Series, _: ShapeId, _: i64, _: &[u64], _: &[u8]) -> Result<(), Full> {
        Ok(())
    }

    fn exemplar(&mut self, _: Series, _: &Exemplar<'_>) -> Result<(), Full> {
        Ok(())
    }

    fn metadata(&mut self, _: &Metadata<'_>) -> Result<(), Full> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{IngestLimits, KeyHasher, SeriesBudget, Stream};
    use crate::model::METRIC_NAME;

    fn labels(pairs: &[(&str, &str)]) -> LabelsBuf {
        let mut labels = LabelsBuf::default();
        pairs.iter().for_each(|(name, value)| labels.push(name.as_bytes(), value.as_bytes()));
        labels
    }

    /// Gives the series to an intake under the key of its name, or another one.
    fn offer(intake: &mut impl Intake, key: &str, name: &str) -> Result<(), Refusal> {
        match intake.find(key.as_bytes()) {
            Some(_) => Ok(()),
            None => {
                let mut labels = labels(&[(std::str::from_utf8(METRIC_NAME).unwrap(), name)]);
                intake.define(key.as_bytes(), &mut labels).map(|_| ())
            }
        }
    }

    fn ingest(series_max: u64) -> Ingest {
        let series = SeriesBudget::new(series_max);
        Ingest::new(KeyHasher::new(1), IngestLimits { series, time_min_ns: i64::MIN, time_max_ns: i64::MAX })
    }

    #[test]
    fn a_request_that_would_pass_the_series_limit_is_refused_before_its_first_row() {
        let mut ingest = ingest(3);
        let mut stream = Stream::new(ContextId(0));
        offer(&mut ingest.writer(&mut stream), "a", "a").unwrap();
        let mut rehearsal = ingest.rehearsal(&stream, None);
        // Known ones and repeated new ones are not counted, whatever their key.
        for (key, name) in [("a", "a"), ("a ", "a"), ("b", "b"), ("b", "b"), ("b ", "b"), ("c", "c")] {
            assert_eq!(offer(&mut rehearsal, key, name), Ok(()), "{key:?}");
        }
        assert_eq!(offer(&mut rehearsal, "d", "d"), Err(Refusal::SeriesLimit { limit: 3 }));
        assert_eq!(ingest.table().series_count(), 1, "nothing is kept");
    }

    #[test]
    fn what_a_rehearsal_took_is_taken_though_others_were_faster() {
        let mut ingest = ingest(2);
        let (mut stream, mut other) = (Stream::new(ContextId(0)), Stream::new(ContextId(1)));
        let mut rehearsal = ingest.rehearsal(&stream, None);
        assert!(offer(&mut rehearsal, "a", "a").is_ok() && offer(&mut rehearsal, "b", "b").is_ok());
        offer(&mut ingest.writer(&mut other), "x", "x").unwrap();
        let mut writer = ingest.writer(&mut stream).rehearsed(true);
        assert!(offer(&mut writer, "a", "a").is_ok() && offer(&mut writer, "b", "b").is_ok());
        assert!(offer(&mut ingest.writer(&mut other), "y", "y").is_err());
    }
}
