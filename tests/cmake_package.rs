//! The CMake and pkg-config packages: installed once, and programs outside of the tree built against them each way.

#![cfg(target_os = "linux")]
// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

/// The build tree of the package, with its libraries in it, and where it is installed.
static INSTALLED: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cmake");
    let (tree, prefix) = (base.join("build"), base.join("prefix"));
    // What an earlier run has left may be another layout's.
    drop(fs::remove_dir_all(&prefix));
    let root = env!("CARGO_MANIFEST_DIR");
    cmake(&["-S", root, "-B", tree.to_str().unwrap(), "-DTIDEGATE_PROFILE=dev"]);
    cmake(&["--build", tree.to_str().unwrap()]);
    cmake(&["--install", tree.to_str().unwrap(), "--prefix", prefix.to_str().unwrap()]);
    (tree, prefix)
});

fn cmake(arguments: &[&str]) {
    done(Command::new("cmake").args(arguments));
}

/// Runs a command that must succeed, and gives what it printed.
fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}

/// A directory with the programs of the headers' introductions: `demo.c` and `demo.cpp`.
fn sources() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (header, margin, first, program) in [
        ("include/tidegate.h", " *     ", "#include <stdio.h>", "demo.c"),
        ("bindings/cpp/tidegate.hpp", "//     ", "#include <tidegate.hpp>", "demo.cpp"),
    ] {
        let text = fs::read_to_string(root.join(header)).unwrap();
        let lines = text.lines().map(|line| line.strip_prefix(margin).unwrap_or_default());
        let from = lines.skip_while(|line| *line != first);
        let mut source = String::new();
        for line in from {
            source += line;
            source += "\n";
            if line == "}" {
                break;
            }
        }
        assert!(source.contains("int main"), "{header}: {source}");
        fs::write(directory.path().join(program), source).unwrap();
    }
    directory
}

/// Runs a program of [`sources`] where it is, and looks at what it has written.
fn check(directory: &Path, program: &Path) {
    drop(fs::remove_dir_all(directory.join("demo")));
    done(Command::new(program).current_dir(directory));
    let mut found = Vec::new();
    let mut rows = Reader::open(&directory.join("demo")).unwrap().rows(Query::default()).unwrap();
    rows.for_each(|row| {
        found.push(String::from_utf8_lossy(row.labels.value(b"__name__").unwrap()).into_owned());
        Ok::<_, LogError>(())
    })
    .unwrap();
    assert_eq!(found, ["load"], "{program:?}");
}

/// Builds both programs with a CMakeLists.txt that begins with `find`, linked each way, and runs them.
fn build_and_check(find: &str, options: &[String]) -> TempDir {
    let directory = sources();
    let lists = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(demo C CXX)\nset(CMAKE_CXX_STANDARD 17)\n{find}\n\
         foreach(way static shared)\n\
         add_executable(c-${{way}} demo.c)\ntarget_link_libraries(c-${{way}} PRIVATE tidegate::${{way}})\n\
         add_executable(cpp-${{way}} demo.cpp)\ntarget_link_libraries(cpp-${{way}} PRIVATE tidegate::${{way}})\n\
         endforeach()\n"
    );
    fs::write(directory.path().join("CMakeLists.txt"), lists).unwrap();
    let (source, tree) = (directory.path().to_str().unwrap(), directory.path().join("build"));
    let tree = tree.to_str().unwrap();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    cmake(&[&["-S", source, "-B", tree], &options[..]].concat());
    cmake(&["--build", tree]);
    for program in ["c-static", "c-shared", "cpp-static", "cpp-shared"] {
        check(directory.path(), &Path::new(tree).join(program));
    }
    directory
}

#[test]
fn programs_are_built_against_the_installed_package() {
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", INSTALLED.1.display());
    let built = build_and_check("find_package(tidegate 0.1 CONFIG REQUIRED)", &[prefix]);
    // The shared library is asked for by the number of its ABI, and found by the program itself.
    let program = built.path().join("build/c-shared");
    let dynamic = done(Command::new("readelf").arg("--dynamic").arg(program));
    assert!(dynamic.contains("[libtidegate.so.1]"), "{dynamic}");
    assert!(dynamic.contains(INSTALLED.1.join("lib").to_str().unwrap()), "{dynamic}");
}

