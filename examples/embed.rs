//! The library in a program: two threads write, one reads back. `cargo run --example embed [DIRECTORY]`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::block::Value;
use tidegate::engine::{Embedded, FieldValue, Options};
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

const PATIENCE: Duration = Duration::from_secs(10);
const START_NS: i64 = 1_700_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// Writes 2,000 rows and gives how many were read back, and the sum of their values.
pub fn run(directory: &Path) -> Result<(u64, f64), Box<dyn Error>> {
    let engine = Embedded::open(Options::new(directory))?;

    std::thread::scope(|threads| {
        let work = |host: &'static str| {
            let engine = &engine;
            // A writer for each thread. Errors of a thread come out when it is joined.
            threads.spawn(move || -> Result<(), Box<dyn Error + Send + Sync>> {
                let mut rows = engine.writer()?;
                let load = rows.series(&[("__name__", "load"), ("host", host)])?;
                let disk = rows.series(&[("__name__", "disk"), ("host", host), ("path", "/")])?;
                for i in 0..500 {
                    let time_ns = START_NS + i * SECOND_NS;
                    // A sample, and a row of several fields.
                    rows.push(load, time_ns, i as f64 / 10.0)?;
                    let state = FieldValue::String(if i % 2 == 0 { "idle" } else { "busy" });
                    rows.push_row(disk, time_ns, &[("used", FieldValue::U64(4096)), ("state", state)])?;
                }
                // On stable storage when this returns. Without it: within the commit interval.
                rows.flush()?.wait(PATIENCE)?;
                Ok(())
            })
        };
        for thread in [work("a"), work("b")] {
            thread.join().expect("the thread does not panic").map_err(|error| error.to_string())?;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;

    // Any process may read while this one writes; it sees what is durable.
    let (mut count, mut sum) = (0, 0.0);
    Reader::open(directory)?.rows(Query::default())?.for_each(|row| {
        count += 1;
        sum += row.fields().map(|(_, v)| if let Value::F64(v) = v { v } else { 0.0 }).sum::<f64>();
        Ok::<_, LogError>(())
    })?;
    engine.close(PATIENCE)?;
    Ok((count, sum))
}

#[allow(dead_code, reason = "a test includes this file and calls `run`")]
fn main() -> Result<(), Box<dyn Error>> {
    let directory =
        std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("tidegate-embed"), PathBuf::from);
    let (count, sum) = run(&directory)?;
    println!("{count} rows in {}, sum of their values {sum}", directory.display());
    Ok(())
}
