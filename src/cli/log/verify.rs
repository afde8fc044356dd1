//! `tidegate log verify`: what is damaged, and what that costs.

use super::{counted, judge, say};
use crate::cli::exit::Failure;
use crate::cli::progress::Progress;
use crate::reader::{Reader, Verified};

pub(super) fn run(reader: &Reader) -> Result<(), Failure> {
    let survey = reader.survey()?;
    let progress = Progress::of(survey.segments.iter().map(|s| s.bytes).sum(), "bytes");
    progress.step("verify");
    let tell = |finding| say(&format!("{finding}\n"));
    let verified = reader.verify(&survey, tell, |bytes| progress.done(bytes))?;
    drop(progress);
    say(&summary(&verified))?;
    judge(verified.damaged)
}

fn summary(verified: &Verified) -> String {
    let Verified { segments, blocks, rows, bytes, damaged, rows_lost, rows_unknown } = verified;
    let (places, rows_gone) = (counted(*damaged, "damaged place"), counted(*rows_lost, "row"));
    let lost = match (damaged, rows_unknown) {
        (0, _) => "sound".into(),
        (_, false) => format!("{places}, {rows_gone} lost"),
        (_, true) => format!("{places}, {rows_gone} lost, and those of blocks that can't be counted"),
    };
    format!("{segments} segments, {blocks} blocks, {rows} rows, {bytes} bytes: {lost}\n")
}
