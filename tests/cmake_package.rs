//! The CMake and pkg-config packages: installed once, and programs outside of the tree built against them each way.

#![cfg(target_os = "linux")]
// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod command_kit;
mod package_kit;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use command_kit::{Field, Writer};
use package_kit::{INSTALLED, Package, done, is_there, names, root};
use tempfile::TempDir;

/// Prometheus' mark of a series that has ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A directory with the programs of the headers' introductions: `demo.c` and `demo.cpp`.
fn sources() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (header, margin, first, program) in [
        ("include/tidegate.h", " *     ", "#include <stdio.h>", "demo.c"),
        ("bindings/cpp/tidegate.hpp", "//     ", "#include <tidegate.hpp>", "demo.cpp"),
    ] {
        let text = fs::read_to_string(root().join(header)).unwrap();
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
    assert_eq!(names(&directory.join("demo")), ["load"], "{program:?}");
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
    let tree = directory.path().join("build");
    done(Command::new("cmake").arg("-S").arg(directory.path()).arg("-B").arg(&tree).args(options));
    done(Command::new("cmake").arg("--build").arg(&tree));
    for program in ["c-static", "c-shared", "cpp-static", "cpp-shared"] {
        check(directory.path(), &tree.join(program));
    }
    directory
}

#[test]
fn programs_are_built_against_the_installed_package() {
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", INSTALLED.prefix.display());
    let built = build_and_check("find_package(tidegate 0.1 CONFIG REQUIRED)", &[prefix]);
    // The shared library is asked for by the number of its ABI, and found by the program itself.
    let program = built.path().join("build/c-shared");
    let dynamic = done(Command::new("readelf").arg("--dynamic").arg(program));
    assert!(dynamic.contains("[libtidegate.so.1]"), "{dynamic}");
    assert!(dynamic.contains(INSTALLED.lib().to_str().unwrap()), "{dynamic}");
}

#[test]
fn an_installed_tree_may_be_moved() {
    let moved = tempfile::tempdir().unwrap();
    let prefix = moved.path().join("elsewhere");
    done(Command::new("cp").arg("-a").arg(&INSTALLED.prefix).arg(&prefix));
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
    let refused =
        command.arg(format!("-DCMAKE_PREFIX_PATH={}", INSTALLED.prefix.display())).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("0.1.0"), "{refused:?}");
}

#[test]
fn the_source_tree_is_a_part_of_another_project() {
    // The libraries are there already: cargo finds nothing to do.
    let root = root().display();
    LazyLock::force(&INSTALLED);
    let mut options = vec!["-DTIDEGATE_PROFILE=dev".to_owned()];
    let fetch = format!(
        "include(FetchContent)\nFetchContent_Declare(tidegate SOURCE_DIR {root})\nFetchContent_MakeAvailable(tidegate)"
    );
    build_and_check(&fetch, &options);
    // Ninja, unlike make, wants to know where each file that is linked comes from.
    if is_there("ninja") {
        options.push("-GNinja".to_owned());
    }
    build_and_check(&format!("add_subdirectory({root} tidegate)"), &options);
}

#[test]
fn a_cargo_that_is_too_old_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("cargo");
    fs::write(&old, "#!/bin/sh\necho cargo 1.60.0\n").unwrap();
    done(Command::new("chmod").arg("+x").arg(&old));
    let mut command = Command::new("cmake");
    command.arg("-S").arg(root()).arg("-B").arg(directory.path().join("build"));
    let refused = command.arg(format!("-DTIDEGATE_CARGO={}", old.display())).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!refused.status.success() && told.contains("needs Rust 1.95 or newer"), "{told}");
}

#[test]
fn a_cargo_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let mut command = Command::new("cmake");
    command.arg("-S").arg(root()).arg("-B").arg(directory.path().join("build"));
    let refused = command.arg(format!("-DTIDEGATE_CARGO={}", missing.display())).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).split_whitespace().collect::<String>();
    let expected = format!("TIDEGATE_CARGOis{},whichisnotthere", missing.display());
    assert!(!refused.status.success() && told.contains(&expected), "{told}");
}

#[test]
fn the_installed_package_knows_the_libraries_of_both_platforms() {
    let config = fs::read_to_string(INSTALLED.lib().join("cmake/tidegate/tidegateConfig.cmake")).unwrap();
    for line in [
        "IMPORTED_LOCATION \"${_tidegate_lib}/libtidegate.1.dylib\"",
        "IMPORTED_SONAME \"@rpath/libtidegate.1.dylib\")",
        "IMPORTED_LOCATION \"${_tidegate_lib}/libtidegate.so.1\"",
        "IMPORTED_SONAME \"libtidegate.so.1\")",
    ] {
        assert!(config.lines().any(|found| found.trim() == line), "{line}\n{config}");
    }
}

