//! An API server that lists, in pages, and watches as Kubernetes's does: versions, bookmarks, 410 Gone, watches that
//! end or break off.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::{Value as Json, json};

use super::harness::wait_until;
use super::http_double::Request;

#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    /// By resource, then by namespace and name.
    objects: BTreeMap<String, BTreeMap<String, Json>>,
    /// What has happened: version, resource, type, object.
    log: Vec<(u64, String, &'static str, Json)>,
    version: u64,
    /// What happened up to this version is forgotten.
    forgotten: u64,
    /// Watches of an earlier round are broken off.
    round: u64,
    watches: usize,
    /// The status that every request is answered with.
    refusal: Option<u16>,
    /// Whether a version that is too old is a status, or an event.
    gone_as_status: bool,
    seen: Vec<Request>,
}

/// Objects in a page, whatever the client asks for.
const PAGE: usize = 2;

impl ApiServer {
    pub(crate) fn start() -> ApiServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new((Mutex::new(State { version: 10, ..State::default() }), Condvar::new()));
        let server = ApiServer { address, shared };
        let serving = server.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (serving, socket) = (serving.clone(), socket.unwrap());
                std::thread::spawn(move || serving.serve(socket));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An object is new or changes.
    pub(crate) fn put(&self, resource: &str, mut object: Json) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let before = state.objects.entry(resource.into()).or_default().insert(key(&object), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        state.log.push((version, resource.into(), kind, object));
        self.shared.1.notify_all();
    }

    pub(crate) fn delete(&self, resource: &str, key: &str) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        let object = state.objects.get_mut(resource).unwrap().remove(key).unwrap();
        state.log.push((version, resource.into(), "DELETED", object));
        self.shared.1.notify_all();
    }

    /// Tells all watches of `resource` how far they are, though nothing of theirs has happened.
    pub(crate) fn bookmark(&self, resource: &str) -> u64 {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        let object = json!({"kind": "Pod", "metadata": {"resourceVersion": version.to_string()}});
        state.log.push((version, resource.into(), "BOOKMARK", object));
        self.shared.1.notify_all();
        version
    }

    /// Forgets all that has happened up to now: watches from before must list again.
    pub(crate) fn forget(&self, as_status: bool) {
        let mut state = self.state();
        state.version += 1;
        state.forgotten = state.version;
        state.gone_as_status = as_status;
        state.log.clear();
    }

    /// Breaks off all watches.
    pub(crate) fn disconnect(&self) {
        self.state().round += 1;
        self.shared.1.notify_all();
    }

    /// Answers every request with this status from now on.
    pub(crate) fn refuse(&self, status: Option<u16>) {
        self.state().refusal = status;
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.state().seen.clone()
    }

    /// Waits until so many watches are under way.
    #[track_caller]
    pub(crate) fn wait_for_watches(&self, count: usize) {
        wait_until("all watch", || self.state().watches == count);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    fn serve(&self, socket: TcpStream) {
        let mut stream = BufReader::new(socket);
        let Some(request) = Request::read(&mut stream) else { return };
        self.state().seen.push(request.clone());
        let socket = stream.get_mut();
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let refusal = self.state().refusal;
        if let Some(status) = refusal {
            return answer(socket, status, &json!({"kind": "Status", "code": status, "message": "refused"}));
        }
        let (resource, namespace) = meant(path);
        let wanted = |object: &Json| {
            let selected = query.get("labelSelector").is_none_or(|selector| {
                let (name, value) = selector.split_once('=').unwrap();
                object["metadata"]["labels"][name] == value
            });
            selected
                && namespace.as_ref().is_none_or(|namespace| object["metadata"]["namespace"] == **namespace)
        };
        if query.contains_key("watch") {
            assert_eq!(query["allowWatchBookmarks"], "true");
            return self.watch(socket, &resource, query["resourceVersion"].parse().unwrap(), wanted);
        }
        let state = self.state();
        let all: Vec<Json> = state.objects.get(&resource).map_or(Vec::new(), |objects| {
            objects.values().filter(|object| wanted(object)).cloned().collect()
        });
        let from: usize = query.get("continue").map_or(0, |from| from.parse().unwrap());
        let page = all.iter().skip(from).take(PAGE).cloned().collect::<Vec<_>>();
        let more = if from + PAGE < all.len() { (from + PAGE).to_string() } else { String::new() };
        let meta = json!({"resourceVersion": state.version.to_string(), "continue": more});
        answer(socket, 200, &json!({"kind": "List", "metadata": meta, "items": page}));
    }

    fn watch(&self, socket: &mut TcpStream, resource: &str, from: u64, wanted: impl Fn(&Json) -> bool) {
        let mut state = self.state();
        if from < state.forgotten {
            let status = json!({"kind": "Status", "code": 410, "message": "too old resource version"});
            if state.gone_as_status {
                return answer(socket, 410, &status);
            }
            drop(state);
            _ = socket.write_all(HEAD);
            chunk(socket, &json!({"type": "ERROR", "object": status}).to_string());
            _ = socket.write_all(b"0\r\n\r\n");
            return;
        }
        _ = socket.write_all(HEAD);
        let round = state.round;
        let mut at = from;
        state.watches += 1;
        loop {
            let news: Vec<_> = state
                .log
                .iter()
                .filter(|(version, of, kind, object)| {
                    *version > at && of == resource && (*kind == "BOOKMARK" || wanted(object))
                })
                .map(|(_, _, kind, object)| json!({"type": kind, "object": object}).to_string())
                .collect();
            at = state.version;
            for line in news {
                // In two pieces, as networks cut.
                let cut = line.len() / 2;
                chunk(socket, &line[..cut]);
                chunk(socket, &format!("{}\n", &line[cut..]));
            }
            // What has happened before it is broken off, it has told.
            if state.round != round {
                break;
            }
            state = self.shared.1.wait(state).unwrap();
        }
        state.watches -= 1;
    }
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(socket: &mut TcpStream, text: &str) {
    // Whoever watches may have gone.
    _ = socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes());
}

fn answer(socket: &mut TcpStream, status: u16, body: &Json) {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    _ = socket.write_all((head + &body).as_bytes());
}

/// The resource that a path means, and the namespace.
fn meant(path: &str) -> (String, Option<String>) {
    let parts: Vec<&str> = path.split('/').collect();
    let namespace = match parts[..] {
        [.., "namespaces", namespace, _] => Some(namespace.to_owned()),
        _ => None,
    };
    (parts[parts.len() - 1].to_owned(), namespace)
}

fn key(object: &Json) -> String {
    let meta = &object["metadata"];
    match meta["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{}", meta["name"].as_str().unwrap()),
        None => meta["name"].as_str().unwrap().to_owned(),
    }
}
