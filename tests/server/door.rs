//! Who may come in, whose rows these are, what becomes of their labels, and how a reload changes it.

use std::fs;
use std::net::UdpSocket;

use serde_json::{Value as Json, json};

use super::client::{Client, get, post, request};
use super::harness::{Setup, wait_until};
use super::log::cat;

/// A listener with these further lines.
fn listen(lines: &str) -> Setup {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    Setup::config(&format!("listen:\n  - address: 127.0.0.1:0\n{lines}")).listening()
}

/// The labels of all rows, by their time.
fn labels(data: &std::path::Path) -> Vec<(i64, Json)> {
    let mut rows: Vec<_> =
        cat(data).iter().map(|row| (row["time"].as_i64().unwrap(), row["labels"].clone())).collect();
    rows.sort_by_key(|(time, _)| *time);
    rows
}

const DROP_TEST: &str = "metric_relabel_configs:
  - {source_labels: [env], regex: test, action: drop}
  - {source_labels: [host], regex: '(.*)\\.example', target_label: host, replacement: $1}
  - {regex: env, action: labeldrop}";

#[test]
fn rules_change_labels_and_what_they_drop_counts_as_taken_and_is_not_kept() {
    let mut server = listen(DROP_TEST).start();
    let mut client = server.client();
    let body = "m,env=prod,host=a.example v=1 1\nm,env=test,host=a.example v=2 2\nm,env=prod,host=b v=3 3\n";
    client.ask(&post("/write", body)).expect(204);
    // Nothing of it is kept: there is no commit to wait for, and an answer all the same.
    client.ask(&post("/write", "m,env=test,host=a.example v=2 4\n")).expect(204);
    client.ask(&post("/api/v2/write", "m,env=test v=2 5\nm,env=prod v=1 6\n")).expect(204);
    assert_eq!(server.metric("tidegate_rows_accepted_total{protocol=\"influx\"}"), 6.0);
    assert_eq!(server.metric("tidegate_rows_dropped_total"), 3.0);
    assert_eq!(server.metric("tidegate_series"), 3.0);
    server.stop();
    let expected = [
        (1, json!({"__name__": "m", "host": "a"})),
        (3, json!({"__name__": "m", "host": "b"})),
        (6, json!({"__name__": "m"})),
    ];
    assert_eq!(labels(&server.data), expected);
}

#[test]
fn a_partial_write_counts_dropped_rows_among_the_accepted() {
    let mut server = listen(DROP_TEST).start();
    let reply = server.ask(&post("/write", "m,env=test v=1 1\nbad\nm v=1 2\n"));
    assert_eq!((&reply.expect(400).json()["accepted"], &reply.json()["rejected"]), (&json!(2), &json!(1)));
    server.stop();
    assert_eq!(labels(&server.data).len(), 1);
}

#[test]
fn a_tenant_is_stored_as_the_request_names_it() {
    let mut server = listen("tenant_label: team").start();
    let mut client = server.client();
    let org = [("X-Scope-OrgID", "head")];
    for (time, target, headers) in [
        (1, "/write?db=one", &[][..]),
        (2, "/write?db=two&precision=ns", &[]),
        (3, "/api/v2/write?org=o&bucket=th%20ree", &[]),
        (4, "/api/v3/write_lp?db=four&precision=nanosecond", &org),
        (5, "/write", &org),
        (6, "/write?db=", &[]),
        (7, "/api/v2/write?db=no", &[]),
    ] {
        client.ask(&request("POST", target, headers, format!("m v=1 {time}").as_bytes())).expect(204);
    }
    client.ask(&post("/write?db=one", "m,team=mine v=1 8\n")).expect(204);
    client.ask(&post("/write", "m,team=mine v=1 9\n")).expect(204);
    let long = format!("/write?db={}", "x".repeat(1025));
    client.ask(&post(&long, "m v=1 9\n")).expect(400);
    server.stop();
    let team = |name: &str| json!({"__name__": "m", "team": name});
    let nobody = json!({"__name__": "m"});
    let expected = [
        (1, team("one")),
        (2, team("two")),
        (3, team("th ree")),
        (4, team("four")),
        (5, team("head")),
        (6, nobody.clone()),
        (7, nobody),
        (8, team("one")),
        (9, team("mine")),
    ];
    assert_eq!(labels(&server.data), expected);
}

