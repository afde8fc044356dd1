//! The [`Intake`] of a worker: what decoders push into.

use crate::model::{
    Exemplar, FieldText, Full, Intake, LabelsBuf, Metadata, Refusal, Rewrite, Series, SeriesId, Shape,
    ShapeId, ValueRow, Verdict,
};

use super::{DEFINE_BYTES_MAX, Ingest};
use crate::ingest::keys::{DROPPED, Key};
use crate::ingest::stream::{NO_KEY, Stream};

/// Takes the rows of one stream; see [`Intake`].
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) ingest: &'a mut Ingest,
    pub(super) stream: &'a mut Stream,
    rewrite: Option<&'a dyn Rewrite>,
    rehearsed: bool,
    /// A series was asked for, and no row of it has come yet.
    asked: bool,
}

impl<'a> Writer<'a> {
    /// The writer of a stream that is of the ingest's generation.
    pub(super) fn new(ingest: &'a mut Ingest, stream: &'a mut Stream) -> Writer<'a> {
        Writer { ingest, stream, rewrite: None, rehearsed: false, asked: false }
    }

    /// The same with what the stream's context does with the labels of new series. It is a part of the context's
    /// meaning: a context never has another one.
    pub fn rewriting(self, rewrite: Option<&'a dyn Rewrite>) -> Writer<'a> {
        Writer { rewrite, ..self }
    }

    /// The same for rows that a [`Rehearsal`](crate::ingest::Rehearsal) has taken, all of them or none: the limit on
    /// series was kept there, and what other streams have added since refuses none of them here.
    pub fn rehearsed(self, rehearsed: bool) -> Writer<'a> {
        Writer { rehearsed, ..self }
    }
}

impl Writer<'_> {
    fn known(&self, key: u32) -> Series {
        let shape = self.ingest.table.key(key).shape;
        let shape = if self.ingest.shapes.knows(shape) { shape } else { ShapeId::NONE };
        Series { key, shape }
    }

    /// At the limit refuses labels that would be a new series. Another key of a known one goes on.
    fn keep_series_limit(&mut self, labels: &mut LabelsBuf) -> Result<(), Refusal> {
        if self.rehearsed || self.ingest.limits.series.left() > 0 {
            return Ok(());
        }
        labels.canonicalize().map_err(Refusal::Labels)?;
        let mut scratch = std::mem::take(&mut self.ingest.scratch);
        let known = self.ingest.knows_series(labels, &mut scratch);
        self.ingest.scratch = scratch;
        if known { Ok(()) } else { Err(self.ingest.limits.series.refusal()) }
    }
}

