//! Requests taken off a connection's bytes: heads routed, bodies to where they belong, answers parked.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::engine;
use crate::model::WriteResult;
use crate::wire::influx::Dialect;

use super::answer::Answer;
use super::connection::{Connection, Parked, Receiving, failed_answer};
use super::door::{Admission, Context, Door, Passage, TENANT_BYTES_MAX, Verifier};
use super::format::Format;
use super::live::Live;
use super::metrics;
use super::pages;
use super::panels;
use super::request::{GivenUp, Progress, WriteRequest, given_up_answer};
use super::routes::{self, NoRoute, Route};
use super::server::Shared;
use crate::http::body::{DecoderPool, Encoding};
use crate::http::{AnswerTo, Body, BodyLength, Head, Method, Parser, Phase, Query, Refusal, Version};

/// The longest form that `/query` takes.
const FORM_BYTES_MAX: usize = 64 << 10;

/// A body that nobody needs is read away if it is at most so long; else the connection closes.
const DISCARD_BYTES_MAX: u64 = 8 << 20;

/// What taking requests needs of its worker.
pub(super) struct Desk<'a> {
    pub(super) engine: &'a mut engine::Worker,
    pub(super) decoders: &'a mut DecoderPool,
    pub(super) shared: &'a Shared,
    pub(super) live: &'a Live,
    pub(super) verifier: &'a Arc<Verifier>,
}

