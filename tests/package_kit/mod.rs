//! What the tests of packages and bindings share: the package, built by CMake and installed once a test binary,
//! commands that must succeed, and what programs have left in their directories.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

/// The package with libraries of cargo's profile dev.
pub(crate) static INSTALLED: LazyLock<Package> = LazyLock::new(Package::install);

pub(crate) struct Package {
    /// CMake's build tree.
    pub(crate) tree: PathBuf,
    /// Where it is installed.
    pub(crate) prefix: PathBuf,
}

impl Package {
    fn install() -> Package {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package").join(env!("CARGO_CRATE_NAME"));
        // What an earlier run has left may be another layout's, or another checkout's.
        drop(fs::remove_dir_all(&base));
        let (tree, prefix) = (base.join("build"), base.join("prefix"));
        let cmake = || Command::new("cmake");
        done(cmake().arg("-S").arg(root()).arg("-B").arg(&tree).arg("-DTIDEGATE_PROFILE=dev"));
        done(cmake().arg("--build").arg(&tree));
        done(cmake().arg("--install").arg(&tree).arg("--prefix").arg(&prefix));
        Package { tree, prefix }
    }

    pub(crate) fn lib(&self) -> PathBuf {
        self.prefix.join("lib")
    }

    pub(crate) fn include(&self) -> PathBuf {
        self.prefix.join("include")
    }
}

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command that must succeed, and gives what it printed.
pub(crate) fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}

/// Whether a program can be started.
pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The names of the series of a directory's rows, one a row, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut rows = Reader::open(directory).unwrap().rows(Query::default()).unwrap();
    rows.for_each(|row| {
        found.push(String::from_utf8_lossy(row.labels.value(b"__name__").unwrap()).into_owned());
        Ok::<_, LogError>(())
    })
    .unwrap();
    assert_eq!(rows.losses(), 0);
    found.sort();
    found
}
