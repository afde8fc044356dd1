//! The way to a target: credentials, redirects, proxies, connections that servers close.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate::scrape::status::Health;
use tidegate::scrape::{
    Authorization, BasicAuth, ClientOptions, Credential, Job, ProxyEnvironment, ProxyOptions,
};

use super::gateway::{Gateway, job, job_of};
use super::target::{Target, answer, text};

fn with_token(job: Job) -> Job {
    let credentials = Some(Credential::Text("secret".into()));
    let authorization = Some(Authorization { kind: "Bearer".into(), credentials });
    Job { client: ClientOptions { authorization, ..ClientOptions::default() }, ..job }
}

#[test]
fn credentials_and_headers_are_shown_and_never_told() {
    let guarded = Target::start(|asked| match asked.header("Authorization") {
        // user:password
        Some("Basic dXNlcjpwYXNzd29yZA==") if asked.header("X-Own") == Some("yes") => text("a 1\n"),
        _ => answer("401 Unauthorized", "", b""),
    });
    let gateway = Gateway::start();
    let plain = job("j", guarded.address);
    gateway.scrape(vec![plain.clone()]);
    assert_eq!(gateway.wait_for(&plain, Health::Down), "server returned HTTP status 401 Unauthorized");
    let text = |text: &str| Credential::Text(text.to_owned());
    let client = ClientOptions {
        basic_auth: Some(BasicAuth { username: text("user"), password: Some(text("password")) }),
        headers: vec![("X-Own".into(), vec![text("yes")])],
        ..ClientOptions::default()
    };
    let job = Job { client, ..plain };
    gateway.scrape(vec![job.clone()]);
    gateway.wait_for(&job, Health::Up);
    assert!(!format!("{job:?}").contains("password\""));
}

#[test]
fn redirects_are_followed_and_take_no_credentials_elsewhere() {
    let other = Target::saying("a 1\n");
    let to = other.address;
    let first = Target::start(move |asked| match asked.path() {
        "/metrics" => answer("302 Found", "Location: here\r\n", b"ignored"),
        "/here" => answer("307 Temporary Redirect", &format!("Location: http://{to}/there?x=1\r\n"), b""),
        _ => answer("302 Found", "Location: /round\r\n", b""),
    });
    let gateway = Gateway::start();
    let followed = with_token(job("followed", first.address));
    let not = Job {
        client: ClientOptions { follow_redirects: false, ..ClientOptions::default() },
        ..job("not", first.address)
    };
    let patient = std::time::Duration::from_secs(5);
    let job = |name, address| Job { interval: patient, timeout: patient, ..job(name, address) };
    let round = Job { metrics_path: "/round".into(), ..job("round", first.address) };
    gateway.scrape(vec![followed.clone(), not.clone(), round.clone()]);
    gateway.wait_for(&followed, Health::Up);
    assert_eq!(gateway.wait_for(&not, Health::Down), "server returned HTTP status 302 Found");
    assert!(gateway.wait_for(&round, Health::Down).contains("stopped after 10 redirects"));
    let asked = first.asked();
    let here = asked.iter().find(|asked| asked.path() == "/here").unwrap();
    assert_eq!(here.header("Authorization"), Some("Bearer secret"), "the same server");
    assert_eq!(other.asked()[0].path(), "/there?x=1");
    assert_eq!(other.asked()[0].header("Authorization"), None, "another server");
}

#[test]
fn a_connection_that_its_server_closed_is_made_anew_and_nothing_is_lost() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    // Says that it stays, and goes.
    let target = Target::raw(move |socket| {
        counted.fetch_add(1, Ordering::SeqCst);
        _ = socket.write_all(&text("a 1\n"));
    });
    let gateway = Gateway::start();
    let job = job("j", target.address);
    gateway.scrape(vec![job.clone()]);
    gateway.wait_for_rows("three scrapes", |rows| {
        rows.iter().filter(|row| row.series.starts_with("up{")).count() >= 3
    });
    let rows = gateway.stop();
    assert!(
        rows.iter()
            .filter(|row| row.series.starts_with("up{"))
            .all(|row| row.value == 1.0 || row.value == "stale")
    );
    assert!(count.load(Ordering::SeqCst) >= 3);
}

#[test]
fn names_are_looked_up_and_each_address_is_tried() {
    let target = Target::saying("a 1\n");
    let gateway = Gateway::start();
    // Where this is ::1 first, nobody listens there.
    let job_of = |name: &str, host: &str| job_of(name, &[format!("{host}:{}", target.address.port())]);
    let (found, unknown) = (job_of("found", "localhost"), job_of("unknown", "no.such.host.invalid"));
    gateway.scrape(vec![found.clone(), unknown.clone()]);
    gateway.wait_for(&found, Health::Up);
    let error = gateway.wait_for(&unknown, Health::Down);
    assert!(error.contains("lookup no.such.host.invalid") || error.contains("deadline exceeded"), "{error}");
}

/// A proxy that forwards to one server whatever it is asked for, and opens tunnels to it.
fn proxy(to: SocketAddr) -> Target {
    Target::raw(move |socket| {
        // The head has been read; the test looks at it.
        let mut server = TcpStream::connect(to).unwrap();
        server.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = [0; 1 << 12];
        let n = server.read(&mut answer).unwrap();
        _ = socket.write_all(&answer[..n]);
    })
}

#[test]
fn a_proxy_is_asked_for_the_whole_url_unless_the_server_is_excepted() {
    let target = Target::saying("a 1\n");
    let proxy = proxy(target.address);
    let url = format!("http://user:p%40ss@{}", proxy.address);
    let job_with = |name: &str, options: ProxyOptions| Job {
        client: ClientOptions { proxy: options, ..ClientOptions::default() },
        ..job_of(name, &["elsewhere.invalid:9100".to_owned()])
    };
    let by_job = job_with("job", ProxyOptions { url: Some(url.clone()), ..ProxyOptions::default() });
    let by_environment =
        job_with("environment", ProxyOptions { from_environment: true, ..ProxyOptions::default() });
    let options =
        ProxyOptions { url: Some(url.clone()), no_proxy: "127.0.0.0/8".into(), ..ProxyOptions::default() };
    let past = Job {
        client: ClientOptions { proxy: options, ..ClientOptions::default() },
        ..job("past", target.address)
    };
    let environment = ProxyEnvironment { http: url, ..ProxyEnvironment::default() };
    let gateway = Gateway::with(1, environment);
    gateway.scrape(vec![by_job.clone(), by_environment.clone(), past.clone()]);
    for job in [&by_job, &by_environment, &past] {
        gateway.wait_for(job, Health::Up);
    }
    let asked = proxy.asked();
    assert!(asked.iter().all(|asked| asked.path() == "http://elsewhere.invalid:9100/metrics"));
    // user:p@ss
    assert_eq!(asked[0].header("Proxy-Authorization"), Some("Basic dXNlcjpwQHNz"));
}
