//! Peers that are slow, broken or hostile: they are told so or left, and others are served meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, chunked, get, head, post, request};
use super::harness::{PATIENCE, Server, Setup, directory, has_strace, wait_until};
use super::log::cat;

/// Limits that a test can wait for.
const SHORT: &str = "limits: {header_timeout: 300ms, body_idle_timeout: 300ms, idle_timeout: 600ms}";

/// Asserts that the server still takes writes.
#[track_caller]
fn still_serves(server: &Server) {
    server.ask(&post("/write", "ok a=1 1")).expect(204);
}

#[test]
fn a_head_that_drips_is_408_however_steadily_it_comes() {
    let server = Setup::config(SHORT).start();
    let mut silent = server.client();
    silent.send(b"POST /write HT");
    silent.reply().expect(408);
    silent.expect_end();

    let mut dripping = server.client();
    let endless = head("POST", "/write", &[("X-Long", &"x".repeat(10_000))]);
    let mut sent = endless.iter();
    // A byte each time the server has had nothing to say for a while.
    while !dripping.has_answer_within(Duration::from_millis(20)) {
        dripping.send(&[*sent.next().expect("given up long before the head's end")]);
    }
    dripping.reply().expect(408);
    still_serves(&server);
}

#[test]
fn a_body_that_stands_still_is_408_and_its_whole_lines_may_stay() {
    let server = Setup::config(SHORT).start();
    let whole = post("/write", "slow a=1 1\nslow a=2 2\n");
    let mut client = server.client();
    client.send(&whole[..whole.len() - 5]);
    client.reply().expect(408);
    client.expect_end();
    let mut client = server.client();
    let pieces = chunked("/write", &[], b"slow a=3 3\n", &[4]);
    client.send(&pieces[..pieces.len() - 5]);
    client.reply().expect(408);
    still_serves(&server);
    let rows = cat(&server.data);
    assert!(rows.iter().all(|row| row["time"] != 2), "half a line is no row: {rows:?}");
}

/// The rows that were counted as taken.
fn counted(server: &Server) -> f64 {
    server.metric("tidegate_rows_accepted_total{protocol=\"influx\"}")
}

#[test]
fn a_408_counts_the_rows_that_were_taken_and_they_are_durable() {
    // Rows that nobody waits for would lie for a minute.
    let config = format!("{SHORT}\ndata: {{commit_interval: 1m}}");
    let server = Setup::config(&config).start();
    for (n, (path, field)) in
        [("/write", "error"), ("/api/v2/write", "message"), ("/api/v3/write_lp", "error")].iter().enumerate()
    {
        let whole = post(path, "slow a=1 1\nslow a=2 2\n");
        let mut client = server.client();
        client.send(&whole[..whole.len() - 5]);
        let reply = client.reply();
        let body = reply.expect(408).json();
        assert_eq!((&body["accepted"], &body["rejected"]), (&json!(1), &json!(0)), "{path} {body}");
        assert!(body[field].is_string(), "{path} {body}");
        client.expect_end();
        assert_eq!((cat(&server.data).len(), counted(&server)), (n + 1, (n + 1) as f64));
    }
}

#[test]
fn rows_of_a_write_that_is_torn_off_are_counted() {
    let server = Server::start();
    let whole = post("/write", "torn a=1 1\ntorn a=2 2\n");
    let mut client = server.client();
    client.send(&get("/health"));
    client.send(&whole[..whole.len() - 5]);
    wait_until("the first row is taken", || server.metric("tidegate_series") > 0.0);
    // With an answer that was not read, this resets the connection.
    drop(client);
    wait_until("its row is counted", || counted(&server) == 1.0);
    assert_eq!(cat(&server.data).len(), 1);
}

#[test]
fn a_request_that_has_its_answer_gets_no_408_for_a_body_that_stands_still() {
    let server = Setup::config(SHORT).start();
    let whole = post("/nowhere", "a body that nobody needs");
    let mut client = server.client();
    client.ask(&whole[..whole.len() - 5]).expect(404);
    client.expect_end();
    still_serves(&server);
}

#[test]
fn an_idle_connection_is_closed_in_silence() {
    let server = Setup::config(SHORT).start();
    let mut fresh = server.client();
    let mut used = server.client();
    used.ask(&post("/write", "m a=1 1")).expect(204);
    fresh.expect_end();
    used.expect_end();
    wait_until("only the asking connection is open", || server.metric("tidegate_connections") <= 1.0);
}

#[test]
fn what_came_while_the_server_itself_stood_still_came_in_time() {
    // More of them than one poll tells of: the limits are looked at before the others' turn.
    // The limit is long enough for all to come in, also on a machine that has much else to do.
    let server = Setup::config("workers: 1\nlimits: {idle_timeout: 8s}").start();
    let mut clients: Vec<Client> = (0..400).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| _ = client.ask(&get("/health")));
    server.signal("STOP");
    clients.iter_mut().for_each(|client| client.send(&post("/write", "m a=1 1")));
    assert!(!clients[0].has_answer_within(Duration::from_secs(9)), "longer than the limit");
    server.signal("CONT");
    clients.iter_mut().for_each(|client| _ = client.reply().expect(204));
}

