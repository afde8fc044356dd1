//! Binding sockets, and paths that do not outlive their socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};

/// A socket's file, removed with it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what another process has put there since is not ours to remove.
    identity: (u64, u64),
}

/// Binds on a path. A file that a socket left behind on which nobody listens is removed first.
///
/// # Errors
/// Somebody listens there, or something else is there, or the system's own reasons.
pub(super) fn bind<S>(
    path: &Path,
    bind: impl Fn(&Path) -> io::Result<S>,
    knock: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<(S, SocketFile)> {
    let socket = match bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && is_stale(path, knock) => {
            fs::remove_file(path)?;
            bind(path)?
        }
        bound => bound.map_err(|e| without_directory(path, e))?,
    };
    // Owner and group may write to it; what the directory allows comes on top.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    let file = fs::metadata(path)?;
    Ok((socket, SocketFile { path: path.to_owned(), identity: (file.dev(), file.ino()) }))
}

/// Names the directory that is missing: the system says no more than that something is.
fn without_directory(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    let missing = above.take_while(|above| !above.exists()).last();
    missing.map_or(error, |missing| {
        let message = format!("there is no directory {}", missing.display());
        io::Error::new(io::ErrorKind::NotFound, message)
    })
}

/// Whether somebody takes connections on a path.
pub(super) fn knock_stream(path: &Path) -> io::Result<()> {
    unix::UnixStream::connect(path).map(drop)
}

/// Whether somebody takes datagrams on a path.
pub(super) fn knock_datagram(path: &Path) -> io::Result<()> {
    unix::UnixDatagram::unbound()?.connect(path)
}

fn is_stale(path: &Path, knock: impl Fn(&Path) -> io::Result<()>) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket && knock(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity) {
            // Left behind it does no harm: the next to listen there removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

const SOCKET_MODE: u32 = 0o660;

#[cfg(test)]
mod tests {
    use super::*;

    fn bind_stream(path: &Path) -> io::Result<(unix::UnixListener, SocketFile)> {
        bind(path, |path| unix::UnixListener::bind(path), knock_stream)
    }

    fn bind_datagram(path: &Path) -> io::Result<(unix::UnixDatagram, SocketFile)> {
        bind(path, |path| unix::UnixDatagram::bind(path), knock_datagram)
    }

    #[test]
    fn a_path_is_taken_over_from_a_dead_socket_and_from_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = &directory.path().join("s");
        let (socket, file) = bind_stream(path).unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert_eq!(bind_stream(path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // As a killed process leaves it.
        drop(socket);
        std::mem::forget(file);
        assert!(path.exists());
        let (_socket, file) = bind_stream(path).unwrap();
        drop(file);
        assert!(!path.exists());
        fs::write(path, "mine").unwrap();
        assert_eq!(bind_stream(path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(path).unwrap(), b"mine");
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("run");
        let expected = format!("there is no directory {}", missing.display());
        let error = bind_datagram(&missing.join("tidegate/x.socket")).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::NotFound, expected.clone()));
        assert_eq!(bind_stream(&missing.join("x.socket")).unwrap_err().to_string(), expected);
    }

    #[test]
    fn datagrams_likewise() {
        let directory = tempfile::tempdir().unwrap();
        let path = &directory.path().join("s");
        let (socket, file) = bind_datagram(path).unwrap();
        assert_eq!(bind_datagram(path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        std::mem::forget(file);
        let (_socket, file) = bind_datagram(path).unwrap();
        // Another's file by the same name stays.
        fs::remove_file(path).unwrap();
        fs::write(path, "theirs").unwrap();
        drop(file);
        assert!(path.exists());
    }
}
