//! Lines on sockets of their own, by every transport: what is sent lies in the log, and what is not taken is counted.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::harness::{Server, Setup, directory, wait_until};
use super::log::cat;

/// A server with these elements of `listen`.
fn start(listeners: &[&str]) -> Server {
    Setup::config(&config(listeners)).start()
}

fn config(listeners: &[&str]) -> String {
    let elements: String = listeners.iter().map(|keys| format!("  - {{{keys}}}\n")).collect();
    // Two workers, so that connections move.
    format!("workers: 2\nlisten:\n{elements}")
}

/// Where the listeners are, in their order: without the scheme.
fn addresses(server: &mut Server) -> Vec<String> {
    let lines = server.all_lines();
    let listening = lines.lines().filter(|line| line.contains("listening for lines"));
    let found = listening.filter_map(|line| {
        let address = line.split(' ').find_map(|word| word.strip_prefix("address="))?;
        Some(address.trim_matches('"').split_once("://")?.1.to_owned())
    });
    found.collect()
}

fn udp(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket
}

fn tcp(address: &str, lines: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(lines.as_bytes()).unwrap();
    socket
}

fn accepted(server: &Server, protocol: &str) -> f64 {
    server.metric(&format!("tidegate_rows_accepted_total{{protocol=\"{protocol}\"}}"))
}

fn rejected(server: &Server, protocol: &str, reason: &str) -> f64 {
    server.metric(&format!("tidegate_rows_rejected_total{{protocol=\"{protocol}\",reason=\"{reason}\"}}"))
}

/// Labels and fields of the rows by this name, in order of arrival.
fn rows(all: &[Json], name: &str) -> Vec<Json> {
    let named = all.iter().filter(|row| row["labels"]["__name__"] == name);
    named.map(|row| json!([row["labels"], row["fields"], row["time"]])).collect()
}

fn value(name: &str, value: f64, time_s: i64) -> Json {
    json!([{"__name__": name}, {"value": {"f64": value}}, time_s * 1_000_000_000])
}

#[test]
fn graphite_comes_in_by_every_transport_and_is_durable_when_the_server_has_drained() {
    let mut server = start(&[
        "address: '127.0.0.1:0', protocol: graphite",
        "address: 'udp://127.0.0.1:0', protocol: graphite",
        "address: 'unix://stream.sock', protocol: graphite",
        "address: 'unixgram://datagram.sock', protocol: graphite",
    ]);
    let at = addresses(&mut server);
    let mut by_tcp = tcp(&at[0], "tcp.a 1 1\ntcp.a 2 2\ntcp.a");
    let by_udp = udp(&at[1]);
    by_udp.send(b"udp.a 1 1\nbad\nudp.a 2 2").unwrap();
    by_udp.send(b"udp.a;k=v 3 3\n").unwrap();
    let mut by_stream = UnixStream::connect(&at[2]).unwrap();
    by_stream.write_all(b"stream.a 1 1\nstream.a 2 2").unwrap();
    drop(by_stream);
    let by_datagram = UnixDatagram::unbound().unwrap();
    by_datagram.send_to(b"datagram.a 1 1\n", &at[3]).unwrap();
    // In two pieces, and with the connection left open.
    by_tcp.write_all(b" 3 3\n").unwrap();
    server.stop();
    let all = cat(&server.data);
    assert_eq!(rows(&all, "tcp.a"), [value("tcp.a", 1.0, 1), value("tcp.a", 2.0, 2), value("tcp.a", 3.0, 3)]);
    let tagged = json!([{"__name__": "udp.a", "k": "v"}, {"value": {"f64": 3.0}}, 3_000_000_000i64]);
    assert_eq!(rows(&all, "udp.a"), [value("udp.a", 1.0, 1), value("udp.a", 2.0, 2), tagged]);
    assert_eq!(rows(&all, "stream.a"), [value("stream.a", 1.0, 1), value("stream.a", 2.0, 2)]);
    assert_eq!(rows(&all, "datagram.a"), [value("datagram.a", 1.0, 1)]);
    assert_eq!(all.len(), 9);
    for path in &at[2..] {
        assert!(!PathBuf::from(path).exists(), "{path} outlived its server");
    }
}

