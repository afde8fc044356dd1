//! What takes another process: a directory held by somebody else, system calls that fail.
//!
//! The other process is this test binary, started again to play a part; `strace` makes its system calls fail, and where
//! there is none, that is said and skipped.

#![allow(unsafe_code, reason = "a child's copies of descriptors are made without a child")]

mod log_kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use log_kit::{LOG, commit, open, read_directory, run, settle};
use tidegate::log::disk::Backend;
use tidegate::log::{CommitFailure, Directory, LogError};

const PART: &str = "TIDEGATE_TEST_PART";
const DATA: &str = "TIDEGATE_TEST_DATA";

fn play(part: &str, data: &Path, before: &[&str]) -> Command {
    let binary = std::env::current_exe().expect("running");
    let binary = binary.to_str().expect("a plain path");
    let mut words = before.to_vec();
    words.extend([binary, "--exact", "--nocapture", "a_part_played_for_another_test"]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env(PART, part).env(DATA, data).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn data() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk")
}

#[test]
fn a_part_played_for_another_test() {
    let (Ok(part), Ok(data)) = (std::env::var(PART), std::env::var(DATA)) else { return };
    let directory = Directory::open(Path::new(&data), LOG).unwrap();
    match part.as_str() {
        "holder" => {
            println!("holding");
            // Until the other side closes the pipe.
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "endless" => {
            let (mut log, recovery) =
                open(&directory, Backend::probe(), 0, std::process::id().into()).unwrap();
            println!("damaged {}", recovery.damaged);
            let mut out = Vec::new();
            for size in (0..200_000).step_by(777).cycle() {
                if log.in_flight() < 3 {
                    let next = log_kit::block(&mut log, LOG, 0, size);
                    log.commit(next, 0).expect("it is not busy");
                } else {
                    log.wait();
                }
                log.poll(0, &mut out);
                if log.wants_rotation(0) && log.in_flight() == 0 {
                    log.rotate(Box::new(|| vec![3; 3000]));
                }
                for done in out.drain(..) {
                    assert!(done.result.is_ok());
                    println!("durable {}", done.sequence);
                }
            }
        }
        "backend" => {
            let (mut log, _) = open(&directory, Backend::probe(), 0, 1).unwrap();
            assert!(commit(&mut log, LOG, 0, 100).result.is_ok());
            println!("backend {}", log.backend_name());
        }
        "failing" => {
            let (mut log, _) = open(&directory, Backend::Threads, 0, 1).unwrap();
            let mut out = Vec::new();
            for _ in 0..20 {
                let done = commit(&mut log, LOG, 0, 100);
                if let Err(failure) = done.result {
                    println!("failed {} {failure:?}", done.sequence);
                    while !log.try_reopen() {
                        log.wait();
                        log.poll(0, &mut out);
                    }
                    println!("reopened");
                } else {
                    println!("durable {}", done.sequence);
                }
            }
            settle(&mut log);
        }
        other => panic!("no part {other}"),
    }
}

#[test]
fn a_directory_held_by_another_process_is_refused_with_its_number() {
    let data = data();
    let mut holder = play("holder", data.path(), &[]).spawn();
    if holder.is_err() {
        holder = play("holder", data.path(), &["env"]).spawn();
    }
    let mut holder = holder.expect("this binary runs");
    let mut lines = BufReader::new(holder.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text").ends_with("holding")));
    let refused = Directory::open(data.path(), LOG).expect_err("it is held");
    assert!(matches!(refused, LogError::Locked { holder: Some(pid), .. } if pid == holder.id()), "{refused}");
    assert!(refused.to_string().contains(&format!("process {}", holder.id())));
    drop(holder.stdin.take().map(|mut pipe| pipe.flush()));
    holder.wait().expect("it ends");
    assert!(Directory::open(data.path(), LOG).is_ok());
}

/// The descriptors that this process has open in a directory, once more: as a child has them between its fork and its
/// exec.
#[cfg(target_os = "linux")]
fn inherited(data: &Path) -> Vec<std::os::fd::OwnedFd> {
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux").filter_map(|entry| {
        let entry = entry.ok()?;
        let fd = entry.file_name().to_str()?.parse().ok()?;
        std::fs::read_link(entry.path()).ok()?.starts_with(data).then_some(fd)
    });
    let copy = |fd| {
        // SAFETY: it is one of a directory that the caller has open, and that no other test knows of.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        fd.try_clone_to_owned().expect("there is room for a descriptor")
    };
    open.map(copy).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_child_that_was_just_forked_does_not_keep_a_closed_directory() {
    let data = data();
    let path = data.path().canonicalize().expect("a directory");
    let directory = Directory::open(&path, LOG).expect("nobody has it");
    let copies = inherited(&path);
    assert_eq!(copies.len(), 2, "the lock and the page");
    assert!(matches!(Directory::open(&path, LOG), Err(LogError::Locked { .. })));
    drop(directory);
    drop(Directory::open(&path, LOG).expect("it was closed"));
    drop(copies);
}

/// Runs a part under strace; `None`, with the reason printed, where that does not work.
fn under_strace(part: &str, data: &Path, inject: &[&str]) -> Option<String> {
    if !run("strace", &["-o", "/dev/null", "true"]) {
        println!("strace does not work here: failing system calls are not tested");
        return None;
    }
    let mut before = vec!["strace", "-f", "-q", "-o", "/dev/null"];
    before.extend(inject);
    let output = play(part, data, &before).output().expect("strace runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

#[test]
fn without_io_uring_threads_commit() {
    for error in ["EPERM", "ENOSYS", "ENOMEM"] {
        let data = data();
        let inject = format!("inject=io_uring_setup:error={error}");
        let Some(text) = under_strace("backend", data.path(), &["-e", &inject]) else { return };
        assert!(text.contains("backend threads"), "{text}");
        assert_eq!(read_directory(data.path()).0, [1]);
    }
}

#[test]
fn a_failed_sync_fails_its_commit_and_the_next_segment_goes_on() {
    for (what, expected) in [
        // Counted by thread: the fifth commit, and nothing else that matters.
        ("inject=fdatasync:error=EIO:when=5", CommitFailure::Io { os_error: Some(libc::EIO) }),
        ("inject=pwrite64:error=ENOSPC:when=5", CommitFailure::NoSpace),
    ] {
        let data = data();
        let Some(text) = under_strace("failing", data.path(), &["-e", what]) else { return };
        let sequences = |word: &str| -> Vec<u64> {
            text.lines()
                .filter_map(|l| l.strip_prefix(word)?.split_whitespace().next()?.parse().ok())
                .collect()
        };
        let (durable, failed) = (sequences("durable "), sequences("failed "));
        assert!(!failed.is_empty() && text.contains(&format!("{expected:?}")), "{text}");
        assert_eq!(durable.len() + failed.len(), 20);
        let (found, damages) = read_directory(data.path());
        assert_eq!(damages, []);
        assert!(durable.iter().all(|s| found.contains(s)), "{durable:?} {found:?}");
        assert!(found.iter().all(|s| durable.contains(s)), "what failed was cut: {failed:?} {found:?}");
    }
}

#[test]
fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let data = data();
    let mut acknowledged = Vec::new();
    for round in 0..12 {
        let mut writer = play("endless", data.path(), &["env"]).spawn().expect("this binary runs");
        let wanted = 20 + 13 * round;
        let lines = BufReader::new(writer.stdout.take().expect("piped")).lines();
        let mut seen = 0;
        // What it said before it died counts, also what is still in the pipe.
        for line in lines.map_while(Result::ok) {
            if let Some(sequence) = line.strip_prefix("durable ").and_then(|s| s.parse::<u64>().ok()) {
                acknowledged.push(sequence);
                seen += 1;
            }
            assert!(!line.ends_with("damaged 1"), "{line}");
            if seen == wanted {
                writer.kill().expect("it runs");
            }
        }
        writer.wait().expect("it was killed");
        let (found, damages) = read_directory(data.path());
        assert_eq!(damages, []);
        let lost: Vec<_> = acknowledged.iter().filter(|s| found.binary_search(s).is_err()).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
    }
    assert!(acknowledged.windows(2).all(|w| w[0] < w[1]), "sequences rise over all starts");
}