impl Desk<'_> {
    /// Takes what it can of `buffer[bytes]` and says where the rest starts. What lies before a body's bytes may be
    /// written over.
    pub(super) fn take(
        &mut self,
        connection: &mut Connection,
        buffer: &mut [u8],
        bytes: Range<usize>,
    ) -> usize {
        let Range { start: mut at, end } = bytes;
        // Data of the body, found and not given to its request yet. That of chunks is moved together: a request looks
        // at what it has kept once a read, however small the chunks are.
        let mut gathered = at..at;
        while connection.wants_input() && !connection.parser.is_ended() {
            if !connection.parser.in_body() {
                match connection.parser.head(&buffer[at..end], &self.live.http) {
                    Ok(None) => break,
                    Ok(Some(head)) => {
                        let used = head.bytes;
                        let now_ns = self.engine.monotonic_ns();
                        self.engine.counters().requests.add(1);
                        connection.pace.enter(Phase::Body, now_ns);
                        // What came with the head is the peer's, too.
                        connection.pace.received(end - at - used, now_ns);
                        self.begin(connection, &head, &buffer[at..at + used]);
                        at += used;
                    }
                    Err(refusal) => {
                        let path = target(buffer[at..end].trim_ascii_start());
                        let why = refusal.to_string();
                        connection.answer(AnswerTo::REFUSED, error_answer(&path, refusal.status().0, &why));
                    }
                }
                continue;
            }
            match connection.parser.body(&buffer[at..end], &self.live.http) {
                Ok(Body::Data { consumed, data }) => {
                    let data = at + data.start..at + data.end;
                    at += consumed;
                    if gathered.is_empty() {
                        gathered = data;
                    } else {
                        let len = data.len();
                        buffer.copy_within(data, gathered.end);
                        gathered.end += len;
                    }
                }
                Ok(Body::NeedMore { consumed }) => {
                    at += consumed;
                    self.body(connection, buffer, gathered);
                    return at;
                }
                Ok(Body::End { consumed }) => {
                    at += consumed;
                    self.body(connection, buffer, std::mem::take(&mut gathered));
                    self.end(connection);
                }
                Err(refusal) => {
                    let answers = connection.parked.len();
                    self.body(connection, buffer, std::mem::take(&mut gathered));
                    // What came before the fault may have been answered for a reason of its own.
                    if connection.parked.len() == answers {
                        self.refuse(connection, refusal);
                    }
                }
            }
        }
        at
    }

    /// Gives up a write that has waited for room for too long.
    pub(super) fn give_up_stalled(&mut self, connection: &mut Connection) {
        if let Receiving::Stalled(request) = std::mem::replace(&mut connection.receiving, Receiving::Nothing)
        {
            self.progress(connection, request, Err(GivenUp::Overload));
        }
    }

    /// The peer has closed its side within a request: that is dropped, and what is due before it still answered. Rows
    /// that were taken stay.
    pub(super) fn abandon(&mut self, connection: &mut Connection) {
        if let Some(request) = take_write(connection) {
            request.finish(self.engine);
            request.recycle(self.decoders);
        }
        connection.receiving = Receiving::Nothing;
        connection.continue_owed = false;
        connection.parser.close();
    }

    /// Goes on with a write that waited for room, or with a request that waited to be let in.
    pub(super) fn resume(&mut self, connection: &mut Connection) {
        match std::mem::replace(&mut connection.receiving, Receiving::Nothing) {
            Receiving::Stalled(mut request) => {
                let progress = match request.failed {
                    Some(_) => Ok(Progress::More),
                    None => request.resume(self.engine, &mut connection.stream, &self.shared.memory),
                };
                self.progress(connection, request, progress);
            }
            // It was understood before, and is so again.
            Receiving::Held { head: bytes } => match Parser::new().head(&bytes, &self.live.http) {
                Ok(Some(head)) => self.begin(connection, &head, &bytes),
                Ok(None) => self.refuse(connection, Refusal::Closed),
                Err(refusal) => self.refuse(connection, refusal),
            },
            other => connection.receiving = other,
        }
    }

    /// A request begins: whether it may come in, its route, and whether its body is wanted. `bytes` are the head's.
    fn begin(&mut self, connection: &mut Connection, head: &Head<'_>, bytes: &[u8]) {
        if self.shared.draining() {
            connection.parser.make_last();
        }
        let to = AnswerTo {
            head_only: head.method == Method::Head,
            keep_alive: head.keep_alive && !self.shared.draining(),
            http_10: head.version == Version::Http10,
        };
        let route = Route::find(head.method, head.path);
        let door = &self.live.doors[connection.listener];
        let asked = pair_in_query(route, head);
        let authorization = asked.as_deref().unwrap_or(head.headers.authorization);
        let shown = match door.admit(authorization, self.engine.monotonic_ns(), self.verifier) {
            Admission::Granted { shown } => {
                shown || connection.transport.peer_is_verified(door.verifies_peers())
            }
            Admission::Pending => return connection.receiving = Receiving::Held { head: bytes.to_vec() },
            refused => {
                let answer = refused_answer(door, route, head.path, refused == Admission::Busy);
                self.engine.counters().requests_unauthorized.add(u64::from(refused == Admission::Denied));
                return self.answer_early(connection, to, head, answer);
            }
        };
        match route {
            Ok(Route::Write(format)) => match self.begin_write(connection, format, to, head) {
                Ok(request) => {
                    connection.stream.set_context(request.context());
                    connection.receiving = Receiving::Write(request);
                    self.expect(connection, head);
                }
                Err(answer) => self.answer_early(connection, to, head, answer),
            },
            Ok(Route::Query) => {
                connection.receiving = Receiving::Form { to, query: head.query.to_owned(), body: Vec::new() };
                self.expect(connection, head);
            }
            Ok(Route::StatusTsdb) => match pages::status_limit(head.query) {
                Ok(limit) => {
                    let round = self.shared.surveys.start();
                    self.shared.wake_all();
                    connection.parked.push_back(Parked::Survey { to, round, limit });
                    connection.receiving = Receiving::Discard;
                }
                Err(answer) => self.answer_early(connection, to, head, answer),
            },
            Ok(Route::Reload) => self.begin_reload(connection, to, head, shown),
            Ok(route) => {
                let answer = self.page(route, head);
                self.answer_early(connection, to, head, answer);
            }
            Err(NoRoute::Path) => {
                let answer = error_answer(head.path, 404, &format!("nothing is at {}", head.path));
                self.answer_early(connection, to, head, answer);
            }
            Err(NoRoute::Method(allow)) => {
                let why = format!("{} takes {allow}", head.path);
                let answer = error_answer(head.path, 405, &why).with_header("Allow", allow);
                self.answer_early(connection, to, head, answer);
            }
        }
    }

    /// Loading the configuration again is for those who could change it: from this machine, or known.
    fn begin_reload(&mut self, connection: &mut Connection, to: AnswerTo, head: &Head<'_>, shown: bool) {
        let Some(hook) = &self.shared.options.reload else {
            return self.answer_early(
                connection,
                to,
                head,
                Answer::text(404, "there is nothing to reload\n"),
            );
        };
        if !shown && !connection.transport.peer().is_some_and(|peer| peer.is_loopback()) {
            let why = "reload: from this machine, or with credentials\n";
            return self.answer_early(connection, to, head, Answer::text(403, why));
        }
        let round = self.shared.reloads.ask();
        (hook.0)();
        connection.parked.push_back(Parked::Reload { to, round });
        connection.receiving = Receiving::Discard;
    }

    /// The context of a write that isn't its format's own.
    fn context(
        &self,
        passage: &mut Passage,
        door: &Door,
        format: Format,
        head: &Head<'_>,
    ) -> Result<Option<Arc<Context>>, Answer> {
        let Some(labeling) = &door.labeling else { return Ok(None) };
        let tenant = tenant(format, head);
        if tenant.as_ref().is_some_and(|tenant| tenant.len() > TENANT_BYTES_MAX) {
            let why = format!("a tenant's name is at most {TENANT_BYTES_MAX} bytes");
            return Err(format.refusal(400, &why));
        }
        match self.shared.contexts.enter(passage, format.context(), labeling, tenant.as_deref()) {
            Ok(context) => Ok(Some(context)),
            Err(_) => Err(format.refusal(503, "too many tenants: try again later").retry_later()),
        }
    }

    fn begin_write(
        &mut self,
        connection: &mut Connection,
        format: Format,
        to: AnswerTo,
        head: &Head<'_>,
    ) -> Result<Box<WriteRequest>, Answer> {
        let opened = format.open(head, self.engine.wall_ns(), &self.shared.groups)?;
        let format = opened.format;
        if self.shared.draining() {
            return Err(format.refusal(503, "shutting down").retry_later());
        }
        if let Err(failure) = self.engine.accepts() {
            return Err(format.refusal(503, &failure.to_string()).retry_later());
        }
        if self.shared.memory.exhausted(self.engine.memory_held_bytes()) {
            self.shared.want_relief(self.engine.memory_held_bytes());
            return Err(given_up_answer(format, &GivenUp::Memory, &WriteResult::default()));
        }
        let length = match (head.length, opened.encoding) {
            (BodyLength::Bytes(length), Encoding::Identity | Encoding::Snappy | Encoding::SnappyFrames) => {
                Some(length)
            }
            _ => None,
        };
        let door = &self.live.doors[connection.listener];
        let context = self.context(&mut connection.passage, door, format, head)?;
        let limits = &self.live.http;
        WriteRequest::new(
            opened,
            context,
            length,
            to,
            self.decoders,
            limits,
            self.engine,
            &self.shared.memory,
        )
        .map(Box::new)
        .map_err(|why| given_up_answer(format, &why, &WriteResult::default()))
    }

    /// Lets the client send its body if it asks first.
    fn expect(&mut self, connection: &mut Connection, head: &Head<'_>) {
        // A body that is too long is refused by its announced length: asking the framing says so before it is sent.
        if head.expect_continue {
            match connection.parser.body(&[], &self.live.http) {
                Err(refusal) => self.refuse(connection, refusal),
                // It is sent in its place, after the answers that are due before it.
                Ok(_) => connection.continue_owed = true,
            }
        }
    }

    /// Parks an answer before the body was read, and decides whether the body is worth reading away.
    fn answer_early(
        &mut self,
        connection: &mut Connection,
        mut to: AnswerTo,
        head: &Head<'_>,
        answer: Answer,
    ) {
        if answer.status == 503 {
            self.engine.counters().requests_refused.add(1);
        }
        let short = matches!(head.length, BodyLength::Bytes(n) if n <= DISCARD_BYTES_MAX);
        if short && !head.expect_continue {
            connection.receiving = Receiving::Discard;
        } else {
            connection.parser.close();
            connection.receiving = Receiving::Nothing;
            to.keep_alive = false;
        }
        connection.answer(to, answer);
    }

    /// Why no writes are taken now; none if they are.
    fn no_writes(&self) -> Option<String> {
        match self.engine.accepts() {
            _ if self.shared.draining() => Some("draining".to_owned()),
            accepts => accepts.err().map(|failure| failure.to_string()),
        }
    }

    fn page(&self, route: Route, head: &Head<'_>) -> Answer {
        match route {
            Route::Ping => pages::ping(head.query),
            Route::Health(form) => pages::health(form, self.no_writes().as_deref()),
            Route::Ready(form) => {
                let started_ms = self.shared.started_ms;
                pages::ready(form, self.no_writes().as_deref(), started_ms, self.engine.wall_ns())
            }
            Route::Metrics => {
                let mut page =
                    metrics::render(&self.shared.counters, &self.shared.facts(self.engine.backend_name()));
                if let Some(hook) = &self.shared.options.panels {
                    page += &hook.0.metrics();
                }
                Answer { content_type: "text/plain; version=0.0.4; charset=utf-8", ..Answer::text(200, page) }
            }
            Route::Panel => {
                panels::answer(self.shared.options.panels.as_ref(), routes::bare(head.path), head.query)
            }
            Route::Index => pages::index(),
            Route::Methods => Answer::empty(204).with_header("Allow", routes::METHODS),
            Route::Write(_) | Route::Query | Route::StatusTsdb | Route::Reload => Answer::empty(404),
        }
    }

    fn body(&mut self, connection: &mut Connection, buffer: &mut [u8], data: Range<usize>) {
        if data.is_empty() {
            return;
        }
        // The client did not wait for it.
        connection.continue_owed = false;
        match std::mem::replace(&mut connection.receiving, Receiving::Nothing) {
            Receiving::Write(mut request) => {
                let stream = &mut connection.stream;
                let progress = match request.failed {
                    // No row more: the log may not be open again.
                    Some(_) => Ok(Progress::More),
                    None => request.take(buffer, data, self.engine, stream, &self.shared.memory),
                };
                self.progress(connection, request, progress);
            }
            Receiving::Form { to, query, mut body } => {
                if body.len() + data.len() > FORM_BYTES_MAX {
                    connection.parser.close();
                    let error =
                        serde_json::json!({"error": format!("a form is at most {FORM_BYTES_MAX} bytes")});
                    connection.answer(AnswerTo { keep_alive: false, ..to }, Answer::json(413, &error));
                } else {
                    body.extend_from_slice(&buffer[data]);
                    connection.receiving = Receiving::Form { to, query, body };
                }
            }
            other => connection.receiving = other,
        }
    }

    fn end(&mut self, connection: &mut Connection) {
        connection.continue_owed = false;
        match std::mem::replace(&mut connection.receiving, Receiving::Nothing) {
            Receiving::Write(mut request) => {
                let progress = match request.failed {
                    Some(_) => Ok(Progress::More),
                    None => request.end(self.engine, &mut connection.stream, &self.shared.memory),
                };
                self.progress(connection, request, progress);
            }
            Receiving::Form { to, query, body } => {
                connection.answer(to, pages::query(&query, &String::from_utf8_lossy(&body)));
            }
            Receiving::Stalled(mut request) => {
                request.end_when_resumed();
                connection.receiving = Receiving::Stalled(request);
            }
            Receiving::Held { .. } => unreachable!("nothing is read while a request waits to be let in"),
            Receiving::Nothing | Receiving::Discard => {}
        }
    }

    /// What a write needs next.
    fn progress(
        &mut self,
        connection: &mut Connection,
        mut request: Box<WriteRequest>,
        progress: Result<Progress, GivenUp>,
    ) {
        if let Some(failure) = request.failed {
            let answer = failed_answer(request.format, &failure);
            return self.give_up(connection, request, answer);
        }
        match progress {
            Ok(Progress::More) => connection.receiving = Receiving::Write(request),
            Ok(Progress::Stalled) => connection.receiving = Receiving::Stalled(request),
            Ok(Progress::Complete) => {
                if self.shared.draining() {
                    connection.parser.make_last();
                    request.to.keep_alive = false;
                }
                let answer = request.format.write_answer(&request.result);
                self.park(connection, &request, request.to, answer);
                request.recycle(self.decoders);
            }
            Err(why) => {
                if let GivenUp::Memory = why {
                    self.shared.want_relief(self.engine.memory_held_bytes());
                }
                let answer = given_up_answer(request.format, &why, &request.result);
                self.give_up(connection, request, answer);
            }
        }
    }

    /// Answers a write before or at its body's end, and drops it.
    fn give_up(&mut self, connection: &mut Connection, request: Box<WriteRequest>, answer: Answer) {
        connection.continue_owed = false;
        if answer.status == 503 {
            self.engine.counters().requests_refused.add(1);
        }
        let mut to = request.to;
        to.keep_alive &= !connection.parser.is_ended();
        if connection.parser.in_body() {
            match connection.parser.body_left_bytes() {
                Some(left) if left <= DISCARD_BYTES_MAX => connection.receiving = Receiving::Discard,
                _ => {
                    connection.parser.close();
                    to.keep_alive = false;
                }
            }
        }
        self.park(connection, &request, to, answer);
        request.recycle(self.decoders);
    }

    /// Parks the answer to a write until the rows that were taken of it are durable: an answer that counts rows as
    /// accepted, whatever else it says, counts durable ones. A 503 counts none, and waits for no disk.
    fn park(&mut self, connection: &mut Connection, request: &WriteRequest, to: AnswerTo, answer: Answer) {
        match request.finish(self.engine) {
            Some(ticket) if answer.status < 500 => {
                self.engine.wait();
                let (format, answer) = (request.format, Box::new(answer));
                connection.parked.push_back(Parked::Commit { to, format, ticket, failed: None, answer });
            }
            _ => connection.answer(to, answer),
        }
    }

    /// The peer is too slow: it is told so, and the connection closes.
    pub(super) fn time_out(&mut self, connection: &mut Connection) {
        connection.parser.close();
        connection.unread = Vec::new();
        self.end_with(connection, 408, "the request came too slowly");
    }

    /// The connection's framing is lost: it closes after the answer that says so.
    fn refuse(&mut self, connection: &mut Connection, refusal: Refusal) {
        self.end_with(connection, refusal.status().0, &refusal.to_string());
    }

    /// Drops what the connection was receiving, and says why in the last answer it gets. Rows that were taken stay.
    fn end_with(&mut self, connection: &mut Connection, status: u16, why: &str) {
        connection.continue_owed = false;
        if let Some(request) = take_write(connection) {
            let answer = request.format.error_answer(status, why, Some(&request.result));
            self.park(connection, &request, AnswerTo::REFUSED, answer);
            request.recycle(self.decoders);
            return;
        }
        match std::mem::replace(&mut connection.receiving, Receiving::Nothing) {
            // It has its answer.
            Receiving::Discard => {}
            _ => {
                let answer = Answer::json(status, &serde_json::json!({ "error": why }));
                connection.answer(AnswerTo::REFUSED, answer);
            }
        }
    }
}

