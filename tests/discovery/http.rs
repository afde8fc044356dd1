use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::scrape::{
    Authorization, BasicAuth, ClientOptions, Credential, Discovery, OAuth2, ProxyOptions,
};

use super::harness::{Finding, label, wait_until};
use super::http_double::{HttpDouble, Reply, json};

/// The interval is how long an answer may take, too.
fn by(url: String, client: ClientOptions) -> Finding {
    Finding::by(Discovery::Http { url, refresh: Duration::from_secs(1), client })
}

fn text(text: &str) -> Credential {
    Credential::Text(text.into())
}

const GROUP: &str = r#"[{"targets": ["a:1"], "labels": {"__meta_x": "y"}}]"#;

#[test]
fn groups_are_asked_for_again_and_the_last_good_ones_stay() {
    let reply: Arc<Mutex<Reply>> = Arc::new(Mutex::new(json(GROUP)));
    let said = Arc::clone(&reply);
    let server = HttpDouble::start(move |_| said.lock().unwrap().clone());
    let url = server.url("/sd?x=1");
    let mut finding = Finding::by(Discovery::Http {
        url: url.clone(),
        refresh: Duration::from_millis(200),
        client: ClientOptions::default(),
    });
    finding.wait_for(&["a:1"]);
    let target = &finding.targets()[0];
    assert_eq!(label(target, "__meta_url"), Some(url));
    assert_eq!(label(target, "__meta_x").as_deref(), Some("y"));
    let request = &server.seen()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/sd?x=1"));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("x-prometheus-refresh-interval-seconds"), Some("0.2"));
    assert_eq!(request.header("host"), Some(server.address.to_string().as_str()));

    let plain = |kind: &str, body: &str| (200, vec![("Content-Type".into(), kind.into())], body.to_owned());
    let bad = [
        (500, Vec::new(), String::new()),
        (404, Vec::new(), GROUP.to_owned()),
        plain("text/plain", r#"[{"targets": ["b:2"]}]"#),
        json("[{]"),
        json(r#"[{"targets": ["b:2"]}, null]"#),
    ];
    for (n, bad) in bad.into_iter().enumerate() {
        let failures = finding.counts("http").1;
        *reply.lock().unwrap() = bad;
        // Two more: the first may still have been the answer before.
        finding.wait_for_failures("http", failures + 2);
        assert_eq!(finding.unseen(), 0, "case {n}");
    }

    *reply.lock().unwrap() = json(r#"[{"targets": ["b:2"]}]"#);
    finding.wait_for(&["b:2"]);
    *reply.lock().unwrap() = json("[]");
    finding.wait_for(&[]);
}

#[test]
fn credentials_and_headers_are_sent_and_do_not_follow_to_another_host() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let far = HttpDouble::start(|_| json(GROUP));
    let to = far.url("/end").replace("127.0.0.1", "localhost");
    let near = HttpDouble::start(move |_| (302, vec![("Location".into(), to.clone())], String::new()));
    let to = near.url("/near");
    let start = HttpDouble::start(move |request| match request.target.as_str() {
        "/start" => (302, vec![("Location".into(), "/same".into())], String::new()),
        _ => (307, vec![("Location".into(), to.clone())], String::new()),
    });
    let client = ClientOptions {
        basic_auth: Some(BasicAuth { username: text("ann"), password: Some(Credential::File(password)) }),
        headers: vec![("X-Key".into(), vec![text("k")])],
        ..ClientOptions::default()
    };
    let mut finding = by(start.url("/start"), client);
    finding.wait_for(&["a:1"]);
    for request in start.seen()[..2].iter().chain(&near.seen()[..1]) {
        assert_eq!(request.header("authorization"), Some("Basic YW5uOnNlY3JldA=="));
        assert_eq!(request.header("x-key"), Some("k"));
    }
    assert_eq!((far.seen()[0].header("authorization"), far.seen()[0].header("x-key")), (None, None));

    let closed = ClientOptions { follow_redirects: false, ..ClientOptions::default() };
    by(start.url("/start"), closed).wait_for_failures("http", 1);
}

#[test]
fn a_token_is_fetched_once_and_used() {
    let tokens = Arc::new(HttpDouble::start(|request| {
        if request.header("authorization").is_some() {
            return (401, Vec::new(), String::new());
        }
        json(r#"{"access_token": "t0", "token_type": "bearer", "expires_in": 3600}"#)
    }));
    let server = HttpDouble::start(|request| match request.header("authorization") {
        Some("Bearer t0") => json(GROUP),
        _ => (401, Vec::new(), String::new()),
    });
    let oauth2 = OAuth2 {
        client_id: "id".into(),
        client_secret: Some(text("a&b")),
        scopes: vec!["x".into(), "y".into()],
        token_url: tokens.url("/token"),
        endpoint_params: vec![("audience".into(), "z".into())],
        tls: Default::default(),
        proxy: ProxyOptions::default(),
    };
    let client = ClientOptions { oauth2: Some(oauth2), ..ClientOptions::default() };
    let mut finding = by(server.url("/"), client);
    finding.wait_for(&["a:1"]);
    wait_until("the server is asked again", || server.seen().len() > 2);
    let asked = tokens.seen();
    assert_eq!(asked.len(), 2, "once with the secret in a header, once in the form");
    let plain = "grant_type=client_credentials&scope=x+y&audience=z";
    assert_eq!(asked[0].body, plain);
    assert_eq!(asked[1].body, format!("{plain}&client_id=id&client_secret=a%26b"));
}

#[test]
fn a_user_in_a_url_is_told_as_it_is_meant_unless_another_is_configured() {
    let ask = |user: &str, client: ClientOptions| {
        let server = HttpDouble::start(|_| json(GROUP));
        by(server.url("/sd").replace("//", &format!("//{user}@")), client).wait_for(&["a:1"]);
        server.seen()[0].header("authorization").map(str::to_owned)
    };
    // u@x:p:w and :p
    assert_eq!(ask("u%40x:p%3Aw", ClientOptions::default()).as_deref(), Some("Basic dUB4OnA6dw=="));
    assert_eq!(ask(":p", ClientOptions::default()).as_deref(), Some("Basic OnA="));
    let authorization = Some(Authorization { kind: "Bearer".into(), credentials: Some(text("t")) });
    let client = ClientOptions { authorization, ..ClientOptions::default() };
    assert_eq!(ask("u:p", client).as_deref(), Some("Bearer t"));
}

#[test]
fn a_proxy_is_asked_in_the_servers_place() {
    let proxy = HttpDouble::start(|_| json(GROUP));
    let options = ProxyOptions {
        url: Some(format!("http://u:p@{}", proxy.address)),
        no_proxy: "direct.example".into(),
        ..ProxyOptions::default()
    };
    let authorization = Authorization { kind: "Bearer".into(), credentials: Some(text("t")) };
    let client =
        ClientOptions { proxy: options, authorization: Some(authorization), ..ClientOptions::default() };
    let mut finding = by("http://nowhere.example/sd".into(), client);
    finding.wait_for(&["a:1"]);
    let request = &proxy.seen()[0];
    assert_eq!(request.target, "http://nowhere.example/sd");
    assert_eq!(request.header("host"), Some("nowhere.example"));
    assert_eq!(request.header("authorization"), Some("Bearer t"));
    assert_eq!(request.header("proxy-authorization"), Some("Basic dTpw"));
}

#[test]
fn a_proxy_that_speaks_socks_leads_to_the_server() {
    let (asked, asks) = channel();
    // It is the server, too.
    let proxy = HttpDouble::start_speaking(
        |_| json(GROUP),
        move |mut socket| {
            for (request, answer) in [(4, &[5, 2][..]), (5, &[1, 0]), (22, &[5, 0, 0, 3, 1, b'x', 0, 80])] {
                let mut heard = vec![0; request];
                socket.read_exact(&mut heard).unwrap();
                socket.write_all(answer).unwrap();
                asked.send(heard).unwrap();
            }
            Box::new(socket)
        },
    );
    let url = Some(format!("socks5h://u:p@{}", proxy.address));
    let options = ProxyOptions { url, ..ProxyOptions::default() };
    let client = ClientOptions { proxy: options, ..ClientOptions::default() };
    let url = "http://nowhere.example:9/sd".into();
    Finding::by(Discovery::Http { url, refresh: Duration::from_secs(30), client }).wait_for(&["a:1"]);
    let said: Vec<u8> = asks.iter().take(3).flatten().collect();
    assert_eq!(said, b"\x05\x02\x00\x02\x01\x01u\x01p\x05\x01\x00\x03\x0fnowhere.example\x00\x09");
    let request = &proxy.seen()[0];
    assert_eq!((&*request.target, request.header("host")), ("/sd", Some("nowhere.example:9")));
    assert_eq!(request.header("proxy-authorization"), None);
}