#[test]
fn pkg_config_names_what_a_link_needs() {
    let mut version = Command::new("pkg-config");
    version.env("PKG_CONFIG_PATH", INSTALLED.lib().join("pkgconfig")).args(["--modversion", "tidegate"]);
    assert_eq!(done(&mut version).trim(), env!("CARGO_PKG_VERSION"));
    // By the lines of the page on embedding, for which the package lies in somebody's home. What `make lib` leaves is
    // in the build tree.
    let page = fs::read_to_string(root().join("docs/embedding.md")).unwrap();
    let Package { tree, prefix } = &*INSTALLED;
    for (begins, home, needs_the_library) in [
        ("cc demo.c $(pkg-config --cflags", prefix, true),
        ("cc demo.c $(pkg-config --static", prefix, false),
        ("cc -I$HOME/tidegate/include demo.c", &tree.join("out"), false),
    ] {
        let directory = sources();
        std::os::unix::fs::symlink(home, directory.path().join("tidegate")).unwrap();
        let line = page.lines().find(|line| line.starts_with(begins)).unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        done(shell.env("HOME", directory.path()).current_dir(&directory));
        let program = directory.path().join("first");
        let linked = done(Command::new("readelf").arg("--dynamic").arg(&program));
        assert_eq!(linked.contains("libtidegate"), needs_the_library, "{line}: {linked}");
        check(directory.path(), &program);
    }
}

#[test]
fn the_page_on_embedding_leads_to_rows_read_back() {
    let page = fs::read_to_string(root().join("docs/embedding.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("A first program\n")).unwrap();
    let blocks: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
    let [build, cat, rows] = blocks[..] else { panic!("{blocks:?}") };
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&INSTALLED.prefix, directory.path().join("tidegate")).unwrap();
    let work = directory.path().join("work");
    fs::create_dir(&work).unwrap();
    let shell = |block: &str| {
        let script = block.strip_prefix("sh\n").unwrap();
        let script = script.replace(".../target/release/tidegate", env!("CARGO_BIN_EXE_tidegate"));
        let mut command = Command::new("sh");
        done(command.args(["-e", "-c", &script]).env("HOME", directory.path()).current_dir(&work))
    };
    assert!(shell(build).ends_with("done \n"));
    assert_eq!(shell(cat), rows.strip_prefix("json\n").unwrap());
}

#[test]
fn the_sink_says_every_value_by_its_type() {
    let base = tempfile::tempdir().unwrap();
    let (data, file) = (base.path().join("data"), base.path().join("out.txt"));
    let mut writer = Writer::open(&data, 1);
    writer.lines(0, "m,host=a,room=the\\ hall f=1.5,i=-2i,u=3u,b=true,s=\"a \\\"word\\\"\" 7");
    let odd =
        [(&b"bytes"[..], Field::Bytes(b"a\xff\n")), (b"none", Field::Null), (b"stale", Field::F64(STALE))];
    writer.row(0, &[(b"__name__", b"odd")], 7, &odd);
    writer.close();
    // As its first lines say.
    let build = "cc sink.c -o sink $(pkg-config --cflags --libs tidegate)";
    let source = root().join("examples/c/sink.c");
    assert!(fs::read_to_string(&source).unwrap().contains(build));
    let source = source.to_str().unwrap();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(build.replace("cc sink.c", &format!("cc -Wall -Wextra -Werror '{source}'")));
    done(shell.current_dir(&base).env("PKG_CONFIG_PATH", INSTALLED.lib().join("pkgconfig")));
    let mut sink = Command::new(base.path().join("sink"));
    done(sink.arg(&data).arg(&file).env("LD_LIBRARY_PATH", INSTALLED.lib()));
    let said = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
    let mut said: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(" 7 ").map(|parts| parts.1)).collect();
    said.sort_unstable();
    let labels = "host=\"a\" room=\"the hall\"";
    let expected = [
        format!("m.b bool true {labels}"),
        format!("m.f f64 1.5 {labels}"),
        format!("m.i i64 -2 {labels}"),
        format!("m.s string \"a \\\"word\\\"\" {labels}"),
        format!("m.u u64 3 {labels}"),
        "odd.bytes bytes \"a\u{fffd}\\x0a\"".to_owned(),
        "odd.none null null".to_owned(),
        "odd.stale f64 NaN:7ff0000000000002".to_owned(),
    ];
    assert_eq!(said, expected);
    // A disk that is full: nothing is committed, and all comes again.
    let mut writer = Writer::open(&data, 1);
    writer.lines(0, "late value=1 8");
    writer.close();
    let run = |file: &Path| {
        let mut sink = Command::new(base.path().join("sink"));
        sink.arg(&data).arg(file).env("LD_LIBRARY_PATH", INSTALLED.lib()).output().unwrap()
    };
    assert!(!run(Path::new("/dev/full")).status.success());
    assert!(run(&file).status.success());
    let said = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
    assert!(said.contains(" 8 late.value f64 1\n"), "{said}");
}

