//! The reserve: a file of a known size that is emptied where a full file system has no room to remove others.
//!
//! It is a comfort. Where it cannot be had nothing is refused, and nobody is told.

use std::io;

use crate::log::disk::{Access, BlockFile, Files};
use crate::log::error::CommitFailure;

/// Bytes kept back so that there is room to remove files on a full file system that writes before it frees.
pub const RESERVE_BYTES: usize = 1 << 20;

/// Removes a file, at the cost of the reserve if it must be.
pub(super) fn remove<S: Files>(files: &S, name: &str) -> io::Result<()> {
    match files.remove(name) {
        Err(e) if CommitFailure::from(&e) == CommitFailure::NoSpace => {
            empty(files).and_then(|()| files.remove(name))
        }
        removed => removed,
    }
}

fn empty<S: Files>(files: &S) -> io::Result<()> {
    let reserve = files.open(NAME, Access::Write)?;
    reserve.set_len(0)?;
    reserve.sync()
}

/// Takes the reserve, or what is missing of it.
pub(super) fn refill<S: Files>(files: &S) {
    let opened = files
        .open(NAME, Access::Write)
        .or_else(|_| files.create(NAME).and_then(|_| files.open(NAME, Access::Write)));
    let Ok(reserve) = opened else { return };
    if reserve.len().is_ok_and(|len| len < RESERVE_BYTES as u64) {
        // Not zeros: a file system that compresses would store nothing.
        let mut noise = 0x2545_f491_4f6c_dd1d_u64;
        let bytes: Vec<u8> = (0..RESERVE_BYTES / 8)
            .flat_map(|_| {
                noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                noise.to_le_bytes()
            })
            .collect();
        if reserve.write_all_at(&bytes, 0).and_then(|()| reserve.sync()).is_err() {
            let _ = reserve.set_len(0);
        }
    }
}

const NAME: &str = "reserve";