#[test]
fn a_peer_that_never_reads_its_answers_is_held_to_a_bound_and_left() {
    let mut server = Setup::config("limits: {body_idle_timeout: 500ms}").start();
    let before = resident_bytes(&mut server);
    let mut deaf = server.client();
    let asked: Vec<u8> = get("/metrics").repeat(100);
    // Until it is cut off. The answers to a socket buffer full of this would be gigabytes.
    let until = Instant::now() + PATIENCE;
    while deaf.try_send(&asked).is_ok() {
        assert!(Instant::now() < until, "it was never cut off");
    }
    let grown = resident_bytes(&mut server).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes were kept for a peer that reads nothing");
    still_serves(&server);
}

fn resident_bytes(server: &mut Server) -> u64 {
    server.metric("process_resident_memory_bytes") as u64
}

#[test]
fn half_a_request_and_then_the_end_is_no_answer_and_no_harm() {
    let server = Server::start();
    for piece in [
        &b"P"[..],
        b"POST /write HTTP/1.1\r\nHost: x\r\n",
        b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nm a=",
    ] {
        let mut client = server.client();
        client.send(piece);
        client.end_sending();
        client.expect_end();
        let mut gone = server.client();
        gone.send(piece);
        drop(gone);
    }
    // What came whole before the half is answered.
    let mut client = server.client();
    let mut bytes = post("/write", "m a=1 1");
    bytes.extend_from_slice(&post("/write", "m a=2 2")[..40]);
    client.send(&bytes);
    client.end_sending();
    client.reply().expect(204);
    client.expect_end();
    // In the middle of a body, too.
    let mut client = server.client();
    let mut bytes = post("/write", "m a=1 1");
    let half = post("/write", "m a=2 2");
    bytes.extend_from_slice(&half[..half.len() - 3]);
    client.send(&bytes);
    client.end_sending();
    client.reply().expect(204);
    client.expect_end();
    // And one that has sent all and only then ended its side.
    let mut client = server.client();
    client.send(&post("/write", "m a=3 3"));
    client.end_sending();
    client.reply().expect(204);
    client.expect_end();
    assert_eq!(cat(&server.data).len(), 3);
    still_serves(&server);
}

#[test]
fn heads_that_are_too_large_are_refused_before_they_end() {
    let server = Server::start();
    let long = "x".repeat(20_000);
    for (bytes, status) in [
        (head("POST", "/write", &[("X-Long", &long)]), 431),
        (head("POST", &format!("/write?db={long}"), &[]), 414),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}", "X-N: 1\r\n".repeat(10_000)).into_bytes(), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: 1\r\n".repeat(100)).into_bytes(), 431),
    ] {
        let mut client = server.client();
        // It may stop reading before all is sent.
        _ = client.try_send(&bytes);
        client.reply().expect(status);
        client.expect_end();
    }
    still_serves(&server);
}

#[test]
fn an_early_413_reaches_a_client_that_is_still_sending() {
    let server = Setup::config("limits: {body_size_max: 64KiB}").start();
    for announced in [true, false] {
        let mut client = server.client();
        let body = vec![b'x'; 512 << 10];
        let bytes = if announced {
            request("POST", "/write", &[], &body)
        } else {
            chunked("/write", &[], &body, &[10_000])
        };
        // More than socket buffers hold: it is still being sent when the answer comes, and is read away.
        client.send(&bytes);
        client.reply().expect(413);
        client.expect_end();
    }
    still_serves(&server);
}

#[test]
fn what_is_not_http_is_refused_and_closed() {
    let server = Server::start();
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n"[..], 400),
        (b"cpu a=1 1\ncpu a=2 2\n\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\n\r\n", 417),
    ] {
        let mut client: Client = server.client();
        client.send(bytes);
        let reply = client.reply();
        assert_eq!(reply.status, status, "{}", String::from_utf8_lossy(bytes));
        assert!(reply.json()["error"].is_string());
        client.expect_end();
    }
    // A good request before the garbage is answered first.
    let mut client = server.client();
    let mut bytes = post("/write", "m a=1 1");
    bytes.extend_from_slice(b"\0\0\0\0garbage\r\n\r\n");
    client.send(&bytes);
    client.reply().expect(204);
    client.reply().expect(400);
    client.expect_end();
    still_serves(&server);
}