#[test]
fn the_packages_know_what_a_static_link_needs() {
    let Package { tree, prefix } = &*INSTALLED;
    let needed = fs::read_to_string(tree.join("out/lib/native-static-libs.txt")).unwrap();
    let config = fs::read_to_string(prefix.join("lib/cmake/tidegate/tidegateConfig.cmake")).unwrap();
    let listed = needed.split_whitespace().collect::<Vec<_>>().join(";");
    assert!(config.contains(&listed), "{listed} is not in {config}");
    let package = fs::read_to_string(prefix.join("lib/pkgconfig/tidegate.pc")).unwrap();
    assert!(package.contains(needed.trim()), "{needed} is not in {package}");
}

/// Everything under a directory: where it is, what is in it, and which file it is.
fn contents(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let inode = fs::metadata(&path).unwrap().ino();
            found.insert(path.clone(), (fs::read(&path).unwrap(), inode));
        }
    }
    found
}

#[test]
fn the_libraries_come_beside_what_is_there() {
    let base = tempfile::tempdir().unwrap();
    let (out, target) = (base.path().join("usr local"), base.path().join("target"));
    let build = |cargo: &str| {
        let mut command = Command::new(root().join("bindings/c/build.sh"));
        command.arg(&out).arg("dev").env("CARGO", cargo);
        command
    };
    // Of somebody else, in both of the directories that files come to.
    for (directory, name) in
        [("lib/cmake/other", "otherConfig.cmake"), ("lib", "libother.so"), ("include", "o.h")]
    {
        fs::create_dir_all(out.join(directory)).unwrap();
        fs::write(out.join(directory).join(name), name).unwrap();
    }
    let others = contents(&out);
    done(&mut build("cargo"));
    let built = contents(&out);
    assert!(others.iter().all(|(path, was)| built.get(path) == Some(was)), "{:?}", built.keys());
    let mut ours: Vec<_> = built.keys().filter(|path| !others.contains_key(*path)).collect();
    ours.sort();
    let expected = [
        "include/tidegate.h",
        "include/tidegate.hpp",
        "lib/libtidegate.a",
        "lib/libtidegate.so",
        "lib/libtidegate.so.1",
        "lib/native-static-libs.txt",
    ];
    assert_eq!(ours, expected.map(|name| out.join(name)).iter().collect::<Vec<_>>());

    // What cannot be built, and what is built and is no library, leave all as it was.
    let nonsense = base.path().join("cargo");
    let script = "#!/bin/sh\nmkdir -p \"$CARGO_TARGET_DIR/debug\" && cd \"$CARGO_TARGET_DIR/debug\" || exit\n\
                  echo note: native-static-libs: -lc\necho no >libtidegate.so\necho no >libtidegate.a\n";
    fs::write(&nonsense, script).unwrap();
    fs::set_permissions(&nonsense, fs::Permissions::from_mode(0o755)).unwrap();
    for cargo in ["false", nonsense.to_str().unwrap()] {
        let failed = build(cargo).env("CARGO_TARGET_DIR", &target).output().unwrap();
        assert!(!failed.status.success(), "{failed:?}");
        assert_eq!(contents(&out), built);
        let left: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "debug"), "{left:?}");
    }

    // A program that runs with the library goes on with the one that it has.
    done(&mut build("cargo"));
    let library = out.join("lib/libtidegate.so.1");
    assert_ne!(contents(&out)[&library].1, built[&library].1);

    let nowhere = Command::new(root().join("bindings/c/build.sh")).arg("").output().unwrap();
    assert!(
        !nowhere.status.success() && String::from_utf8_lossy(&nowhere.stderr).contains("usage"),
        "{nowhere:?}"
    );
}
