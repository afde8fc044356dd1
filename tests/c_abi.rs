//! The C ABI from outside: programs in C, built against the libraries as they are shipped, and the libraries
//! themselves.

#![cfg(target_os = "linux")]
// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

/// The libraries, laid out under a directory.
static SHIPPED: LazyLock<PathBuf> = LazyLock::new(|| build("c", "capi"));

/// The same with calls that panic.
static PANICKING: LazyLock<PathBuf> = LazyLock::new(|| build("c-testing", "capi-testing"));

fn build(name: &str, features: &str) -> PathBuf {
    // The two are one target of cargo's: one after the other.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    done(Command::new(path("bindings/c/build.sh")).arg(&out).args(["dev", features]));
    out
}

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Runs a command that must succeed, and gives what it printed.
fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}

#[derive(Clone, Copy)]
enum Link {
    Static,
    Shared,
    None,
}

const C11: &[&str] = &["-std=c11", "-D_DEFAULT_SOURCE"];
const STRICT: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"];

/// Compiles a program; gives where it is, and the directory that holds it.
fn compile(libraries: &Path, source: &Path, flags: &[&str], link: Link) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    let lib = libraries.join("lib");
    let mut cc = Command::new("cc");
    cc.args(STRICT).args(flags).arg("-I").arg(libraries.join("include")).arg("-I").arg(path("tests/c"));
    cc.arg(source).arg("-o").arg(&program);
    match link {
        Link::Static => {
            let needed = fs::read_to_string(lib.join("native-static-libs.txt")).unwrap();
            cc.arg(lib.join("libtidegate.a")).args(needed.split_whitespace());
        }
        Link::Shared => {
            let rpath = format!("-Wl,-rpath,{}", lib.display());
            cc.arg("-L").arg(&lib).args(["-ltidegate", "-lpthread", &rpath]);
        }
        Link::None => drop(cc.args(["-ldl", "-lpthread"])),
    }
    done(&mut cc);
    (directory, program)
}

/// Compiles one of `tests/c` and gives a command that runs it with fresh directories to write to.
struct Program {
    _built: TempDir,
    program: PathBuf,
    data: TempDir,
}

impl Program {
    fn new(name: &str, flags: &[&str], link: Link) -> Program {
        Program::of(&SHIPPED, &path(&format!("tests/c/{name}.c")), flags, link)
    }