#[test]
fn tiny_chunks_behind_a_long_unfinished_line_cost_no_more_than_their_bytes() {
    const CHUNKS: usize = 40_000;
    const REQUESTS: usize = 5;
    let server = Setup::config("workers: 1").start();
    let line = format!("m s=\"{}", "x".repeat(1_000_000));
    let mut pieces = head("POST", "/write", &[("Transfer-Encoding", "chunked")]);
    pieces.extend_from_slice(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
    pieces.extend_from_slice(&b"1\r\nz\r\n".repeat(CHUNKS));
    pieces.extend_from_slice(b"4\r\n\" 1\n\r\n0\r\n\r\n");
    let mut client = server.client();
    client.ask(&get("/health")).expect(200);
    let before = server.metric("process_cpu_seconds_total");
    for _ in 0..REQUESTS {
        client.ask(&pieces).expect(204);
    }
    // To move the line out of the way and back for each chunk would be 400 GB.
    let spent = server.metric("process_cpu_seconds_total") - before;
    assert!(spent < 4.0, "{spent} s of CPU for 6 MB");
    let rows = cat(&server.data);
    let whole = |row: &serde_json::Value| {
        row["fields"]["s"]["string"].as_str().is_some_and(|s| s.len() == 1_000_000 + CHUNKS)
    };
    assert!(rows.len() == REQUESTS && rows.iter().all(whole));
}

#[test]
fn a_faulty_chunk_behind_one_that_is_refused_gets_one_answer() {
    // Both lie in one read: the fault of the framing is found before the body's bytes are decoded.
    let server = Server::start();
    let mut client = server.client();
    let head = head("POST", "/write", &[("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip")]);
    client.send(&[&head[..], b"8\r\nnot gzip\r\nzz\r\n"].concat());
    let reply = client.reply();
    assert!(reply.expect(400).text().contains("corrupt"), "{}", reply.text());
    client.expect_end();
    still_serves(&server);
}

#[test]
fn others_are_answered_while_hundreds_of_peers_dawdle() {
    let server = Setup::config("workers: 2").start();
    let mut dawdlers: Vec<Client> = (0..300).map(|_| server.client()).collect();
    let request = post("/write", "slow a=1 1\n");
    for (n, client) in dawdlers.iter_mut().enumerate() {
        client.send(&request[..n % request.len()]);
    }
    let mut quick = server.client();
    for n in 0..200 {
        quick.ask(&post("/write", format!("quick a={n} {n}"))).expect(204);
    }
    // None of them was harmed either.
    for (n, client) in dawdlers.iter_mut().enumerate() {
        client.send(&request[n % request.len()..]);
        client.reply().expect(204);
    }
    assert_eq!(cat(&server.data).len(), 500);
}

#[test]
fn a_peer_that_always_has_more_to_read_gets_no_more_turns_for_it() {
    if !has_strace() {
        return;
    }
    let calls = directory();
    let calls = calls.path().join("calls");
    let strace = ["strace", "-f", "-q", "-e", "trace=recvfrom,epoll_wait", "-o", calls.to_str().unwrap()];
    let mut server = Setup::config("workers: 1").under(&strace).start();
    let lines: String = (0..400_000).map(|n| format!("m,host=h{} a=1i,b=2i,c=3i {n}\n", n % 100)).collect();
    server.ask(&post("/write", lines)).expect(204);
    server.stop();
    let (mut reads, mut most) = (0, 0);
    for call in fs::read_to_string(&calls).unwrap().lines() {
        if call.contains(" epoll_wait(") {
            reads = 0;
        } else if call.contains(" recvfrom(") {
            reads += 1;
            most = most.max(reads);
        }
    }
    // Four in a row, and once more where its rows had waited for room.
    assert!((1..=8).contains(&most), "{most} reads before others had their turn");
}

#[test]
fn connections_over_the_limit_wait_and_are_served_when_one_closes() {
    let mut server = Setup::config("workers: 2\nlimits: {connections_max: 2}").start();
    for turn in 0..4 {
        let mut first = server.client();
        first.ask(&get("/health")).expect(200);
        let mut second = server.client();
        second.ask(&get("/health")).expect(200);
        let mut third = server.client();
        third.send(&get("/health"));
        assert!(!third.has_answer_within(Duration::from_millis(50)), "two are the limit");
        if turn == 0 {
            server.line("as many connections as may be: others wait");
        }
        drop(first);
        third.reply().expect(200);
        let mut fourth = server.client();
        fourth.send(&get("/health"));
        drop(second);
        drop(third);
        fourth.reply().expect(200);
    }
}

#[test]
fn descriptors_that_run_out_are_told_of_once() {
    // Those that were accepted are not to be closed for their silence, however slow the machine is.
    let config = "workers: 1\nlimits: {idle_timeout: 1h}";
    let mut server = Setup::config(config).under(&["prlimit", "--nofile=64"]).start();
    let mut clients: Vec<Client> = (0..80).map(|_| server.client()).collect();
    server.line("accept failed");
    // Those that have no descriptor wait for one.
    let waiting = clients.split_off(40);
    drop(clients);
    for mut client in waiting {
        client.ask(&get("/health")).expect(200);
    }
    assert_eq!(server.all_lines().matches("accept failed").count(), 1);
}