#[test]
fn rules_change_and_drop_what_comes_in_as_lines() {
    let rules = "metric_relabel_configs: [{target_label: team, replacement: a}, {source_labels: [__name__], regex: \
                 'drop.*', action: drop}]";
    let mut server = start(&[
        &format!("address: '127.0.0.1:0', protocol: graphite, {rules}"),
        &format!("address: 'udp://127.0.0.1:0', protocol: statsd, {rules}"),
        &format!("address: 'udp://127.0.0.1:0', protocol: influx, {rules}"),
        "address: 'udp://127.0.0.1:0', protocol: graphite",
    ]);
    let at = addresses(&mut server);
    tcp(&at[0], "kept.a 1 1\ndropped.a 1 1\nkept.a 2 2\n");
    udp(&at[1]).send(b"kept.b:1|c\ndropped.b:1|c").unwrap();
    udp(&at[2]).send(b"kept.c v=1 1\ndropped.c v=1 1").unwrap();
    udp(&at[3]).send(b"dropped.d 1 1").unwrap();
    wait_until("the rows are there", || {
        accepted(&server, "graphite") == 4.0 && accepted(&server, "influx") == 2.0
    });
    server.stop();
    let all = cat(&server.data);
    let mut found: Vec<(String, Json)> = all
        .iter()
        .map(|row| (row["labels"]["__name__"].as_str().unwrap().to_owned(), row["labels"]["team"].clone()))
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let kept = |name: &str| (name.to_owned(), json!("a"));
    // One context's rules are not another's: the same protocol without rules keeps what it gets.
    let plain = ("dropped.d".to_owned(), Json::Null);
    assert_eq!(found, [plain, kept("kept.a"), kept("kept.a"), kept("kept.b"), kept("kept.c")]);
}

#[test]
fn rows_that_nobody_waits_for_are_durable_within_the_commit_interval() {
    let mut server = start(&["address: 'udp://127.0.0.1:0', protocol: influx"]);
    let at = addresses(&mut server);
    udp(&at[0]).send(b"cpu,host=a usage=1.5,n=2i 7\ncpu,host=a usage=2").unwrap();
    wait_until("the rows are durable", || cat(&server.data).len() == 2);
    let all = cat(&server.data);
    let expected = json!({"n": {"i64": 2}, "usage": {"f64": 1.5}});
    assert_eq!((&all[0]["fields"], &all[0]["time"]), (&expected, &json!(7)));
    let now_ns = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i64;
    let age_ns = now_ns - all[1]["time"].as_i64().unwrap();
    assert!((0..120_000_000_000).contains(&age_ns), "{age_ns}");
}

#[test]
fn influx_timestamps_count_in_the_listeners_precision() {
    let mut server = start(&["address: '127.0.0.1:0', protocol: influx, precision: s"]);
    let at = addresses(&mut server);
    tcp(&at[0], "cpu a=1 5\ncpu a=\"x\ny\" 6\ncpu a=2 7");
    wait_until("all rows are durable", || cat(&server.data).len() == 3);
    let mut times: Vec<i64> = cat(&server.data).iter().map(|row| row["time"].as_i64().unwrap()).collect();
    times.sort_unstable();
    assert_eq!(times, [5_000_000_000, 6_000_000_000, 7_000_000_000]);
}

#[test]
fn bad_lines_are_counted_and_said_and_cost_nothing_else() {
    let mut server = start(&["address: '127.0.0.1:0', protocol: graphite"]);
    let at = addresses(&mut server);
    let mut socket = tcp(&at[0], "good 1 1\nnonsense\ngood nan 2\ngood 3 3\n");
    wait_until("the lines are counted", || accepted(&server, "graphite") == 2.0);
    assert_eq!((rejected(&server, "graphite", "syntax"), rejected(&server, "graphite", "nan")), (1.0, 1.0));
    let said = server.line("lines not taken");
    assert!(said.contains("line=nonsense") && said.contains("rejected=2"), "{said}");
    assert!(said.contains("listener=tcp://127.0.0.1:"), "{said}");
    // The connection is as good as before, and nothing is ever sent on it.
    socket.write_all(b"good 4 4\n").unwrap();
    wait_until("the next line is counted", || accepted(&server, "graphite") == 3.0);
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(socket.read(&mut [0; 16]).unwrap(), 0);
    assert_eq!(server.metric("tidegate_samples_accepted_total{protocol=\"graphite\"}"), 3.0);
}

