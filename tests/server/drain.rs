//! Stopping: what is under way is answered, what is new is sent elsewhere, and the next start goes on from there.

use super::client::{Client, get, head, post};
use super::harness::{Server, Setup};
use super::log::{cat, ls, verify};

/// A write of which the server has everything but the last byte.
fn half_sent(server: &Server, n: usize) -> Client {
    let mut client = server.client();
    // The first request shows that the connection is served: what follows is not in an accept queue.
    client.ask(&get("/health")).expect(200);
    let request = post("/write", format!("half,n={n} a=1 {n}\n"));
    client.send(&request[..request.len() - 1]);
    client
}

#[test]
fn what_is_under_way_is_answered_and_what_is_new_is_refused() {
    let mut server = Setup::config("workers: 2").start();
    let mut halves: Vec<Client> = (0..4).map(|n| half_sent(&server, n)).collect();
    let mut watching: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for client in &mut watching {
        client.ask(&get("/ready")).expect(200);
    }
    server.signal("TERM");
    server.line("draining");
    for (n, client) in watching.iter_mut().enumerate() {
        match n % 2 {
            0 => client.ask(&get("/ready")).expect(503),
            _ => client.ask(&post("/write", "new a=1 1")).expect(503),
        };
    }
    let mut late = server.client();
    late.ask(&get("/ready")).expect(503);
    for client in &mut halves {
        client.send(b"\n");
        client.reply().expect(204);
        client.expect_end();
    }
    assert_eq!(server.code(), Some(0), "{}", server.all_lines());
    assert_eq!(cat(&server.data).len(), 4);
    verify(&server.data);
}

#[test]
fn answers_that_wait_for_a_commit_come_before_the_end() {
    let mut server = Setup::config("data: {commits_per_second_max: 1}").start();
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ask(&get("/health")).expect(200);
    }
    let before = server.metric("tidegate_http_requests_total");
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(&post("/write", format!("m a={n} {n}")));
    }
    super::harness::wait_until("all writes were taken", || {
        server.metric("tidegate_http_requests_total") >= before + 8.0
    });
    server.signal("TERM");
    for client in &mut clients {
        client.reply().expect(204);
    }
    assert_eq!(server.code(), Some(0));
    assert_eq!(cat(&server.data).len(), 8);
}

#[test]
fn the_second_signal_leaves_at_once() {
    let mut server = Server::start();
    let _half = half_sent(&server, 0);
    server.signal("TERM");
    server.line("draining");
    server.signal("TERM");
    assert_eq!(server.code(), Some(128 + 15));
    // The log is as sound as after any sudden end.
    Setup::config("").data(&server.data).start().stop();
    verify(&server.data);
}

#[test]
fn a_stopped_servers_segments_are_sealed_and_the_next_goes_on() {
    let mut server = Setup::config("workers: 1").start();
    server.ask(&post("/write", "m a=1 1")).expect(204);
    server.stop();
    let listed = ls(&server.data);
    assert!(listed.contains("sealed") && !listed.contains("open"), "{listed}");
    for round in 2..5 {
        let mut next = Setup::config("workers: 1").data(&server.data).start();
        next.ask(&post("/write", format!("m a={round} {round}"))).expect(204);
        next.stop();
    }
    let times: Vec<i64> = cat(&server.data).iter().map(|row| row["time"].as_i64().unwrap()).collect();
    assert_eq!(times, [1, 2, 3, 4], "in order of arrival");
    verify(&server.data);
}

#[test]
fn a_server_with_fewer_workers_takes_over_the_segments_of_all() {
    let mut server = Setup::config("workers: 3").start();
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.ask(&post("/write", format!("m a={n} {n}"))).expect(204);
    }
    let data = server.data.clone();
    server.signal("KILL");
    server.code();
    let mut fewer = Setup::config("workers: 1").data(&data).start();
    fewer.ask(&post("/write", "m a=9 9")).expect(204);
    assert_eq!(cat(&data).len(), 4);
    fewer.stop();
    assert_eq!(cat(&data).len(), 4);
    verify(&data);
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let mut server = Server::start();
    let mut idle = server.client();
    idle.ask(&get("/health")).expect(200);
    let mut begun = server.client();
    begun.ask(&get("/health")).expect(200);
    begun.send(&head("POST", "/write", &[])[..10]);
    server.stop();
    idle.expect_end();
}
