//! A disk in memory that does to a log what real ones do at their worst, from a seed.
//!
//! What is not synced may be lost: on a power cut each unsynced 512-byte sector is, on its own, as it was, as any write
//! since has left it, or torn between the two; lengths and directory entries likewise. Any operation may fail. Commits
//! finish late and in any order. The same seed gives the same run, so a failing seed is a bug report.
//!
//! Pieces: [`SimulatedFiles`] is the directory, which survives power cuts; [`SimulatedDisk`] is a worker's disk on it,
//! which does not.

mod file;
mod world;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use super::{BlockFile, Disk, Job, Write, Written};
use crate::log::error::CommitFailure;
use crate::log::random::Random;

pub use file::SimulatedFile;
pub use world::{Faults, SimulatedFiles};

/// A worker's disk on simulated files. Everything happens inside its calls, a random part of it in each.
pub struct SimulatedDisk {
    files: SimulatedFiles,
    random: Random,
    commits: Vec<Pending>,
    jobs: VecDeque<Job>,
    done: Vec<Written>,
    jobs_done: u64,
}

#[derive(Debug)]
struct Pending {
    write: Write<SimulatedFile>,
    written: bool,
}

impl SimulatedDisk {
    /// A disk on `files`; `seed` decides when things happen.
    pub fn new(files: SimulatedFiles, seed: u64) -> SimulatedDisk {
        SimulatedDisk {
            files,
            random: Random::new(seed),
            commits: Vec::new(),
            jobs: VecDeque::new(),
            done: Vec::new(),
            jobs_done: 0,
        }
    }

    /// One thing that a disk does at a time: a write, a sync or a job.
    fn step(&mut self) {
        let choices = self.commits.len() + usize::from(!self.jobs.is_empty());
        if choices == 0 {
            return;
        }
        let choice = self.random.below(choices as u64) as usize;
        if choice == self.commits.len() {
            if let Some(job) = self.jobs.pop_front() {
                job();
                self.jobs_done += 1;
            }
            return;
        }
        let pending = &mut self.commits[choice];
        let result = if pending.written {
            pending.write.file.sync().map_err(|e| CommitFailure::from(&e))
        } else {
            match pending.write.file.write_at(&pending.write.buf, pending.write.offset) {
                Ok(n) if n == pending.write.buf.len() => {
                    pending.written = true;
                    return;
                }
                Ok(_) => Err(CommitFailure::Short),
                Err(e) => Err(CommitFailure::from(&e)),
            }
        };
        let write = self.commits.remove(choice).write;
        self.done.push(Written { token: write.token, result, buf: write.buf });
    }
}

impl Disk for SimulatedDisk {
    type Files = SimulatedFiles;

    fn files(&self) -> &SimulatedFiles {
        &self.files
    }

    fn submit(&mut self, write: Write<SimulatedFile>) {
        assert!(self.commits.len() < super::COMMITS_IN_FLIGHT_MAX);
        self.commits.push(Pending { write, written: false });
    }

    fn finished(&mut self, out: &mut Vec<Written>) {
        for _ in 0..self.random.below(3) {
            self.step();
        }
        out.append(&mut self.done);
    }

    fn wait(&mut self) {
        let jobs_before = self.jobs_done;
        while self.done.is_empty()
            && self.jobs_done == jobs_before
            && !(self.commits.is_empty() && self.jobs.is_empty())
        {
            self.step();
        }
    }

    fn run(&mut self, job: Job) {
        assert!(self.jobs.len() < super::JOBS_MAX);
        self.jobs.push_back(job);
    }

    fn notify(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn backend_name(&self) -> &'static str {
        "simulated"
    }
}

impl std::fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedDisk")
            .field("commits", &self.commits)
            .field("jobs", &self.jobs.len())
            .finish()
    }
}