#[test]
fn connections_are_many_and_lines_in_pieces_are_whole() {
    let mut server = start(&["address: '127.0.0.1:0', protocol: graphite"]);
    let at = addresses(&mut server);
    let mut sockets: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(&at[0]).unwrap()).collect();
    let (lines, pieces) = (20, 7);
    let text = |connection: usize| -> String {
        (0..lines).map(|line| format!("m.c{connection} {line} {line}\n")).collect()
    };
    let texts: Vec<String> = (0..sockets.len()).map(text).collect();
    for piece in 0..pieces {
        for (socket, text) in sockets.iter_mut().zip(&texts) {
            let cut = |n: usize| text.len() * n / pieces;
            socket.write_all(&text.as_bytes()[cut(piece)..cut(piece + 1)]).unwrap();
        }
    }
    let sent = (sockets.len() * lines) as f64;
    wait_until("all lines are counted", || accepted(&server, "graphite") == sent);
    wait_until("they are shown", || server.metric("tidegate_connections") >= sockets.len() as f64);
    drop(sockets);
    wait_until("they are gone", || server.metric("tidegate_connections") <= 1.0);
    server.stop();
    let all = cat(&server.data);
    for connection in 0..texts.len() {
        let name = format!("m.c{connection}");
        let expected: Vec<Json> = (0..lines).map(|line| value(&name, line as f64, line as i64)).collect();
        assert_eq!(rows(&all, &name), expected);
    }
}

#[test]
fn more_than_the_engine_has_room_for_at_once_is_taken_whole() {
    let mut server = start(&["address: '127.0.0.1:0', protocol: graphite"]);
    let at = addresses(&mut server);
    let count = 300_000;
    let lines: String = (0..count).map(|n| format!("m.{} {n} {n}\n", n % 1000)).collect();
    tcp(&at[0], &lines);
    wait_until("all lines are counted", || accepted(&server, "graphite") == f64::from(count));
    server.stop();
    let mut found: Vec<u64> =
        cat(&server.data).iter().map(|row| row["fields"]["value"]["f64"].as_f64().unwrap() as u64).collect();
    found.sort_unstable();
    assert!(found.iter().copied().eq(0..u64::try_from(count).unwrap()));
}

#[test]
fn silent_connections_are_closed_only_where_that_is_wanted() {
    let mut server = start(&[
        "address: '127.0.0.1:0', protocol: graphite, idle_timeout: 300ms",
        "address: '127.0.0.1:0', protocol: graphite",
    ]);
    let at = addresses(&mut server);
    let (mut short, _long) = (tcp(&at[0], "a 1 1\n"), tcp(&at[1], "b 1 1\n"));
    assert_eq!(short.read(&mut [0; 16]).unwrap(), 0);
    // The other one and the one that asks.
    assert_eq!(server.metric("tidegate_connections").max(2.0), 2.0);
    assert_eq!(accepted(&server, "graphite"), 2.0);
}

#[test]
fn statsd_is_added_up_until_the_flush_and_what_is_left_at_the_drain() {
    let mut server =
        start(&["address: 'udp://127.0.0.1:0', protocol: statsd, flush_interval: 1h, percentiles: [50]"]);
    let at = addresses(&mut server);
    let socket = udp(&at[0]);
    for n in 1..=10 {
        socket
            .send(format!("hits:1|c\nsize:{n}|h|#k:v\nusers:u{}|s\nlevel:{n}|g", n % 3).as_bytes())
            .unwrap();
    }
    socket.send(b"old:5|c|T100\n_e{5,4}:title|text|d:200\n_sc|disk|1\nbad\n").unwrap();
    // What has a time of its own does not wait.
    wait_until("they are durable", || cat(&server.data).len() == 3);
    let all = cat(&server.data);
    assert_eq!(rows(&all, "old"), [value("old", 5.0, 100)]);
    let event = &rows(&all, "statsd_event")[0];
    assert_eq!(event[0], json!({"__name__": "statsd_event", "source": "127.0.0.1"}));
    assert_eq!((&event[1]["title"], &event[2]), (&json!({"string": "title"}), &json!(200_000_000_000i64)));
    let check = &rows(&all, "statsd_service_check")[0];
    assert_eq!(check[1], json!({"status": {"i64": 1}, "status_text": {"string": "warning"}}));
    assert_eq!(rejected(&server, "statsd", "syntax"), 1.0);
    server.stop();
    let all = cat(&server.data);
    let fields = |name: &str| rows(&all, name).iter().map(|row| row[1].clone()).collect::<Vec<_>>();
    assert_eq!(fields("hits"), [json!({"value": {"f64": 10.0}})]);
    assert_eq!(fields("users"), [json!({"value": {"f64": 3.0}})]);
    assert_eq!(fields("level"), [json!({"value": {"f64": 10.0}})]);
    let size = json!({
        "count": {"i64": 10}, "max": {"f64": 10.0}, "min": {"f64": 1.0}, "p50": {"f64": 5.0}, "sum": {"f64": 55.0},
    });
    assert_eq!(fields("size"), [size]);
    assert_eq!(all.len(), 7);
}