/// An error to a request that is no write: under InfluxDB 2's paths in its form.
fn error_answer(path: &str, status: u16, why: &str) -> Answer {
    match routes::bare(path).starts_with("/api/v2/") {
        true => Format::Influx(Dialect::V2).error_answer(status, why, None),
        false => Answer::json(status, &serde_json::json!({ "error": why })),
    }
}

/// What a head that is not understood seems to ask for.
fn target(head: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(head.split(|&b| b == b' ' || b == b'\n').nth(1).unwrap_or_default())
}

/// The answer to a request that may not come in, or not now.
fn refused_answer(door: &Door, route: Result<Route, NoRoute>, path: &str, busy: bool) -> Answer {
    let (status, why) = if busy { (503, "too many logins: try again later") } else { (401, "unauthorized") };
    let answer = match route {
        Ok(Route::Write(format)) => format.refusal(status, why),
        _ => error_answer(path, status, why),
    };
    if busy {
        return answer.retry_later();
    }
    door.challenges().fold(answer, |answer, challenge| answer.with_header("WWW-Authenticate", challenge))
}

/// `u` and `p` of a query, as InfluxDB 1 reads them where its clients come: before any header. Given in the form of a
/// header, in which a user and a password are not encoded.
fn pair_in_query(route: Result<Route, NoRoute>, head: &Head<'_>) -> Option<Vec<u8>> {
    if !matches!(route, Ok(Route::Write(Format::Influx(Dialect::V1)) | Route::Query)) {
        return None;
    }
    let query = Query::new(head.query);
    // What can't be read is for whoever reads the rest of the query to refuse.
    let (user, password) = (query.first("u").ok()??, query.first("p").ok()??);
    let is_pair = !user.is_empty() && !password.is_empty();
    is_pair.then(|| format!("Token {user}:{password}").into_bytes())
}

/// Whose rows these are: the format's own parameter says it, or else a header.
fn tenant(format: Format, head: &Head<'_>) -> Option<Vec<u8>> {
    let parameter = format.tenant_parameter();
    let named = Query::new(head.query).find_map(|pair| {
        let (name, value) = pair.ok()?;
        (Some(&*name) == parameter && !value.is_empty()).then(|| value.into_owned().into_bytes())
    });
    named.or_else(|| Some(head.headers.scope_org_id.to_vec()).filter(|id| !id.is_empty()))
}

/// The write that a connection was receiving.
fn take_write(connection: &mut Connection) -> Option<Box<WriteRequest>> {
    match std::mem::replace(&mut connection.receiving, Receiving::Nothing) {
        Receiving::Write(request) | Receiving::Stalled(request) => Some(request),
        other => {
            connection.receiving = other;
            None
        }
    }
}