#[test]
fn an_installed_tree_may_be_moved() {
    let moved = tempfile::tempdir().unwrap();
    let prefix = moved.path().join("elsewhere");
    done(Command::new("cp").arg("-a").arg(&INSTALLED.1).arg(&prefix));
    build_and_check(
        "find_package(tidegate CONFIG REQUIRED)",
        &[format!("-DCMAKE_PREFIX_PATH={}", prefix.display())],
    );
}

#[test]
fn a_version_that_is_too_old_is_not_found() {
    let directory = sources();
    let lists =
        "cmake_minimum_required(VERSION 3.16)\nproject(demo C)\nfind_package(tidegate 0.2 CONFIG REQUIRED)\n";
    fs::write(directory.path().join("CMakeLists.txt"), lists).unwrap();
    let mut command = Command::new("cmake");
    command.arg("-S").arg(directory.path()).arg("-B").arg(directory.path().join("build"));
    let refused = command.arg(format!("-DCMAKE_PREFIX_PATH={}", INSTALLED.1.display())).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("0.1.0"), "{refused:?}");
}

#[test]
fn the_source_tree_is_a_part_of_another_project() {
    // The libraries are there already: cargo finds nothing to do.
    let root = env!("CARGO_MANIFEST_DIR");
    LazyLock::force(&INSTALLED);
    let profile = "-DTIDEGATE_PROFILE=dev".to_owned();
    build_and_check(&format!("add_subdirectory({root} tidegate)"), std::slice::from_ref(&profile));
    let fetch = format!(
        "include(FetchContent)\nFetchContent_Declare(tidegate SOURCE_DIR {root})\nFetchContent_MakeAvailable(tidegate)"
    );
    build_and_check(&fetch, std::slice::from_ref(&profile));
}

#[test]
fn a_cargo_that_is_too_old_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("cargo");
    fs::write(&old, "#!/bin/sh\necho cargo 1.60.0\n").unwrap();
    done(Command::new("chmod").arg("+x").arg(&old));
    let mut command = Command::new("cmake");
    command.args(["-S", env!("CARGO_MANIFEST_DIR"), "-B"]).arg(directory.path().join("build"));
    let refused = command.arg(format!("-DTIDEGATE_CARGO={}", old.display())).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!refused.status.success() && told.contains("needs Rust 1.95 or newer"), "{told}");
}

#[test]
fn pkg_config_names_what_a_link_needs() {
    let directory = sources();
    let prefix = &INSTALLED.1;
    let flags = |what: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(what).arg("tidegate");
        done(&mut command).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(flags(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    for (name, what) in
        [("shared", &["--cflags", "--libs"][..]), ("static", &["--cflags", "--libs", "--static"])]
    {
        let program = directory.path().join(name);
        let mut cc = Command::new("cc");
        cc.arg(directory.path().join("demo.c")).arg("-o").arg(&program);
        if name == "static" {
            cc.arg("-Wl,-Bstatic");
        }
        for flag in flags(what) {
            cc.arg(&flag);
            if flag == "-ltidegate" {
                cc.arg("-Wl,-Bdynamic");
            }
        }
        done(cc.arg(format!("-Wl,-rpath,{}", prefix.join("lib").display())));
        check(directory.path(), &program);
        let linked = done(Command::new("readelf").arg("--dynamic").arg(&program));
        assert_eq!(linked.contains("libtidegate"), name == "shared", "{linked}");
    }
}

#[test]
fn the_packages_know_what_a_static_link_needs() {
    let (tree, prefix) = &*INSTALLED;
    let needed = fs::read_to_string(tree.join("out/lib/native-static-libs.txt")).unwrap();
    let config = fs::read_to_string(prefix.join("lib/cmake/tidegate/tidegateConfig.cmake")).unwrap();
    let listed = needed.split_whitespace().collect::<Vec<_>>().join(";");
    assert!(config.contains(&listed), "{listed} is not in {config}");
    let package = fs::read_to_string(prefix.join("lib/pkgconfig/tidegate.pc")).unwrap();
    assert!(package.contains(needed.trim()), "{needed} is not in {package}");
}