#[test]
fn a_reload_changes_rules_and_limits_while_a_connection_lives() {
    let config = |rules: &str, size: &str| {
        format!(
            "listen:\n  - address: 127.0.0.1:0\n    metric_relabel_configs: {rules}\nlimits: {{body_size_max: {size}}}\n"
        )
    };
    let drop = "[{source_labels: [a], regex: '1', action: drop}]";
    let mut server = Setup::config(&config(drop, "1MB")).listening().start();
    let path = server.config_path();
    let mut client = server.client();
    let write = |client: &mut Client, time: u32| {
        client.ask(&post("/write", format!("m,a=1 v=1 {time}"))).expect(204);
    };
    write(&mut client, 1);

    let stamp = "tidegate_config_last_reload_success_timestamp_seconds";
    let started = server.metric(stamp);
    assert!(started > 1.6e9);
    fs::write(&path, config("[{target_label: b, replacement: x}]", "2KB")).unwrap();
    // The client knows that it was taken over when it has the answer.
    client.ask(&post("/-/reload", "")).expect(200);
    write(&mut client, 2);
    client.ask(&post("/write", vec![b' '; 3000])).expect(413);
    let mut client = server.client();
    assert!(server.metric(stamp) > started);

    // What can't be used changes nothing, not even what could be.
    for (text, why) in [
        (config("[{action: hashmod, target_label: x}]", "4KB"), "requires non-zero modulus"),
        (config(drop, "4KB") + "workers: 99\n", "workers needs a restart"),
        ("listen: [{address: '127.0.0.1:1'}]\n".to_owned(), "listen, listen.*"),
    ] {
        fs::write(&path, text).unwrap();
        let reply = client.ask(&request("PUT", "/-/reload", &[], b""));
        assert!(reply.expect(500).text().contains(why) || why.starts_with("listen,"), "{}", reply.text());
        assert_eq!(server.metric("tidegate_config_last_reload_successful"), 0.0);
    }
    write(&mut client, 3);
    client.ask(&post("/write", vec![b' '; 3000])).expect(413);

    let mut client = server.client();
    fs::write(&path, config(drop, "4KB")).unwrap();
    server.signal("HUP");
    server.line("configuration reloaded");
    server.line("configuration reloaded");
    wait_until("the metrics say so", || server.metric("tidegate_config_last_reload_successful") == 1.0);
    write(&mut client, 4);
    client.ask(&post("/write", vec![b'\n'; 3000])).expect(204);
    client.ask(&get("/-/reload")).expect(405);
    server.stop();
    let kept = json!({"__name__": "m", "a": "1", "b": "x"});
    assert_eq!(labels(&server.data), [(2, kept.clone()), (3, kept)]);
}

