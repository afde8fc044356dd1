//! Disks that are full, that fail, that are not there; directories that are somebody else's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::client::{get, post};
use super::harness::{Server, Setup, directory, has_strace, is_root, wait_until, works};
use super::log::{cat, verify};

/// A small file system of its own.
struct Mount(tempfile::TempDir);

impl Mount {
    /// `None`, with the reason printed, where this process may not mount; root must be able to.
    fn tmpfs(size: &str) -> Option<Mount> {
        let at = directory();
        let path = at.path().display().to_string();
        if works("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tidegate-test", &path]) {
            return Some(Mount(at));
        }
        assert!(!is_root(), "root can't mount a tmpfs: a full disk is not tested");
        println!("not root: no tmpfs can be mounted, and a full disk is not tested");
        None
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes all space that is left.
    fn fill(&self) {
        let mut zeros = fs::File::create(self.ballast()).unwrap();
        while std::io::Write::write_all(&mut zeros, &[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        works("umount", &["-l", &self.0.path().display().to_string()]);
    }
}

/// Rows that hardly compress, numbered.
fn noisy(request: u64, rows: u64) -> String {
    let noise = |n: u64| {
        let x = (n ^ 0x5bf0_3635).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 12
    };
    (0..rows)
        .map(|row| {
            let seed = (request * rows + row) * 4;
            let fields: Vec<String> = (0..4).map(|f| format!("f{f}={}i", noise(seed + f))).collect();
            format!("m,s={} q={request}i,{} {row}\n", row % 10, fields.join(","))
        })
        .collect()
}

/// Asserts that each acknowledged request has all of its rows, and gives the rows of all others.
fn check_rows(data: &Path, acknowledged: &[u64], rows_each: usize) -> usize {
    let mut found = std::collections::BTreeMap::new();
    for row in cat(data) {
        *found.entry(row["fields"]["q"]["i64"].as_u64().unwrap()).or_insert(0) += 1;
    }
    for request in acknowledged {
        assert_eq!(found.remove(request), Some(rows_each), "of request {request}");
    }
    found.values().sum()
}

#[test]
fn a_full_disk_is_503_until_space_returns_and_loses_nothing_acknowledged() {
    let Some(mount) = Mount::tmpfs("24m") else { return };
    // Retention would make room by itself; this is about what happens before it can.
    let config = "workers: 1\ndata: {free_space_min: 0%}";
    let mut server = Setup::config(config).data(&mount.data()).start();
    let mut client = server.client();
    client.ask(&post("/write", noisy(0, 1000))).expect(204);
    mount.fill();
    let mut acknowledged = vec![0];
    let mut next = 1;
    loop {
        let reply = client.ask(&post("/write", noisy(next, 1000)));
        if reply.status != 204 {
            reply.expect(503);
            break;
        }
        acknowledged.push(next);
        next += 1;
        assert!(next < 2000, "24 MiB never fill");
    }
    // Refused from now on, in every version's words, and said to whoever asks.
    for path in ["/write", "/api/v2/write", "/api/v3/write_lp"] {
        let reply = client.ask(&post(path, noisy(9999, 10)));
        reply.expect(503);
    }
    client.ask(&get("/ready")).expect(503);
    client.ask(&get("/health")).expect(200);
    assert!(server.metric("tidegate_http_requests_refused_total") >= 4.0);
    check_rows(&server.data, &acknowledged, 1000);

    mount.make_room();
    wait_until("the server is ready again", || client.ask(&get("/ready")).status == 200);
    for _ in 0..3 {
        next += 1;
        client.ask(&post("/write", noisy(next, 1000))).expect(204);
        acknowledged.push(next);
    }
    check_rows(&server.data, &acknowledged, 1000);
    server.stop();
    check_rows(&server.data, &acknowledged, 1000);
    verify(&server.data);
}

#[test]
fn a_server_starts_on_a_full_disk_and_takes_writes_when_there_is_room() {
    let Some(mount) = Mount::tmpfs("16m") else { return };
    let start = || Setup::config("workers: 1\ndata: {free_space_min: 0%}").data(&mount.data()).start();
    let mut server = start();
    server.ask(&post("/write", noisy(0, 100))).expect(204);
    server.stop();
    mount.fill();
    let mut server = start();
    server.ask(&get("/ready")).expect(503);
    server.ask(&post("/write", noisy(1, 100))).expect(503);
    assert_eq!(check_rows(&server.data, &[0], 100), 0);
    mount.make_room();
    wait_until("the server is ready", || server.ask(&get("/ready")).status == 200);
    server.ask(&post("/write", noisy(2, 100))).expect(204);
    server.stop();
    check_rows(&server.data, &[0, 2], 100);
    verify(&server.data);
}

fn strace(inject: &str) -> Vec<String> {
    ["strace", "-f", "-q", "-o", "/dev/null", "-e", inject].map(str::to_owned).to_vec()
}

fn start_under_strace(config: &str, data: &Path, inject: &str) -> Server {
    let words = strace(inject);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Setup::config(config).data(data).under(&words).start()
}

#[test]
fn a_failed_sync_is_503_and_a_new_segment_takes_the_next_writes() {
    if !has_strace() {
        return;
    }
    for what in ["fdatasync:error=EIO", "pwrite64:error=EIO", "fdatasync:error=ENOSPC"] {
        let directory = directory();
        let data = directory.path().join("data");
        // Counted by thread: of the thread that commits it is the twenty-fifth. At the start others make fewer.
        let inject = format!("inject={what}:when=25");
        let mut server = start_under_strace("workers: 1\ndata: {disk: threads}", &data, &inject);
        let mut client = server.client();
        // In the middle of its body while the log fails: its later rows belong to the next segment.
        let mut slow = server.client();
        let request = post("/write", noisy(500, 100));
        let (first, last) = request.split_at(request.len() - 3000);
        let mut slow_has_begun = false;
        let (mut acknowledged, mut refused) = (Vec::new(), 0);
        for n in 0..40 {
            if n == 3 {
                slow.send(first);
                slow_has_begun = true;
            }
            let reply = client.ask(&post("/write", noisy(n, 100)));
            match reply.status {
                204 => acknowledged.push(n),
                _ => {
                    reply.expect(503);
                    refused += 1;
                    wait_until("the log is open again", || client.ask(&get("/ready")).status == 200);
                }
            }
        }
        assert!(slow_has_begun && (1..=3).contains(&refused), "{what}: {refused} refused");
        slow.send(last);
        slow.reply().expect(503);
        assert!(acknowledged.len() >= 37);
        assert!(server.metric("tidegate_commits_failed_total") >= 1.0);
        assert!(server.metric("tidegate_rows_in_doubt_total") >= 100.0, "the rows of the failed commit");
        let accepted = server.metric("tidegate_rows_accepted_total{protocol=\"influx\"}");
        let acknowledged_rows = 100.0 * acknowledged.len() as f64;
        // And of the slow request what was durable before its log failed.
        assert!((0.0..100.0).contains(&(accepted - acknowledged_rows)), "{what}: {accepted} accepted");
        check_rows(&data, &acknowledged, 100);
        server.stop();
        check_rows(&data, &acknowledged, 100);
        verify(&data);
        let mut server = Setup::config("").data(&data).start();
        server.ask(&post("/write", noisy(1000, 100))).expect(204);
        acknowledged.push(1000);
        server.stop();
        check_rows(&data, &acknowledged, 100);
        verify(&data);
    }
}

#[test]
fn a_disk_that_stands_still_refuses_what_has_no_room_and_others_are_answered() {
    if !has_strace() {
        return;
    }
    let directory = directory();
    let data = directory.path().join("data");
    // Three syncs of the thread that commits take four seconds each.
    let inject = "inject=fdatasync:delay_enter=4000000:when=3..5";
    let mut server = start_under_strace("workers: 1\ndata: {disk: threads}", &data, inject);
    let mut client = server.client();
    client.ask(&post("/write", noisy(0, 10))).expect(204);
    let mut flood = server.client();
    flood.send(&post("/write", "m a=1 1\n".repeat(600_000)));
    while !flood.has_answer_within(Duration::from_millis(1)) {
        client.ask(&get("/ready")).expect(200);
    }
    flood.reply().expect(503);
    // It was refused because of the disk, not after it.
    assert!(server.metric("tidegate_commits_total") <= 3.0);
    wait_until("a write is taken again", || {
        let reply = client.ask(&post("/write", noisy(1, 10)));
        reply.status == 204 || reply.expect(503).status == 0
    });
    server.stop();
    let of_request = |n| cat(&data).iter().filter(|row| row["fields"]["q"]["i64"] == n).count();
    assert_eq!((of_request(0), of_request(1) >= 10), (10, true));
    verify(&data);
}

#[test]
fn a_body_that_comes_while_the_log_is_closed_neither_kills_nor_loses() {
    // The log fails while a request that has no row in it yet is open; its rows come before the log is open again.
    let Some(mount) = Mount::tmpfs("24m") else { return };
    let mut server = Setup::config("workers: 1\ndata: {free_space_min: 0%}").data(&mount.data()).start();
    let mut open = server.client();
    let late = post("/write", noisy(5000, 200));
    let head_end = late.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    open.send(&late[..head_end + 10]);
    let mut client = server.client();
    client.ask(&post("/write", noisy(0, 1000))).expect(204);
    mount.fill();
    let mut acknowledged = vec![0];
    for next in 1..2000 {
        let reply = client.ask(&post("/write", noisy(next, 1000)));
        if reply.status != 204 {
            reply.expect(503);
            break;
        }
        acknowledged.push(next);
    }
    client.ask(&get("/ready")).expect(503);
    // Whole lines, but not the last one.
    open.send(&late[head_end + 10..late.len() - 10]);
    client.ask(&get("/ready")).expect(503);
    mount.make_room();
    wait_until("the server is ready again", || client.ask(&get("/ready")).status == 200);
    open.send(&late[late.len() - 10..]);
    let reply = open.reply();
    if reply.status == 204 {
        acknowledged.push(5000);
    } else {
        reply.expect(503);
    }
    client.ask(&post("/write", noisy(5001, 1000))).expect(204);
    server.stop();
    let acknowledged: Vec<u64> = acknowledged.into_iter().filter(|&n| n < 5000).collect();
    check_rows(&server.data, &acknowledged, 1000);
    let late_rows = cat(&server.data).iter().filter(|row| row["fields"]["q"]["i64"] == 5000).count();
    assert!(reply.status == 503 || late_rows == 200, "204, and {late_rows} of 200 rows");
    verify(&server.data);
}

#[test]
fn without_io_uring_threads_commit_and_the_metrics_say_so() {
    let server = Setup::config("data: {disk: threads}").start();
    assert_eq!(server.metric("tidegate_disk_backend_info{backend=\"threads\"}"), 1.0);
    if !has_strace() {
        return;
    }
    for error in ["EPERM", "ENOSYS"] {
        let directory = directory();
        let data = directory.path().join("data");
        let inject = format!("inject=io_uring_setup:error={error}");
        let mut server = start_under_strace("", &data, &inject);
        assert_eq!(server.metric("tidegate_disk_backend_info{backend=\"threads\"}"), 1.0);
        server.ask(&post("/write", "m a=1 1")).expect(204);
        server.stop();
        assert_eq!(cat(&data).len(), 1);
    }
}

#[test]
fn io_uring_that_is_asked_for_and_refused_is_a_start_that_fails() {
    if !has_strace() {
        return;
    }
    let words = strace("inject=io_uring_setup:error=EPERM");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (status, said) = Setup::config("data: {disk: io_uring}").under(&words).fail();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("data.disk: io_uring is refused here: Operation not permitted"), "{said}");
}

#[test]
fn a_second_server_on_the_directory_exits_1_and_names_the_holder() {
    let mut server = Server::start();
    let (status, said) = Setup::config("").data(&server.data).fail();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("process {}", server.pid())), "{said}");
    server.ask(&post("/write", "m a=1 1")).expect(204);
    server.stop();
    Setup::config("").data(&server.data).start().stop();
}

#[test]
fn a_directory_that_cannot_be_written_is_a_start_that_fails_and_names_it() {
    let directory = directory();
    let data = directory.path().join("data");
    if is_root() {
        // No mode stops root: a mount that is read-only does.
        fs::create_dir(&data).unwrap();
        let path = data.display().to_string();
        assert!(works("mount", &["-t", "tmpfs", "-o", "ro", "tidegate-test", &path]));
        let (status, said) = Setup::config("").data(&data).fail();
        assert!(works("umount", &["-l", &path]));
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&path), "{said}");
    } else {
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o500)).unwrap();
        let (status, said) = Setup::config("").data(&data).fail();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&data.display().to_string()), "{said}");
    }
    // A file where the directory should be.
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let (status, said) = Setup::config("").data(&file).fail();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("file"), "{said}");
}

#[test]
fn an_address_in_use_is_a_start_that_fails_and_names_it() {
    let server = Server::start();
    let directory = directory();
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .env_clear()
        .args(["serve", "--listen", &server.address, "--data"])
        .arg(directory.path().join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&server.address), "{said}");
}