    fn of(libraries: &Path, source: &Path, flags: &[&str], link: Link) -> Program {
        let (_built, program) = compile(libraries, source, flags, link);
        Program { _built, program, data: tempfile::tempdir().unwrap() }
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    /// Runs it with these arguments, by way of another program where one is named.
    fn run(&self, by: &[&str], arguments: &[&Path], environment: &[(&str, &str)]) -> String {
        let mut command = match by {
            [] => Command::new(&self.program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
        };
        done(command.args(arguments).envs(environment.iter().copied()))
    }
}

/// Rows on a directory, by the name of their metric.
fn rows(directory: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut rows = Reader::open(directory).unwrap().rows(Query::default()).unwrap();
    rows.for_each(|row| {
        let name = String::from_utf8_lossy(row.labels.value(b"__name__").unwrap_or_default()).into_owned();
        *found.entry(name).or_default() += 1;
        Ok::<_, LogError>(())
    })
    .unwrap();
    assert_eq!(rows.losses(), 0);
    found
}

/// What the contract's program leaves behind, whatever watches over it.
fn check_contract(program: &Program, by: &[&str], environment: &[(&str, &str)]) {
    let (data, other) = (program.directory("data"), program.directory("other"));
    program.run(by, &[&data, &other], environment);
    let expected = [
        ("m", 2),
        ("column", 20_000 + 2 + 2 + 3),
        ("event", 2 + 3 + 2 + 1),
        ("cpu", 2),
        ("up", 1),
        ("nd", 1),
        ("rw", 1),
        ("some.path", 1),
        ("collected", 1),
        ("token", 2),
    ];
    assert_eq!(rows(&data), expected.map(|(name, count)| (name.to_owned(), count)).into());
    assert_eq!(rows(&other), [("future".to_owned(), 2)].into());
}

#[test]
fn the_contract_holds_call_by_call() {
    for link in [Link::Static, Link::Shared] {
        check_contract(&Program::new("contract", C11, link), &[], &[]);
    }
}

#[test]
fn nothing_is_touched_that_is_not_the_callers_nor_the_librarys() {
    let flags = [C11, &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]].concat();
    let environment = [("ASAN_OPTIONS", "detect_leaks=1")];
    check_contract(&Program::new("contract", &flags, Link::Shared), &[], &environment);
    check_threads(&Program::new("threads", &flags, Link::Shared), &[]);
    check_reader(&Program::new("reader", &flags, Link::Shared), &[]);
    check_loop(&Program::new("loop", &flags, Link::Shared), &[], &environment);
    check_fork(&Program::new("fork", &flags, Link::Shared), FORK_ENVIRONMENT, ChildsEngine::None);
    check_poison(&poison(&flags), &[], FORK_ENVIRONMENT);
}

/// A forked child forgets what is its parent's: to the sanitizer that leaks.
const FORK_ENVIRONMENT: &[(&str, &str)] = &[("ASAN_OPTIONS", "detect_leaks=0")];

#[test]
fn nothing_leaks() {
    let valgrind = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--fair-sched=yes"];
    check_contract(&Program::new("contract", C11, Link::Static), &valgrind, &[]);
    check_reader(&Program::new("reader", C11, Link::Static), &valgrind);
    check_loop(&Program::new("loop", C11, Link::Static), &valgrind, &[]);
    // A panic's payload is forgotten, lest its drop panic: a few bytes for each.
    let valgrind = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=no", "--fair-sched=yes"];
    check_poison(&poison(C11), &valgrind, &[]);
}

fn check_reader(program: &Program, by: &[&str]) {
    let data = program.directory("data");
    program.run(by, &[&data], &[]);
    assert_eq!(rows(&data), [("n".to_owned(), 3)].into());
}

#[test]
fn blocks_are_read_as_arrow_until_they_are_committed() {
    check_reader(&Program::new("reader", C11, Link::Shared), &[]);
}

#[test]
fn the_sink_takes_each_value_once_over_its_runs() {
    let program = Program::of(&SHIPPED, &path("examples/c/sink.c"), C11, Link::Shared);
    let (data, file) = (program.directory("data"), program.directory("out.txt"));
    for runs in 1..=3 {
        program.run(&[], &[&data, &file], &[]);
        let lines = fs::read_to_string(&file).unwrap();
        assert_eq!(lines.lines().count(), runs, "{lines}");
        assert!(lines.lines().all(|line| line.starts_with("0 ") && line.contains(" load.value ")), "{lines}");
    }
    assert_eq!(rows(&data), [("load".to_owned(), 3)].into());
}

fn check_threads(program: &Program, environment: &[(&str, &str)]) {
    let data = program.directory("data");
    let accepted: u64 = program.run(&[], &[&data], environment).trim().parse().unwrap();
    let found = rows(&data);
    assert_eq!(found.values().sum::<u64>(), accepted, "{found:?}");
    assert!(found["shared"] > 100_000 && found.contains_key("coming and going"));
}

#[test]
fn threads_write_while_others_wait_and_one_closes() {
    check_threads(&Program::new("threads", C11, Link::Shared), &[]);
}

#[test]
fn the_hosts_side_has_no_races() {
    let flags = [C11, &["-fsanitize=thread"]].concat();
    // What the library does between its own threads the sanitizer can't see: it is not built with it.
    let options = [("TSAN_OPTIONS", "ignore_noninstrumented_modules=1:halt_on_error=1")];
    check_threads(&Program::new("threads", &flags, Link::Shared), &options);
    check_loop(&Program::new("loop", &flags, Link::Shared), &[], &options);
}

#[test]
fn a_forked_child_is_told_and_harms_nobody() {
    check_fork(&Program::new("fork", C11, Link::Shared), &[], ChildsEngine::Opened);
}

/// Whether the forked child opens an engine of its own.
enum ChildsEngine {
    Opened,
    /// Under the address sanitizer, whose allocator is not safe to fork among threads: one of the parent's may hold a
    /// lock of it at the fork, which nobody gives back in the child, and its engine then stands still.
    None,
}

fn check_fork(program: &Program, environment: &[(&str, &str)], childs: ChildsEngine) {
    let (data, other) = (program.directory("data"), program.directory("other"));
    let directories: &[&Path] = match childs {
        ChildsEngine::Opened => &[&data, &other],
        ChildsEngine::None => &[&data],
    };
    program.run(&[], directories, environment);
    assert_eq!(rows(&data), [("forked".to_owned(), 2)].into());
    if let ChildsEngine::Opened = childs {
        assert_eq!(rows(&other), [("child".to_owned(), 1)].into());
    }
}

#[test]
fn an_event_loop_learns_what_is_durable() {
    check_loop(&Program::new("loop", C11, Link::Static), &[], &[]);
}

fn check_loop(program: &Program, by: &[&str], environment: &[(&str, &str)]) {
    let data = program.directory("data");
    program.run(by, &[&data], environment);
    assert_eq!(rows(&data), [("loop".to_owned(), 52)].into());
}

#[test]
fn a_program_with_its_own_allocator_loads_the_library() {
    let program = Program::new("dlopen", C11, Link::None);
    let data = program.directory("data");
    program.run(&[], &[&SHIPPED.join("lib/libtidegate.so"), &data], &[]);
    assert_eq!(rows(&data), [("loaded".to_owned(), 10_000)].into());
}

#[test]
fn a_panic_poisons_its_handle_and_crosses_nothing() {
    check_poison(&poison(C11), &[], &[]);
}

fn poison(flags: &[&str]) -> Program {
    Program::of(&PANICKING, &path("tests/c/poison.c"), flags, Link::Shared)
}

fn check_poison(program: &Program, by: &[&str], environment: &[(&str, &str)]) {
    let data = program.directory("data");
    program.run(by, &[&data], environment);
    assert_eq!(rows(&data), [("poison".to_owned(), 2)].into());
}

#[test]
fn structs_are_laid_out_as_ever_in_c_and_in_cpp() {
    for flags in [C11, &["-x", "c++", "-std=c++17"]] {
        let program = Program::new("layout", flags, Link::Shared);
        program.run(&[], &[], &[]);
    }
}

/// The indented lines of the header's introduction that follow a line.
fn quoted(after: &str) -> String {
    let header = fs::read_to_string(path("include/tidegate.h")).unwrap();
    let lines =
        header.lines().map(|line| line.strip_prefix(" *").unwrap_or(line).strip_prefix(' ').unwrap_or(""));
    let lines = lines.skip_while(|line| *line != after).skip(2);
    lines
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .fold(String::new(), |text, line| text + line.strip_prefix("    ").unwrap_or(line) + "\n")
}

#[test]
fn the_headers_example_does_what_the_header_says() {
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("demo.c");
    fs::write(&file, quoted("A whole program:")).unwrap();
    let (_built, program) = compile(&SHIPPED, &file, &["-std=c11"], Link::Static);
    let printed = done(Command::new(program).current_dir(source.path()));
    assert_eq!(printed.trim(), "done");
    let shown = quoted("What it has written:");
    let (command, expected) = shown.split_once('\n').unwrap();
    let arguments = command.strip_prefix("$ tidegate ").unwrap().split_whitespace();
    let mut cat = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    assert_eq!(done(cat.args(arguments).current_dir(source.path())).trim(), expected.trim());
}

#[test]
fn the_agent_samples_proc() {
    let program = Program::of(&SHIPPED, &path("examples/c/agent.c"), C11, Link::Shared);
    let data = program.directory("data");
    let mut command = Command::new(&program.program);
    done(command.arg(&data).args(["3", "10"]));
    let found = rows(&data);
    for name in ["load", "memory", "cpu"] {
        assert!(found.get(name).is_some_and(|rows| *rows >= 3), "{name}: {found:?}");
    }
}

/// Names that a list of `readelf` calls global and defined.
fn defined(listing: &str) -> Vec<String> {
    let mut names: Vec<String> = listing
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() >= 8 && matches!(words[4], "GLOBAL" | "WEAK") && words[6] != "UND")
        .map(|words| words[7].to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn the_shared_library_exports_the_abi_and_nothing_else() {
    let library = SHIPPED.join("lib/libtidegate.so");
    let exported = defined(&done(Command::new("readelf").args(["--wide", "--dyn-syms"]).arg(&library)));
    let list = path("tests/c/symbols.txt");
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(&list, exported.join("\n") + "\n").unwrap();
    }
    let listed = fs::read_to_string(list).unwrap();
    assert_eq!(exported, listed.lines().collect::<Vec<_>>(), "TIDEGATE_BLESS=1 writes the list anew");
    let header = fs::read_to_string(path("include/tidegate.h")).unwrap();
    assert!(exported.iter().all(|name| header.contains(&format!("{name}("))), "and the header declares each");
    let dynamic = done(Command::new("readelf").args(["--wide", "--dynamic"]).arg(&library));
    let abi = format!("[libtidegate.so.{}]", header_number("TDG_ABI"));
    assert!(dynamic.contains("SONAME") && dynamic.contains(&abi), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    assert!(!dynamic.contains("STATIC_TLS"), "it could not be loaded at run time:\n{dynamic}");
}

fn header_number(name: &str) -> u32 {
    let header = fs::read_to_string(path("include/tidegate.h")).unwrap();
    let line = header.lines().find_map(|line| line.strip_prefix(&format!("#define {name} ")));
    line.unwrap().parse().unwrap()
}

#[test]
fn the_archive_has_the_abi_and_nothing_else_global() {
    let archive = SHIPPED.join("lib/libtidegate.a");
    let symbols = defined(&done(Command::new("readelf").args(["--wide", "--symbols"]).arg(archive)));
    let listed = fs::read_to_string(path("tests/c/symbols.txt")).unwrap();
    assert_eq!(symbols, listed.lines().collect::<Vec<_>>());
}

#[test]
fn a_static_link_needs_what_it_always_needed() {
    let needed = fs::read_to_string(SHIPPED.join("lib/native-static-libs.txt")).unwrap();
    assert_eq!(needed.trim(), "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc");
}