impl Intake for Writer<'_> {
    #[inline]
    fn epoch(&self) -> u64 {
        self.ingest.epoch
    }

    #[inline(always)]
    fn predicted(&self) -> &[u8] {
        match self.stream.expected {
            NO_KEY => &[],
            // Looking at a wrong one would cost what a look-up costs.
            _ if self.stream.unpredictable() => &[],
            key => self.ingest.table.key(key).bytes,
        }
    }

    #[inline]
    fn confirm(&mut self) -> Series {
        self.asked = true;
        self.known(self.stream.expected)
    }

    fn announce(&mut self, key: &[u8]) {
        self.ingest.announced.add(self.stream.context, key, &self.ingest.table);
    }

    #[inline]
    fn wants_announcements(&self) -> bool {
        self.stream.unpredictable()
    }

    #[inline]
    fn find(&mut self, key: &[u8]) -> Option<Series> {
        self.asked = true;
        let hash = match self.ingest.announced.take(key, &self.ingest.table) {
            Some(hash) => hash,
            None => self.ingest.table.hash(self.stream.context, key),
        };
        let found = self.ingest.table.find(self.stream.context, key, hash);
        let context = self.stream.context;
        found.or_else(|| self.ingest.promote(context, key, hash)).map(|key| self.known(key))
    }

    #[cold]
    fn define(&mut self, key: &[u8], labels: &mut LabelsBuf) -> Result<Series, Refusal> {
        self.asked = true;
        // Hashed anew: what `find` used may have come from an announcement of other bytes at the same address.
        let hash = self.ingest.table.hash(self.stream.context, key);
        if let Some(key) = self.ingest.table.find(self.stream.context, key, hash) {
            return Ok(self.known(key));
        }
        if let Some(rewrite) = self.rewrite {
            labels.canonicalize().map_err(Refusal::Labels)?;
            match rewrite.rewrite(labels) {
                Verdict::Keep => {}
                Verdict::Drop => {
                    let dropped = self.ingest.table.define_dropped(self.stream.context, key, hash)?;
                    return Ok(self.known(dropped));
                }
                Verdict::Refuse(why) => return Err(Refusal::Unfit(why)),
            }
        }
        self.keep_series_limit(labels)?;
        let defined = self.ingest.define(self.stream.context, key, hash, labels)?;
        Ok(self.known(defined))
    }

    #[inline]
    fn identity(&self, series: Series) -> Option<u32> {
        let series = self.ingest.table.key(series.key).series;
        (series != DROPPED).then_some(series.0)
    }

    #[inline]
    fn shape(&self, id: ShapeId) -> &Shape {
        self.ingest.shapes.shape(id)
    }

    fn define_shape(&mut self, series: Series, fields: &[FieldText<'_>]) -> Result<ShapeId, Refusal> {
        let series: SeriesId = self.ingest.table.key(series.key).series;
        let metric = self.ingest.table.metric_name(series);
        // As in `define_shape_in`, which would need the metric's name copied out of the table.
        self.ingest.define_bytes += fields.iter().map(|f| f.name.len() as u64).sum::<u64>();
        self.ingest.shapes.define(self.stream.dialect, metric, fields)
    }

    fn adopt_shape(&mut self, series: Series, like: ShapeId) -> Option<ShapeId> {
        let ingest = &*self.ingest;
        let metric = ingest.table.metric_name(ingest.table.key(series.key).series);
        (ingest.shapes.knows(like) && ingest.shapes.suits(like, self.stream.dialect, metric)).then_some(like)
    }

    #[inline]
    fn push(
        &mut self,
        series: Series,
        shape: ShapeId,
        time_ns: i64,
        values: &[u64],
        heap: &[u8],
    ) -> Result<(), Full> {
        let ingest = &mut *self.ingest;
        if ingest.define_bytes > DEFINE_BYTES_MAX && !ingest.batch.is_empty() {
            return Err(Full);
        }
        let key = ingest.table.key(series.key);
        let next = key.next;
        let dropped = key.series == DROPPED;
        if !dropped {
            ingest.batch.push(key.series, shape, ingest.shapes.shape(shape), time_ns, values, heap)?;
        }
        if key.shape != shape {
            ingest.table.set_shape(series.key, shape);
        }
        if dropped {
            ingest.rows_dropped += 1;
        } else {
            ingest.shapes.mark_used(shape, ingest.batch_number);
            ingest.judge_times(time_ns, 1);
        }
        // A further row of what was asked for once, as of a line with many samples, says nothing of what follows.
        if std::mem::replace(&mut self.asked, false) || self.stream.previous != series.key {
            self.stream.judge(series.key);
            if self.stream.expected != series.key && self.stream.previous != NO_KEY {
                ingest.table.set_next(self.stream.previous, series.key);
            }
            self.stream.previous = series.key;
            self.stream.expected = next;
            if next != NO_KEY && !self.stream.unpredictable() {
                ingest.table.prefetch_key_after(next);
            }
        }
        if ingest.promote_rows_left > 0 {
            ingest.promote_rows_left -= 1;
            if ingest.promote_rows_left == 0 {
                ingest.forget_previous();
            }
        }
        Ok(())
    }

    /// By the series' numbers alone: of what is known of the keys, which lies anywhere in memory, nothing is touched.
    fn push_values(&mut self, shape: ShapeId, time_ns: i64, rows: &[ValueRow]) -> usize {
        let ingest = &mut *self.ingest;
        if ingest.check_definitions().is_err() {
            return 0;
        }
        debug_assert!(rows.iter().all(|row| ingest.table.key(row.key).series.0 == row.identity));
        let (series, words) =
            (rows.iter().map(|row| SeriesId(row.identity)), rows.iter().map(|row| row.value_bits));
        let times_ns = std::iter::repeat_n(time_ns, rows.len());
        let taken = ingest.batch.extend_narrow(shape, rows.len(), series, times_ns, words);
        if taken > 0 {
            ingest.shapes.mark_used(shape, ingest.batch_number);
            ingest.judge_times(time_ns, taken as u64);
            ingest.age_previous(taken as u64);
        }
        taken
    }

    /// What [`confirm`](Intake::confirm) and [`push`](Intake::push) do, with the key looked at once.
    #[inline]
    fn push_predicted(&mut self, shape: ShapeId, time_ns: i64, value_bits: u64) -> Option<Result<(), Full>> {
        let expected = self.stream.expected;
        let ingest = &mut *self.ingest;
        if expected == NO_KEY || ingest.define_bytes > DEFINE_BYTES_MAX {
            return None;
        }
        let Key { series, shape: last, next, .. } = ingest.table.key(expected);
        if last != shape || last == ShapeId::NONE || series == DROPPED {
            return None;
        }
        debug_assert!(ingest.shapes.shape(shape).is_narrow());
        if let Err(full) = ingest.batch.push_narrow(series, shape, time_ns, value_bits) {
            return Some(Err(full));
        }
        ingest.shapes.mark_used(shape, ingest.batch_number);
        ingest.judge_times(time_ns, 1);
        ingest.age_previous(1);
        self.asked = false;
        self.stream.judge(expected);
        self.stream.previous = expected;
        self.stream.expected = next;
        if next != NO_KEY && !self.stream.unpredictable() {
            ingest.table.prefetch_key_after(next);
        }
        Some(Ok(()))
    }

    /// What is known of the key is looked at for the first row.
    fn push_column(&mut self, series: Series, shape: ShapeId, times_ns: &[i64], words: &[u64]) -> usize {
        let (Some((&time_ns, times_ns)), Some((&word, words))) =
            (times_ns.split_first(), words.split_first())
        else {
            return 0;
        };
        if self.push(series, shape, time_ns, &[word], &[]).is_err() {
            return 0;
        }
        let ingest = &mut *self.ingest;
        let id = ingest.table.key(series.key).series;
        let taken = if id == DROPPED {
            ingest.rows_dropped += times_ns.len() as u64;
            times_ns.len()
        } else {
            let series = std::iter::repeat_n(id, times_ns.len());
            let (times, words) = (times_ns.iter().copied(), words.iter().copied());
            let taken = ingest.batch.extend_narrow(shape, times_ns.len(), series, times, words);
            times_ns[..taken].iter().for_each(|&time_ns| ingest.judge_times(time_ns, 1));
            taken
        };
        ingest.age_previous(taken as u64);
        1 + taken
    }

    fn exemplar(&mut self, series: Series, exemplar: &Exemplar<'_>) -> Result<(), Full> {
        let series = self.ingest.table.key(series.key).series;
        if series == DROPPED {
            return Ok(());
        }
        self.ingest.take_exemplar(series, exemplar)?;
        self.stream.side_records += 1;
        Ok(())
    }

    fn metadata(&mut self, metadata: &Metadata<'_>) -> Result<(), Full> {
        self.ingest.take_metadata(metadata)?;
        self.stream.side_records += 1;
        Ok(())
    }
}