/// bcrypt of `secret`, at the least cost.
fn hash() -> String {
    bcrypt::hash("secret", 4).unwrap()
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

#[test]
fn who_shows_nothing_or_the_wrong_thing_is_told_so_before_the_body_is_read() {
    let lines = format!("basic_auth_users: {{ann: '{}'}}\nbearer_token_files: [token]", hash());
    let mut server = listen(&lines).file("token", "t0ken\n").start();
    let row = b"m v=1 1";
    let ask = |target: &str, authorization: &str| {
        server.ask(&request("POST", target, &[("Authorization", authorization)], row))
    };
    for shown in ["", "Basic", "Basic %%", "Bearer wrong", &basic("ann", "wrong"), &basic("bob", "secret")] {
        let reply = ask("/write", shown);
        let said = json!({"error": "unauthorized", "accepted": 0, "rejected": 0, "errors": []});
        assert_eq!(reply.expect(401).json(), said, "{shown}");
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"tidegate\""));
    }
    assert_eq!(ask("/api/v2/write", "").expect(401).json()["code"], "unauthorized");
    server.ask(&get("/metrics")).expect(401);
    server.ask(&get("/nowhere")).expect(401);
    server.ask(&post("/-/reload", "")).expect(401);
    // A body that is not sent until it is asked for never is.
    let expecting = "POST /write HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    server.ask(expecting.as_bytes()).expect(401);

    for shown in [&basic("ann", "secret"), "Bearer t0ken", "Token t0ken"] {
        ask("/write", shown).expect(204);
        ask("/-/reload", shown).expect(200);
    }
    let page = server.ask(&request("GET", "/metrics", &[("Authorization", "Bearer t0ken")], b""));
    assert!(
        page.expect(200).text().contains("tidegate_http_requests_unauthorized_total 11\n"),
        "{}",
        page.text()
    );
    // Requests behind one that is looked at wait for it, in order.
    let mut client = server.client();
    let mut both = request("POST", "/write", &[("Authorization", &basic("ann", "secret "))], row);
    both.extend(request("POST", "/write", &[("Authorization", "Bearer t0ken")], row));
    client.send(&both);
    client.reply().expect(401);
    client.reply().expect(204);
    server.stop();
    assert_eq!(cat(&server.data).len(), 4);
}

#[test]
fn a_token_that_is_taken_away_shuts_its_connections_out_without_a_word() {
    let server = listen("bearer_token_files: [token, other]")
        .file("token", "t0ken\n")
        .file("other", "0ther\n")
        .start();
    let shown =
        |token: &str| request("POST", "/write", &[("Authorization", &format!("Bearer {token}"))], b"m v=1 1");
    let mut living = server.client();
    let mut status = |token: &str| living.ask(&shown(token)).status;
    assert_eq!((status("t0ken"), status("n3w")), (204, 401));
    let file = server.config_path().with_file_name("token");
    fs::write(&file, "n3w\n").unwrap();
    wait_until("the new token opens", || status("n3w") == 204);
    assert_eq!((status("t0ken"), status("0ther")), (401, 204));
    fs::remove_file(&file).unwrap();
    wait_until("the deleted token opens nothing", || status("n3w") == 401);
    let other = server.config_path().with_file_name("other");
    fs::write(&other, "").unwrap();
    wait_until("the emptied token opens nothing", || status("0ther") == 401);
    // Without any token left, the door is shut to those who show none, too.
    living.ask(&post("/write", "m v=1 1")).expect(401);
    fs::write(&file, "t0ken\n").unwrap();
    wait_until("a token opens again", || living.ask(&shown("t0ken")).status == 204);
}

#[test]
fn influxdb_1s_clients_may_show_who_they_are_in_the_query() {
    let mut server = listen(&format!("basic_auth_users: {{ann: '{}'}}", hash())).start();
    server.ask(&post("/write?u=ann&p=secret", "m v=1 1")).expect(204);
    server.ask(&post("/query?u=ann&p=secret&q=SHOW+DATABASES", "")).expect(200);
    // What the query says goes before the header.
    let header = basic("ann", "secret");
    let both = request("POST", "/write?u=ann&p=wrong", &[("Authorization", &header)], b"m v=2 2");
    server.ask(&both).expect(401);
    let half = request("POST", "/write?u=ann&p=", &[("Authorization", &header)], b"m v=3 3");
    server.ask(&half).expect(204);
    // Other paths are not InfluxDB 1's.
    for path in ["/api/v2/write", "/api/v3/write_lp", "/-/reload"] {
        server.ask(&post(&format!("{path}?u=ann&p=secret"), "m v=4 4")).expect(401);
    }
    server.stop();
    assert_eq!(cat(&server.data).len(), 2);
}

