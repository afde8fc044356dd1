//! `tidegate log ls`: the segments.

use super::{instant, say};
use crate::cli::exit::Failure;
use crate::log::{Segment, SegmentState};
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
    say(&layout(&table))
}

fn line(segment: &Segment) -> [String; HEAD.len()] {
    let totals = &segment.totals;
    let time = |ns| if totals.rows > 0 { instant(ns) } else { "-".into() };
    let state = match segment.state {
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
fn layout(table: &[[String; HEAD.len()]]) -> String {
    let width = |column: usize| table.iter().map(|cells| cells[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut out = String::new();
    for cells in table {
        let start = out.len();
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            let padded = match NUMBERS.contains(&column) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut cells = HEAD.map(|_| "7".to_owned());
        cells[0] = "w000-0000000001.seg".into();
        let text = layout(&[HEAD.map(str::to_owned), cells]);
        assert_eq!(
            text,
            "SEGMENT              WORKER  STATE  BLOCKS  ROWS  FIRST  LAST  BYTES\n\
             w000-0000000001.seg       7  7           7     7  7      7         7\n"
        );
    }
}
