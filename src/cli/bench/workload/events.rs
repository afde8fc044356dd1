//! Fields of events: a text, a user, a status, a duration, a flag; now and then with what needs escaping.

use std::io::Write;

use crate::cli::bench::random::Random;

/// Writes the fields of an event.
pub(super) fn write_fields(random: &mut Random, out: &mut Vec<u8>) {
    let path = PATHS[random.below(PATHS.len() as u64) as usize];
    let status = [200, 200, 200, 204, 304, 404, 500][random.below(7) as usize];
    let user = random.below(100_000);
    let request = random.next_u64();
    let seconds = random.normal().abs() / 10.0;
    // One text in 64 has a quote and a backslash in it.
    let referrer = if random.below(64) == 0 { r#", said \"from C:\\\\tmp\""# } else { "" };
    let written = write!(
        out,
        "message=\"GET {path}?id={user} as {request:016x}{referrer}\",user=\"u{user}\",status={status}i,\
         duration={seconds:.6},cached={}",
        if random.below(4) == 0 { "t" } else { "f" },
    );
    written.expect("writing to a Vec does not fail");
}

pub(super) const FIELDS: u32 = 5;

const PATHS: &[&str] = &["/api/v1/orders", "/api/v1/users", "/health", "/static/app.js", "/search, all = on"];
