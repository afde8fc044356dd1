//! The Go module, against an installed tree: its own tests under Go's checks, and what its example hands on.

#![cfg(target_os = "linux")]
// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

/// Where the package is installed.
static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bindings");
    let (tree, prefix) = (base.join("build"), base.join("prefix"));
    // What an earlier run has left may be another layout's, or another tree's.
    drop(fs::remove_dir_all(&base));
    let cmake = |arguments: &[&str]| done(Command::new("cmake").args(arguments));
    let tree = tree.to_str().unwrap();
    cmake(&["-S", env!("CARGO_MANIFEST_DIR"), "-B", tree, "-DTIDEGATE_PROFILE=dev"]);
    cmake(&["--build", tree]);
    cmake(&["--install", tree, "--prefix", prefix.to_str().unwrap()]);
    prefix
});

/// Runs a command that must succeed, and gives what it printed.
fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}

/// The go command in one of the module's directories, with the installed package and without a network.
fn go(directory: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new("go");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/go").join(directory));
    command.args(arguments).envs([("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")]);
    command
        .env("PKG_CONFIG_PATH", INSTALLED.join("lib/pkgconfig"))
        .env("LD_LIBRARY_PATH", INSTALLED.join("lib"))
        // Go keeps what pkg-config said, wherever the package is by now: another checkout's would be linked.
        .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"));
    done(command.envs(environment.iter().copied()))
}

#[test]
fn the_module_is_sound() {
    go(".", &["vet", "./..."], &[]);
    let unformatted =
        done(Command::new("gofmt").arg("-l").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/go")));
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

/// The rows of a directory, as a name, a time and a value each.
fn rows(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut rows = Reader::open(directory).unwrap().rows(Query::default()).unwrap();
    rows.for_each(|row| {
        let name = String::from_utf8_lossy(row.labels.value(b"__name__").unwrap()).into_owned();
        found.push(name);
        Ok::<_, LogError>(())
    })
    .unwrap();
    found
}

#[test]
fn the_example_hands_on_each_value_once_over_its_runs() {
    let data = tempfile::tempdir().unwrap();
    let (directory, file) = (data.path().join("data"), data.path().join("out.jsonl"));
    let program = data.path().join("forward");
    go(".", &["build", "-o", program.to_str().unwrap(), "./examples/forward"], &[]);
    for runs in 1..=3 {
        let mut command = Command::new(&program);
        command.env("LD_LIBRARY_PATH", INSTALLED.join("lib"));
        done(command.arg(&directory).arg(&file));
        let forwarded = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = forwarded.lines().collect();
        assert_eq!(lines.len(), runs * 3, "{forwarded}");
        assert_eq!(lines.len(), rows(&directory).len());
        for name in ["go_goroutines", "go_heap_bytes", "go_started"] {
            let sent = lines.iter().filter(|line| line.contains(&format!("\"Name\":\"{name}\""))).count();
            assert_eq!(sent, runs, "{name}: {forwarded}");
        }
    }
    let mut names = rows(&directory);
    names.sort();
    names.dedup();
    assert_eq!(names, ["go_goroutines", "go_heap_bytes", "go_started"]);
}
