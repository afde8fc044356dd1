//! `tidegate log ls`: the segments, and the cursors of those who read them.

use super::{instant, judge, say, tell_lost_segments};
use crate::cli::exit::Failure;
use crate::log::{Cursor, LogError, Segment, SegmentState, Survey};
use crate::reader::Reader;

pub(super) fn run(reader: &Reader) -> Result<(), Failure> {
    let survey = reader.survey()?;
    let mut table = vec![HEAD.map(str::to_owned)];
    table.extend(survey.segments.iter().map(line));
    for name in &survey.foreign {
        let mut cells = [const { String::new() }; HEAD.len()].map(|_| "-".to_owned());
        cells[0] = name.to_string();
        cells[1] = name.worker.to_string();
        cells[2] = "foreign".into();
        table.push(cells);
    }
    let mut text = layout(&table, &NUMBERS);
    let cursors = reader.cursors()?;
    if !cursors.is_empty() {
        let mut table = vec![CURSOR_HEAD.map(str::to_owned)];
        for cursor in &cursors {
            table.push(cursor_line(cursor, &survey, reader)?);
        }
        text.push('\n');
        text.push_str(&layout(&table, &CURSOR_NUMBERS));
    }
    say(&text)?;
    judge(tell_lost_segments(&survey))
}

fn cursor_line(
    cursor: &Cursor,
    survey: &Survey,
    reader: &Reader,
) -> Result<[String; CURSOR_HEAD.len()], LogError> {
    let behind = reader.behind(cursor, survey)?;
    let position = |(worker, sequence)| format!("{worker}:{sequence}");
    let passed = cursor.positions.iter().map(position).collect::<Vec<_>>().join(",");
    Ok([
        cursor.name.clone(),
        if passed.is_empty() { "-".into() } else { passed },
        behind.blocks.to_string(),
        behind.rows.to_string(),
        behind.bytes.to_string(),
        cursor.lost.blocks.to_string(),
        cursor.lost.rows.to_string(),
    ])
}

fn line(segment: &Segment) -> [String; HEAD.len()] {
    let totals = &segment.totals;
    let time = |ns| if totals.rows > 0 { instant(ns) } else { "-".into() };
    let state = match segment.state {
        SegmentState::Open if segment.has_no_room() => "emptied",
        SegmentState::Open if totals.blocks == 0 => "prepared",
        SegmentState::Open => "open",
        SegmentState::Closed => "closed",
        SegmentState::Sealed { .. } => "sealed",
    };
    [
        segment.name.to_string(),
        segment.name.worker.to_string(),
        state.into(),
        totals.blocks.to_string(),
        totals.rows.to_string(),
        time(totals.time_min_ns),
        time(totals.time_max_ns),
        segment.bytes.to_string(),
    ]
}

/// Columns as wide as their widest cell; numbers to the right.
fn layout<const N: usize>(table: &[[String; N]], numbers: &[usize]) -> String {
    let width = |column: usize| table.iter().map(|cells| cells[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for cells in table {
        let start = out.len();
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            let padded = match numbers.contains(&column) {
                true => format!("{cell:>width$}  "),
                false => format!("{cell:<width$}  "),
            };
            out.push_str(&padded);
        }
        out.truncate(start + out[start..].trim_end().len());
        out.push('\n');
    }
    out
}

const HEAD: [&str; 8] = ["SEGMENT", "WORKER", "STATE", "BLOCKS", "ROWS", "FIRST", "LAST", "BYTES"];
const NUMBERS: [usize; 4] = [1, 3, 4, 7];

const CURSOR_HEAD: [&str; 7] =
    ["CURSOR", "PASSED", "BLOCKS-BEHIND", "ROWS-BEHIND", "BYTES-BEHIND", "BLOCKS-LOST", "ROWS-LOST"];
const CURSOR_NUMBERS: [usize; 5] = [2, 3, 4, 5, 6];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut cells = HEAD.map(|_| "7".to_owned());
        cells[0] = "w000-0000000001.seg".into();
        let text = layout(&[HEAD.map(str::to_owned), cells], &NUMBERS);
        assert_eq!(
            text,
            "SEGMENT              WORKER  STATE  BLOCKS  ROWS  FIRST  LAST  BYTES\n\
             w000-0000000001.seg       7  7           7     7  7      7         7\n"
        );
    }
}
