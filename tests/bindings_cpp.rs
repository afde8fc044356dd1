//! The C++ header: its example and its contract under sanitizers, and programs that must not compile.

#![cfg(target_os = "linux")]
// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod package_kit;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use package_kit::{INSTALLED, done, is_there, names, root};
use tempfile::TempDir;

/// The compilers that are here.
fn compilers() -> impl Iterator<Item = &'static str> {
    ["g++", "clang++"].into_iter().filter(|name| is_there(name))
}

fn compiler(name: &str) -> Command {
    let mut compiler = Command::new(name);
    compiler.args(["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]);
    compiler.arg("-I").arg(INSTALLED.include());
    compiler
}

/// Builds a program with sanitizers; gives it, and the directory that holds it.
fn sanitized(source: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    let lib = INSTALLED.lib();
    let mut build = compiler(compilers().next().unwrap());
    build.args(["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    build
        .arg(root().join(source))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&lib)
        .args(["-ltidegate", "-lpthread"]);
    done(build.arg(format!("-Wl,-rpath,{}", lib.display())));
    (directory, program)
}

#[test]
fn the_contract_holds_call_by_call() {
    let (built, program) = sanitized("tests/cpp/contract.cpp");
    let data = built.path().join("data");
    let rows: usize = done(Command::new(&program).arg(&data)).trim().parse().unwrap();
    assert_eq!(names(&data).len(), rows);
}

#[test]
fn the_example_reads_the_events_that_it_wrote() {
    let (built, program) = sanitized("examples/cpp/events.cpp");
    let data = built.path().join("data");
    for runs in 1..=2 {
        // What was committed does not come again.
        assert_eq!(done(Command::new(&program).arg(&data)), "2\n");
        assert_eq!(names(&data), vec!["door"; 2 * runs]);
    }
}

#[test]
fn mistakes_do_not_compile() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("probe.cpp");
    for compiler_name in compilers() {
        let compiles = |body: &str| {
            let program = format!(
                "#include <tidegate.hpp>\nusing namespace std::chrono_literals;\n\
                 void probe(tidegate::engine &engine, tidegate::writer &writer, tidegate::reader &reader, \
                 tidegate::series series) {{\n{body}\n\
                 (void)engine; (void)writer; (void)reader; (void)series; }}\n"
            );
            fs::write(&file, program).unwrap();
            compiler(compiler_name).arg("-fsyntax-only").arg(&file).output().unwrap().status.success()
        };
        for right in [
            "tidegate::writer moved = std::move(writer);",
            "tidegate::engine moved = std::move(engine);",
            "if (!writer.push(series, tidegate::now, 1.0)) return;",
            "if (!writer.push(series, 5, {{\"a\", 1}, {\"b\", \"text\"}, {\"c\", nullptr}})) return;",
            "if (!writer.push_times(series, {1, 2}, {1.0, 2.0})) return;",
            "std::vector<double> f{1.0}; if (!writer.push_columns(series, {1}, {{\"f\", f}})) return;",
            "if (!engine.close(10s)) return;",
            "if (auto block = reader.next(tidegate::forever)) reader.commit(*block);",
        ] {
            assert!(compiles(right), "{compiler_name}: {right}");
        }
        for wrong in [
            "tidegate::writer copy = writer;",
            "tidegate::engine copy = engine;",
            "tidegate::reader copy = reader;",
            "auto block = reader.next(tidegate::forever); auto copy = *block;",
            // Answers that are not looked at.
            "writer.push(series, tidegate::now, 1.0);",
            "writer.push_times(series, {1, 2}, {1.0, 2.0});",
            "writer.push_columns(series, {}, {});",
            "writer.write(tidegate::protocol::influx, \"\");",
            "writer.wait(writer.flush(), tidegate::forever);",
            "engine.close(10s);",
            "engine.series(\"m\");",
            "reader.next(tidegate::forever);",
            "tidegate::read_directory(\"d\");",
            // Types that a column cannot have.
            "std::vector<float> f{1.0F}; (void)writer.push_columns(series, {1}, {{\"f\", f}});",
            "std::vector<bool> b{true}; (void)writer.push_columns(series, {1}, {{\"b\", b}});",
            "std::vector<std::string> s{\"s\"}; (void)writer.push_columns(series, {1}, {{\"s\", s}});",
        ] {
            assert!(!compiles(wrong), "{compiler_name}: {wrong}");
        }
    }
}
