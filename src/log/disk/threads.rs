//! Commits by a thread that writes and syncs, and background jobs by another. Works everywhere.
//!
//! The queues are bounded by what a worker may have under way, so that sending never blocks. Commits finish in the
//! order given.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::bell::{Bell, Rope};
use super::{BlockFile, COMMITS_IN_FLIGHT_MAX, Disk, Files, JOBS_MAX, Job, Spawn, Write, Written};
use crate::log::error::CommitFailure;

/// A worker's disk that commits with a thread.
#[derive(Debug)]
pub struct ThreadDisk<S: Files> {
    files: S,
    commits: Option<SyncSender<Write<S::File>>>,
    done: Receiver<Written>,
    thread: Option<JoinHandle<()>>,
    jobs: Jobs,
    bell: Bell,
}

impl<S: Files> ThreadDisk<S> {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(files: S, name: &str, spawn: Spawn<'_>) -> io::Result<ThreadDisk<S>> {
        let bell = Bell::new()?;
        let jobs = Jobs::start(name, bell.rope(), spawn)?;
        let (commits, todo) = sync_channel::<Write<S::File>>(COMMITS_IN_FLIGHT_MAX);
        let (report, done) = sync_channel(COMMITS_IN_FLIGHT_MAX);
        let rope = bell.rope();
        let work = move || {
            for write in todo {
                let result = commit(&write);
                if report.send(Written { token: write.token, result, buf: write.buf }).is_err() {
                    return;
                }
                rope.ring();
            }
        };
        let thread = spawn(&format!("{name}-disk"), Box::new(work))?;
        Ok(ThreadDisk { files, commits: Some(commits), done, thread: Some(thread), jobs, bell })
    }
}

/// One write, one sync, neither tried twice.
fn commit<F: BlockFile>(write: &Write<F>) -> Result<(), CommitFailure> {
    match write.file.write_at(&write.buf, write.offset) {
        Ok(n) if n == write.buf.len() => {}
        Ok(_) => return Err(CommitFailure::Short),
        Err(e) => return Err(CommitFailure::from(&e)),
    }
    write.file.sync().map_err(|e| CommitFailure::from(&e))
}

impl<S: Files> Disk for ThreadDisk<S> {
    type Files = S;

    fn files(&self) -> &S {
        &self.files
    }

    fn submit(&mut self, write: Write<S::File>) {
        let commits = self.commits.as_ref().expect("only drop takes it");
        commits.try_send(write).expect("the queue holds all that a worker may have under way");
    }

    fn finished(&mut self, out: &mut Vec<Written>) {
        self.bell.hush();
        out.extend(self.done.try_iter());
    }

    fn wait(&mut self) {
        self.bell.wait();
    }

    fn run(&mut self, job: Job) {
        self.jobs.run(job);
    }

    fn notify(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell.as_fd())
    }

    fn backend_name(&self) -> &'static str {
        "threads"
    }
}

impl<S: Files> Drop for ThreadDisk<S> {
    fn drop(&mut self) {
        drop(self.commits.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A thread for background jobs, in order; joined on drop after the last of them.
#[derive(Debug)]
pub(super) struct Jobs {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Jobs {
    pub(super) fn start(name: &str, rope: Rope, spawn: Spawn<'_>) -> io::Result<Jobs> {
        let (queue, todo) = sync_channel::<Job>(JOBS_MAX);
        let work = move || {
            for job in todo {
                job();
                rope.ring();
            }
        };
        let thread = spawn(&format!("{name}-files"), Box::new(work))?;
        Ok(Jobs { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) fn run(&self, job: Job) {
        let queue = self.queue.as_ref().expect("only drop takes it");
        assert!(queue.try_send(job).is_ok(), "the queue holds all that a worker may have waiting");
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
