//! The Go module, against an installed tree: its own tests under Go's checks, and what its example hands on.

#![cfg(target_os = "linux")]
// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod command_kit;
mod package_kit;

use std::fs;
use std::path::Path;
use std::process::Command;

use command_kit::{Field, Writer};
use package_kit::{INSTALLED, done, names, root};

/// The go command in one of the module's directories, with the installed package and without a network.
fn go(directory: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new("go");
    command.current_dir(root().join("bindings/go").join(directory));
    command.args(arguments).envs([("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")]);
    command
        .env("PKG_CONFIG_PATH", INSTALLED.lib().join("pkgconfig"))
        .env("LD_LIBRARY_PATH", INSTALLED.lib())
        // Go keeps what pkg-config said, wherever the package is by now: another checkout's would be linked.
        .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"));
    done(command.envs(environment.iter().copied()))
}

#[test]
fn the_module_is_sound() {
    go(".", &["vet", "./..."], &[]);
    let unformatted = done(Command::new("gofmt").arg("-l").arg(root().join("bindings/go")));
    assert_eq!(unformatted, "");
}

#[test]
fn its_tests_pass_without_races() {
    go(".", &["test", "-race", "-count=1", "./..."], &[]);
}

#[test]
fn its_tests_pass_with_each_pointer_checked() {
    go(".", &["test", "-count=1", "./..."], &[("GOEXPERIMENT", "cgocheck2")]);
}

#[test]
fn the_example_hands_on_each_value_once_over_its_runs() {
    let data = tempfile::tempdir().unwrap();
    let (directory, file) = (data.path().join("data"), data.path().join("out.jsonl"));
    let program = data.path().join("forward");
    go(".", &["build", "-o", program.to_str().unwrap(), "./examples/forward"], &[]);
    for runs in 1..=3 {
        let mut command = Command::new(&program);
        command.env("LD_LIBRARY_PATH", INSTALLED.lib());
        done(command.arg(&directory).arg(&file));
        let forwarded = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = forwarded.lines().collect();
        assert_eq!(lines.len(), runs * 3, "{forwarded}");
        assert_eq!(lines.len(), names(&directory).len());
        for name in ["go_goroutines", "go_heap_bytes", "go_started"] {
            let sent = lines.iter().filter(|line| line.contains(&format!("\"Name\":\"{name}\""))).count();
            assert_eq!(sent, runs, "{name}: {forwarded}");
        }
    }
    let mut found = names(&directory);
    found.dedup();
    assert_eq!(found, ["go_goroutines", "go_heap_bytes", "go_started"]);
}

#[test]
fn the_example_flattens_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (directory, file) = (data.path().join("data"), data.path().join("out.jsonl"));
    let mut writer = Writer::open(&directory, 1);
    let stale = 0x7ff0_0000_0000_0002;
    let odd = [(&b"bytes"[..], Field::Bytes(b"\xff")), (b"minus", Field::F64((-0.0_f64).to_bits()))];
    writer.row(0, &[(b"__name__", b"odd")], 7, &odd);
    writer.row(
        0,
        &[(b"__name__", b"odd")],
        8,
        &[(b"stale", Field::F64(stale)), (b"big", Field::I64(i64::MIN))],
    );
    writer.close();
    go("examples/forward", &["run", ".", directory.to_str().unwrap(), file.to_str().unwrap()], &[]);
    let forwarded = fs::read_to_string(&file).unwrap();
    for (field, value) in [
        ("bytes", r#"{"Base64":"/w=="},"Type":"bytes""#),
        ("minus", r#"-0,"Type":"f64""#),
        ("stale", r#""NaN:7ff0000000000002","Type":"f64""#),
        ("big", r#"-9223372036854775808,"Type":"i64""#),
    ] {
        let expected = format!(r#""Field":"{field}","Value":{value}"#);
        assert!(forwarded.contains(&expected), "{expected} is not in {forwarded}");
    }
    assert!(forwarded.lines().all(|line| line.contains(r#""Tenant":0"#) && line.contains(r#""ArrivalNS":"#)));
}
