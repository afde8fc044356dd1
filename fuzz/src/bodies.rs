//! Bodies through decoders of rows, whole, in pieces and with little room.

use tidegate::model::{Intake, WriteResult};
use tidegate::wire::testing::{ExemplarSeen, MetadataSeen, Row, Rows};
use tidegate::wire::{Decode, Fed, FedState};

use super::way::Way;

/// What a decoder made of a body.
#[derive(PartialEq, Debug)]
pub(crate) struct Taken {
    rows: Vec<Row>,
    exemplars: Vec<ExemplarSeen>,
    metadata: Vec<MetadataSeen>,
    pub(crate) result: WriteResult,
}

/// Feeds a body, the pieces ending at `ends`; `feed` is asked as [`Decode::feed`] is.
pub(crate) fn take(
    body: &[u8],
    ends: impl Iterator<Item = usize>,
    room: Option<usize>,
    mut feed: impl FnMut(&[u8], bool, &mut Rows, &mut WriteResult) -> Fed,
) -> Taken {
    let mut rows = Rows::default();
    rows.room = room;
    let mut result = WriteResult::default();
    let mut at = 0;
    for end in ends {
        let last = end == body.len();
        let mut full_at = None;
        loop {
            let fed = feed(&body[at..end], last, &mut rows, &mut result);
            assert!(fed.consumed <= end - at, "more was consumed than there was");
            at += fed.consumed;
            match fed.state {
                FedState::Full => {
                    let seen = (at, taken(&rows));
                    assert_ne!(
                        full_at.replace(seen),
                        Some(seen),
                        "full again, with room, and nothing was taken"
                    );
                    rows.room = room;
                }
                FedState::NeedMore => {
                    assert!(!last, "nothing more comes");
                    break;
                }
                FedState::Done => {
                    assert!(last, "done before the end");
                    break;
                }
            }
        }
    }
    assert_eq!(at, body.len(), "bytes are left over");
    let Rows { rows, exemplars, metadata, .. } = rows;
    let taken = Taken { rows, exemplars, metadata, result };
    taken.adds_up();
    taken
}

fn taken(rows: &Rows) -> usize {
    rows.rows.len() + rows.exemplars.len() + rows.metadata.len()
}

impl Taken {
    fn adds_up(&self) {
        let result = &self.result;
        // Where exemplars and metadata are lines of their own, they count as such.
        let (rows, beside) = (self.rows.len(), self.exemplars.len() + self.metadata.len());
        assert!([rows, rows + beside].contains(&(result.accepted as usize)), "{} of {rows}", result.accepted);
        assert_eq!(result.samples, self.rows.iter().map(|row| row.fields.len() as u64).sum::<u64>());
        assert_eq!(result.rejected, result.reasons.iter().map(|(_, rows)| rows).sum::<u64>());
        // One may be of several rows: a line of JSON has many values.
        assert!(result.errors.len() as u64 <= result.rejected.min(10));
        assert_eq!(result.errors.is_empty(), result.rejected == 0);
    }

    /// Of a format whose answers say how many exemplars and how much metadata were taken.
    pub(crate) fn side_records_add_up(&self) {
        assert_eq!(self.result.exemplars, self.exemplars.len() as u64);
        assert_eq!(self.result.metadata, self.metadata.len() as u64);
    }

    /// Rows taken and rejected of a format in which each is a line.
    pub(crate) fn is_within_lines(&self, body: &[u8]) {
        let lines = body.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
        assert!(self.result.accepted + self.result.rejected <= lines, "more rows than lines");
    }
}

/// A format that is taken as it comes: the same wherever it is cut and wherever there was no room.
pub(crate) fn in_pieces<D: Decode>(new: impl Fn() -> D, body: &[u8], way: Way) -> Taken {
    let whole = take(body, [body.len()].into_iter(), None, feeding(&mut new()));
    let cut = take(body, way.ends(body.len()), Some(way.room), feeding(&mut new()));
    assert_eq!(cut, whole, "in pieces, and whole");
    whole
}

/// A format that is checked whole: refused, for the same reason each time, or taken as if there had been room at once;
/// and the same again after a rewind in the middle.
pub(crate) fn checked<D: Decode>(new: impl Fn() -> D, body: &[u8], way: Way) -> Option<Taken> {
    let mut decoder = new();
    // What is reserved for a check is asked for before it.
    decoder.check_bytes(body);
    if let Err(malformed) = decoder.check(body) {
        assert_eq!(new().check(body), Err(malformed), "refused for another reason");
        return None;
    }
    let ends = || [body.len()].into_iter();
    let whole = take(body, ends(), None, feeding(&mut decoder));
    let mut decoder = new();
    decoder.check(body).expect("taken before");
    let mut rows = Rows::default();
    rows.room = Some(way.room);
    decoder.feed(body, true, &mut rows, &mut WriteResult::default());
    decoder.rewind();
    decoder.check(body).expect("taken before");
    let cramped = take(body, ends(), Some(way.room), feeding(&mut decoder));
    assert_eq!(cramped, whole, "with little room, and with enough");
    Some(whole)
}

fn feeding<D: Decode, I: Intake>(
    decoder: &mut D,
) -> impl FnMut(&[u8], bool, &mut I, &mut WriteResult) -> Fed {
    |input, last, intake, result| decoder.feed(input, last, intake, result)
}
