//! The way to a target: credentials, redirects, proxies, connections that servers close.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate::scrape::status::Health;
use tidegate::scrape::{
    Authorization, BasicAuth, ClientOptions, ClientTls, Credential, Discovery, Job, OAuth2, ProxyEnvironment,
    ProxyOptions,
};

use super::gateway::{Gateway, job, job_of};
use super::target::{Asked, Target, answer, text};

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
    let elsewhere = other.address.port();
    let moved = Target::start(move |_| {
        let location = format!("Location: http://localhost:{elsewhere}/there?x=1\r\n");
        answer("302 Found", &location, b"")
    });
    let to = moved.address;
    let first = Target::start(move |asked| match asked.path() {
        "/metrics" => answer("302 Found", "Location: here\r\n", b"ignored"),
        "/here" => answer("307 Temporary Redirect", &format!("Location: http://{to}/moved\r\n"), b""),
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
    assert_eq!(moved.asked()[0].header("Authorization"), Some("Bearer secret"), "the same host");
    assert_eq!(other.asked()[0].path(), "/there?x=1");
    assert_eq!(other.asked()[0].header("Authorization"), None, "another host");
}

#[test]
fn tokens_are_fetched_once_for_all_targets_of_a_job() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let tokens = Target::start(move |asked| match asked.header("Authorization") {
        // id:S3CRET
        Some("Basic aWQ6UzNDUkVU") => {
            let n = counted.fetch_add(1, Ordering::SeqCst);
            let token = format!("{{\"access_token\":\"t{n}\",\"expires_in\":3600}}");
            answer("200 OK", "Connection: close\r\n", token.as_bytes())
        }
        _ => answer("401 Unauthorized", "Connection: close\r\n", b""),
    });
    let guarded = Target::start(|asked| match asked.header("Authorization") {
        Some("Bearer t0") => text("a 1\n"),
        _ => answer("401 Unauthorized", "", b""),
    });
    let oauth2 = |secret: &str| OAuth2 {
        client_id: "id".into(),
        client_secret: Some(Credential::Text(secret.into())),
        scopes: Vec::new(),
        token_url: format!("http://u:PASSWORD@{}/token", tokens.address),
        endpoint_params: Vec::new(),
        tls: ClientTls::default(),
        proxy: ProxyOptions::default(),
    };
    let patient = std::time::Duration::from_secs(2);
    let job_with = |name: &str, secret: &str| Job {
        client: ClientOptions { oauth2: Some(oauth2(secret)), ..ClientOptions::default() },
        interval: patient,
        timeout: patient,
        ..job(name, guarded.address)
    };
    let jobs = [job_with("one", "S3CRET"), job_with("two", "S3CRET"), job_with("bad", "wrong")];
    let gateway = Gateway::start();
    gateway.scrape(jobs.to_vec());
    gateway.wait_for(&jobs[0], Health::Up);
    gateway.wait_for(&jobs[1], Health::Up);
    let error = gateway.wait_for(&jobs[2], Health::Down);
    let whose = format!("oauth2: http://u:xxxxx@{}/token: ", tokens.address);
    assert!(error.contains(&whose) && error.contains("401"), "{error}");
    assert!(!error.contains("PASSWORD") && !error.contains("wrong"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_tokens_server_that_is_not_there_is_not_taken_for_the_target() {
    let target = Target::saying("a 1\n");
    // A port that the system gave out a moment ago: nobody listens on it.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let oauth2 = OAuth2 {
        client_id: "id".into(),
        client_secret: Some(Credential::Text("S3CRET".into())),
        scopes: Vec::new(),
        token_url: format!("http://u:S3CRET@{nobody}/token?key=S3CRET"),
        endpoint_params: Vec::new(),
        tls: ClientTls::default(),
        proxy: ProxyOptions::default(),
    };
    let patient = std::time::Duration::from_secs(2);
    let client = ClientOptions { oauth2: Some(oauth2), ..ClientOptions::default() };
    let job = Job { client, interval: patient, timeout: patient, ..job("j", target.address) };
    let gateway = Gateway::start();
    gateway.scrape(vec![job.clone()]);
    let error = gateway.wait_for(&job, Health::Down);
    let expected = format!("oauth2: http://u:xxxxx@{nobody}/token: Connection refused");
    assert!(error.contains(&expected) && !error.contains("S3CRET"), "{error}");
}

#[test]
fn an_address_with_a_zone_is_reached_and_a_socket_in_a_label_is_refused() {
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut head = [0; 4096];
            let n = socket.read(&mut head).unwrap();
            let closing = answer("200 OK", "Content-Type: text/plain\r\nConnection: close\r\n", b"a 1\n");
            _ = socket.write_all(&closing);
            _ = told.send(String::from_utf8_lossy(&head[..n]).into_owned());
        }
    });
    let gateway = Gateway::start();
    let zoned = job_of("zoned", &[format!("[::1%lo]:{port}")]);
    let mut by_socket = job_of("socket", &[format!("[::1]:{port}")]);
    let Discovery::Static(groups) = &mut by_socket.discovery[0] else { unreachable!() };
    groups[0].labels = vec![("__unix_socket__".into(), "/run/x".into())];
    gateway.scrape(vec![zoned.clone(), by_socket.clone()]);
    gateway.wait_for(&zoned, Health::Up);
    assert!(heard.recv().unwrap().contains(&format!("\r\nHost: [::1]:{port}\r\n")));
    let error = gateway.wait_for(&by_socket, Health::Down);
    assert_eq!(error, "__unix_socket__ is not built into tidegate");
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
    // This machine's own address, and no loopback address: those are excepted wherever any is.
    let here = format!("0.0.0.0:{}", target.address.port());
    let excepting = |name: &str, no_proxy: &str| {
        let options =
            ProxyOptions { url: Some(url.clone()), no_proxy: no_proxy.into(), ..ProxyOptions::default() };
        let client = ClientOptions { proxy: options, ..ClientOptions::default() };
        Job { client, ..job_of(name, std::slice::from_ref(&here)) }
    };
    let jobs =
        [by_job, by_environment, excepting("it", "10.0.0.0/8,0.0.0.0/8"), excepting("another", "10.0.0.0/8")];
    let gateway = Gateway::with(1, ProxyEnvironment { http: url.clone(), ..ProxyEnvironment::default() });
    gateway.scrape(jobs.to_vec());
    for job in &jobs {
        gateway.wait_for(job, Health::Up);
    }
    let asked = proxy.asked();
    let paths: BTreeSet<&str> = asked.iter().map(Asked::path).collect();
    let through = format!("http://{here}/metrics");
    assert_eq!(paths, BTreeSet::from(["http://elsewhere.invalid:9100/metrics", &through]));
    assert!(target.asked().iter().any(|asked| asked.header("Host") == Some(&here)), "past the proxy");
    // user:p@ss
    assert_eq!(asked[0].header("Proxy-Authorization"), Some("Basic dXNlcjpwQHNz"));
}
