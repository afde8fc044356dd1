//! Reading everything and naming what is damaged.

use super::disk::Files;
use super::error::LogError;
use super::reader::{Block, Damage, Found, SegmentReader};
use super::survey::{Segment, Survey};
use crate::model::{BlockKind, LogId};

/// What [`verify`] read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Verified {
    /// Segments.
    pub segments: u64,
    /// Blocks of rows whose header and content are sound.
    pub blocks: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them, padding included.
    pub bytes: u64,
    /// Damaged places.
    pub damaged: u64,
    /// Blocks lost in part or as a whole.
    pub damaged_blocks: u64,
    /// Segments with a torn tail that the next start will cut.
    pub torn: u64,
}

/// Reads every block of a survey. Shows the sound ones to `sound`, for a look inside, and what is damaged to `damaged`.
///
/// # Errors
/// [`LogError::Io`] if a segment cannot be opened. One that is gone meanwhile is passed over.
pub fn verify<S: Files>(
    files: &S,
    log: LogId,
    survey: &Survey,
    mut sound: impl FnMut(&Segment, &Block<'_>),
    mut damaged: impl FnMut(&Segment, &Damage),
) -> Result<Verified, LogError> {
    let mut verified = Verified::default();
    for segment in &survey.segments {
        let path = segment.name.to_string();
        let file = match files.open_shared(&path) {
            Ok(file) if segment.is_in(&file) => file,
            Ok(_) => continue,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(LogError::io("open", path)(e)),
        };
        verified.segments += 1;
        let mut note = |damage: &Damage| {
            verified.damaged += 1;
            verified.damaged_blocks += damage.blocks();
            damaged(segment, damage);
        };
        if let Some(damage) = segment.header_damage() {
            note(&damage);
        }
        let mut reader = SegmentReader::new(file, log, segment);
        while let Some(found) = reader.read_next() {
            match found {
                Found::Damage(damage) => note(&damage),
                Found::Block(block) => match block.damage() {
                    Some(damage) => note(&damage),
                    None => {
                        let (offset, header) = (block.offset, block.header.clone());
                        if header.kind != BlockKind::Footer {
                            verified.blocks += 1;
                            verified.rows += u64::from(header.rows);
                            verified.bytes += header.block_len() as u64;
                            sound(segment, &block);
                        }
                        if let Some(damage) = reader.check_padding(offset, &header) {
                            note(&damage);
                        }
                    }
                },
            }
        }
        verified.torn += u64::from(reader.torn_at().is_some());
    }
    Ok(verified)
}
