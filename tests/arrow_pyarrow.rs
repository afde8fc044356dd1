//! pyarrow takes a directory of every kind of value, and has what `log cat` prints.
//!
//! pyarrow comes from PyPI, into a virtual environment under target/, once. Where it can't be had the test fails and
//! says so.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod command_kit;

use std::path::{Path, PathBuf};
use std::process::Command;

use command_kit::{Writer, data, settle};
use tidegate::model::WriteResult;
use tidegate::wire::{Decode, FedState, ndjson};

/// Every type, NaN's payloads, text that is none, start times, exemplars and metadata that do not come.
const LINES: &str = concat!(
    r#"{"time":-1,"labels":{"__name__":"f","host":"a"},"fields":{"value":{"f64":-0.0}}}"#,
    "\n",
    r#"{"time":1,"start":0,"labels":{"__name__":"f","host":"a"},"fields":{"value":{"f64":"NaN"}}}"#,
    "\n",
    r#"{"time":2,"labels":{"__name__":"f","host":"b"},"fields":{"value":{"f64":"stale"}}}"#,
    "\n",
    r#"{"time":3,"labels":{"__name__":"f","host":"b"},"fields":{"value":{"f64":"NaN:fff4000000000123"}}}"#,
    "\n",
    r#"{"time":4,"labels":{"__name__":"f","host":"b"},"fields":{"value":{"f64":"-Inf"}}}"#,
    "\n",
    r#"{"time":5,"labels":{"host":"no name"},"fields":{"value":{"f64":5e-324}}}"#,
    "\n",
    r#"{"time":6,"labels":{},"fields":{"a":{"i64":-9223372036854775808},"b":{"u64":18446744073709551615}}}"#,
    "\n",
    r#"{"time":7,"labels":{"__name__":"e"},"fields":{"a":{"i64":1,"string":"two types"},"ok":{"bool":true},"no":{"bool":false}}}"#,
    "\n",
    r#"{"time":8,"labels":{"__name__":"e"},"fields":{"msg":{"string":"\u00e4\ud83d\ude00\u0000"},"raw":{"string":"a\udcffb"},"bin":{"bytes":"AAH/"},"nil":{"null":null}}}"#,
    "\n",
    r#"{"time":9,"labels":{"__name__":"e"},"fields":{"msg":{"string":""},"deep":{"nested":{"map":[["k",{"list":[{"f64":"NaN"},{"i64":1},{"bytes":"AA=="}]}]]}}}}"#,
    "\n",
    r#"{"time":10,"start":4,"labels":{"__name__":"h"},"fields":{"value":{"histogram":{"counts":"u64","reset":"unknown","schema":3,"zero_threshold":1e-128,"sum":18.4,"count":12,"zero_count":2,"positive_spans":[[0,2],[1,1]],"positive":[5,3,2],"negative_spans":[],"negative":[],"bounds":[]}}}}"#,
    "\n",
    r#"{"time":11,"labels":{"__name__":"f","host":"a"},"fields":{"value":{"f64":1.5}},"exemplar":{"trace_id":"x"}}"#,
    "\n",
    r#"{"metadata":{"name":"f","type":"gauge","unit":"","help":"Floats."}}"#,
    "\n",
);

fn write(data: &Path) {
    let mut writer = Writer::open(data, 2);
    let (worker, stream) = &mut writer.workers[0];
    for _ in 0..2 {
        let (mut decoder, mut result) = (ndjson::Decoder::new(), WriteResult::default());
        let fed = decoder.feed(LINES.as_bytes(), true, &mut worker.writer(stream), &mut result);
        assert!(fed.state == FedState::Done && result.errors.is_empty(), "{:?}", result.errors);
        settle(worker);
    }
    let cpu = |n: i64| format!("cpu,host=h{},region=r{} user={}.25,idle={n}i {n}", n % 100, n % 7, n % 13);
    let lines: Vec<String> = (0..20_000).map(cpu).collect();
    writer.lines(1, &lines.join("\n"));
    writer.lines(0, "single,host=a value=1 5");
    writer.close();
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Python with pyarrow.
fn python() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pyarrow");
    let python = environment.join("bin/python");
    let has =
        || Command::new(&python).args(["-c", "import pyarrow"]).output().is_ok_and(|o| o.status.success());
    if !has() {
        run(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&environment));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "pyarrow"]));
        assert!(has(), "pyarrow can't be imported after it was installed");
    }
    python
}

/// The shared library, as it is shipped.
fn library() -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c");
    run(Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bindings/c/build.sh"))
        .arg(&out)
        .args(["dev", "capi"]));
    out.join("lib/libtidegate.so")
}

#[test]
fn pyarrow_has_the_rows_of_log_cat() {
    let data = data();
    write(data.path());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/arrow_reader.py");
    let mut read = Command::new(python());
    read.arg("-B").arg(script).arg(library()).arg(env!("CARGO_BIN_EXE_tidegate")).arg(data.path());
    let said = run(&mut read);
    assert!(said.starts_with("40039 values in "), "{said}");
}