#[test]
fn other_connections_do_not_wait_while_a_password_is_compared() {
    // A comparison of cost 14 takes a second or more.
    let slow = bcrypt::hash("secret", 4).unwrap().replace("$04$", "$14$");
    let lines = format!("basic_auth_users: {{ann: '{slow}'}}\nbearer_token_files: [token]");
    let config =
        format!("workers: 1\nlisten:\n  - address: 127.0.0.1:0\n    {}\n", lines.replace('\n', "\n    "));
    let server = Setup::config(&config).listening().file("token", "t0ken").start();
    let mut slow = server.client();
    slow.send(&request("POST", "/write", &[("Authorization", &basic("ann", "x"))], b"m v=1"));
    let answered = (0..20)
        .take_while(|_| {
            let reply =
                server.ask(&request("POST", "/write", &[("Authorization", "Bearer t0ken")], b"m v=1"));
            reply.expect(204);
            !slow.has_answer_within(std::time::Duration::from_millis(1))
        })
        .count();
    assert!(answered > 0, "the first comparison was over before another connection was answered");
}

#[test]
fn without_credentials_only_this_machine_may_have_the_configuration_loaded() {
    let server = Setup::config("listen: [{address: '0.0.0.0:0'}]").listening().start();
    let port = server.address.rsplit(':').next().unwrap();
    Client::connect(&format!("127.0.0.1:{port}")).ask(&post("/-/reload", "")).expect(200);
    // No packet is sent: the system says from which address one would be.
    let own = UdpSocket::bind("0.0.0.0:0").unwrap();
    let Ok(()) = own.connect("192.0.2.1:9") else {
        return println!("this machine has no address but the loopback's: nothing was tested");
    };
    let own = own.local_addr().unwrap().ip();
    let reply = Client::connect(&format!("{own}:{port}")).ask(&post("/-/reload", ""));
    reply.expect(403);
}

#[test]
fn each_listener_has_its_own_door() {
    let config = format!(
        "workers: 2\nlisten:\n  - address: 127.0.0.1:0\n    tenant_label: a\n  - address: 127.0.0.1:0\n    \
         basic_auth_users: {{ann: '{}'}}\n    metric_relabel_configs: [{{target_label: b, replacement: x}}]\n",
        hash()
    );
    let mut server = Setup::config(&config).listening().start();
    let addresses: Vec<String> = server.address.split(',').map(str::to_owned).collect();
    for time in [1, 2, 3, 4] {
        let body = format!("m v=1 {time}");
        Client::connect(&addresses[0]).ask(&post("/write?db=x", &body)).expect(204);
        Client::connect(&addresses[1]).ask(&post("/write?db=x", &body)).expect(401);
        let shown = basic("ann", "secret");
        let known = request("POST", "/write?db=x", &[("Authorization", &shown)], body.as_bytes());
        Client::connect(&addresses[1]).ask(&known).expect(204);
    }
    server.stop();
    let rows = labels(&server.data);
    assert_eq!(rows.len(), 8);
    for pair in rows.chunks(2) {
        let mut found = [pair[0].1.to_string(), pair[1].1.to_string()];
        found.sort();
        assert_eq!(found, [r#"{"__name__":"m","a":"x"}"#, r#"{"__name__":"m","b":"x"}"#]);
    }
}

#[test]
fn a_server_with_a_door_that_cannot_be_made_does_not_start() {
    let (status, said) = listen("tls_server_config: {cert_file: none.pem, key_file: none.key}").fail();
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("tidegate.yml:3:36: listen.tls_server_config.cert_file: "), "{said}");
    let (status, said) = listen("basic_auth_users: {ann: secret}").fail();
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("basic_auth_users.ann: not a bcrypt hash"), "{said}");
}