#[test]
fn statsd_over_connections_is_added_up_by_listener() {
    let mut server = start(&[
        "address: '127.0.0.1:0', protocol: statsd, flush_interval: 1h, series_max: 2",
        "address: 'unix://statsd.sock', protocol: statsd, flush_interval: 1h",
    ]);
    let at = addresses(&mut server);
    for _ in 0..6 {
        drop(tcp(&at[0], "a:1|c\nb:2|c"));
    }
    drop(tcp(&at[0], "c:1|c\n"));
    let mut by_path = UnixStream::connect(&at[1]).unwrap();
    by_path.write_all(b"a:5|c\n").unwrap();
    wait_until("the limit is reached", || {
        server.ask(&super::client::get("/metrics")).text().contains("series_limit")
    });
    server.stop();
    let all = cat(&server.data);
    let values = |name: &str| -> Vec<f64> {
        let mut values: Vec<f64> =
            rows(&all, name).iter().map(|row| row[1]["value"]["f64"].as_f64().unwrap()).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    assert_eq!((values("a"), values("b"), values("c")), (vec![5.0, 6.0], vec![12.0], vec![]));
}

#[test]
fn dogstatsd_packets_come_in_on_a_path() {
    let mut server = start(&["address: 'unix://statsd.sock', protocol: statsd, flush_interval: 1h"]);
    let path = addresses(&mut server).remove(0);
    let packet = |lines: &str| [&(lines.len() as u32).to_le_bytes()[..], lines.as_bytes()].concat();
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.write_all(&packet("a:1|c\nb:2|c")).unwrap();
    socket.write_all(&packet("a:4|c|T100\n")).unwrap();
    wait_until("the row with a time is durable", || !cat(&server.data).is_empty());
    // Out of step: the server hangs up, so that the client begins again.
    socket.write_all(b"a:8|c\n").unwrap();
    assert_eq!(socket.read(&mut [0; 8]).unwrap(), 0);
    UnixStream::connect(&path).unwrap().write_all(&packet("b:8|c")).unwrap();
    server.stop();
    let all = cat(&server.data);
    let sums =
        |name: &str| rows(&all, name).iter().map(|row| row[1]["value"]["f64"].clone()).collect::<Vec<_>>();
    assert_eq!((sums("a"), sums("b")), (vec![json!(4.0), json!(1.0)], vec![json!(10.0)]));
}

#[test]
fn statsd_is_flushed_each_interval_and_gauges_go_on() {
    let mut server = start(&["address: 'udp://127.0.0.1:0', protocol: statsd, flush_interval: 100ms"]);
    let at = addresses(&mut server);
    let socket = udp(&at[0]);
    socket.send(b"hits:1|c\nlevel:7|g").unwrap();
    wait_until("the gauge is there three times", || rows(&cat(&server.data), "level").len() >= 3);
    socket.send(b"hits:2|c\nlevel:-3|g").unwrap();
    wait_until("the second sum is there", || rows(&cat(&server.data), "hits").len() == 2);
    let all = cat(&server.data);
    let values = |name: &str| {
        rows(&all, name).iter().map(|row| row[1]["value"]["f64"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(values("hits"), [1.0, 2.0]);
    let levels = values("level");
    assert!(levels.starts_with(&[7.0, 7.0, 7.0]) && levels.ends_with(&[4.0]), "{levels:?}");
    let times: Vec<i64> = rows(&all, "level").iter().map(|row| row[2].as_i64().unwrap()).collect();
    assert!(times.windows(2).all(|w| w[1] - w[0] >= 50_000_000), "{times:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn datagrams_that_the_kernel_drops_are_counted() {
    let mut server = start(&["address: 'udp://127.0.0.1:0', protocol: graphite, receive_buffer: 1KiB"]);
    let at = addresses(&mut server);
    let socket = udp(&at[0]);
    let sent = 500;
    server.signal("STOP");
    for n in 0..sent {
        socket.send(format!("a {n} 1\n").as_bytes()).unwrap();
    }
    server.signal("CONT");
    let count = |server: &Server, what: &str| {
        server.metric(&format!("tidegate_datagrams_{what}_total{{listener=\"udp://{}\"}}", at[0]))
    };
    wait_until("all are accounted for", || {
        count(&server, "received") + count(&server, "dropped") == f64::from(sent)
    });
    let received = count(&server, "received");
    assert!(received > 0.0 && count(&server, "dropped") > 0.0, "{received} received");
    wait_until("those received are taken", || accepted(&server, "graphite") == received);
}

#[test]
fn a_path_that_a_killed_server_left_is_taken_over_and_a_live_one_is_not() {
    let directory = directory();
    let socket = directory.path().join("lines.sock");
    let listener = format!("address: 'unix://{}', protocol: graphite", socket.display());
    let first = start(&[&listener]);
    let file = std::fs::metadata(&socket).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660);
    let (status, said) = Setup::config(&config(&[&listener])).fail();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("cannot listen on unix://"), "{said}");
    first.kill();
    assert!(socket.exists());
    let mut second = start(&[&listener]);
    UnixStream::connect(&socket).unwrap().write_all(b"a 1 1\n").unwrap();
    second.stop();
    assert_eq!(cat(&second.data).len(), 1);
    assert!(!socket.exists());
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_next_one_is_not() {
    let mut server = start(&[
        "address: '127.0.0.1:0', protocol: graphite",
        "address: '127.0.0.1:0', protocol: statsd, flush_interval: 1h",
    ]);
    let at = addresses(&mut server);
    let long = "x".repeat(3 << 20);
    tcp(&at[0], &format!("{long} 1 1\na 1 1\n"));
    tcp(&at[1], &format!("{long}:1|c\na:1|c\n"));
    wait_until("the row is counted", || accepted(&server, "graphite") == 1.0);
    wait_until("the line is counted", || {
        server.ask(&super::client::get("/metrics")).text().contains("protocol=\"statsd\",reason")
    });
    assert_eq!(rejected(&server, "graphite", "too_large"), 1.0);
    assert_eq!(rejected(&server, "statsd", "too_large"), 1.0);
    server.stop();
    assert_eq!(cat(&server.data).len(), 2);
}

#[test]
fn opentsdb_puts_are_silent_and_faults_are_answered_on_the_connection() {
    let mut server = start(&["address: '127.0.0.1:0', protocol: opentsdb"]);
    let at = addresses(&mut server);
    let mut socket = tcp(&at[0], "put m 1 5 host=a\nput m x 5\nget m\nput m 1 1.5 host=a\n");
    let mut answers = String::new();
    while answers.lines().count() < 2 {
        let mut piece = [0; 1024];
        let n = socket.read(&mut piece).unwrap();
        assert!(n > 0, "{answers}");
        answers.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
    let lines: Vec<&str> = answers.lines().collect();
    assert!(lines[0].starts_with("put: ") && lines[1].contains("get"), "{answers}");
    socket.write_all(b"put m 2 6 host=a").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(socket.read(&mut [0; 16]).unwrap(), 0);
    wait_until("the rows are durable", || cat(&server.data).len() == 3);
    // One for its command, one for its timestamp.
    assert_eq!(rejected(&server, "opentsdb", "syntax"), 1.0);
}

#[test]
fn opentsdbs_clients_may_ask_whether_somebody_is_there() {
    let mut server = start(&[
        "address: '127.0.0.1:0', protocol: opentsdb",
        "address: 'udp://127.0.0.1:0', protocol: opentsdb",
    ]);
    let at = addresses(&mut server);
    let mut socket = tcp(&at[0], "version\n");
    let mut version = [0; 9];
    socket.read_exact(&mut version).unwrap();
    assert_eq!(&version, b"tidegate ");
    socket.write_all(b"put m 1 5 host=a\nhelp\nstats\nexit\n").unwrap();
    let mut rest = String::new();
    // The server ends the connection, not the client.
    socket.read_to_string(&mut rest).unwrap();
    let lines: Vec<&str> = rest.lines().skip(1).collect();
    assert_eq!(lines, ["available commands: put version help exit", "unknown command: stats.  Try `help'."]);
    let datagrams = udp(&at[1]);
    for datagram in ["version\nexit\n", "help\nput m 2 6 host=a\nexit", "put m 3 7 host=a"] {
        datagrams.send(datagram.as_bytes()).unwrap();
    }
    wait_until("the rows are durable", || cat(&server.data).len() == 3);
    let page = server.ask(&super::client::get("/metrics"));
    assert!(!page.text().contains("tidegate_rows_rejected_total{protocol=\"opentsdb\""), "{}", page.text());
}
