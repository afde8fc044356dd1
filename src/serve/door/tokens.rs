//! Tokens that follow their files: whoever takes one away, or gives another, need not tell anybody.
//!
//! Requests look at the files, each of which is small, at most every two seconds together; all others compare with what
//! was found then. What a file holds is what opens the door: one that is gone, or holds no token any more, opens it to
//! nobody. A file that the system can't read at the moment says nothing, and its token stays.

use std::fmt::{self, Debug, Formatter};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use subtle::ConstantTimeEq;

use super::tls::LOOK_NS;

/// A file that holds a token, and the token as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenFile {
    path: PathBuf,
    token: String,
}

impl TokenFile {
    /// Reads it.
    ///
    /// # Errors
    /// It can't be read, or holds no token.
    pub fn read(path: PathBuf) -> Result<TokenFile, String> {
        match token(&path) {
            Ok(Some(token)) => Ok(TokenFile { path, token }),
            Ok(None) => Err(format!("{} holds no token", path.display())),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }
}

impl Debug for TokenFile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "TokenFile({:?})", self.path)
    }
}

/// What the files hold.
pub(super) struct Tokens {
    are_asked: bool,
    kept: RwLock<Vec<Kept>>,
    looked_ns: AtomicU64,
}

struct Kept {
    path: PathBuf,
    token: Option<String>,
    /// It can't be read, and that was said.
    is_unreadable: bool,
}

/// What a look at a file has found.
enum Found {
    Token(Option<String>),
    Nothing(io::Error),
}

impl Tokens {
    pub(super) fn new(files: &[TokenFile]) -> Tokens {
        let kept = |file: &TokenFile| Kept {
            path: file.path.clone(),
            token: Some(file.token.clone()),
            is_unreadable: false,
        };
        Tokens {
            are_asked: !files.is_empty(),
            kept: RwLock::new(files.iter().map(kept).collect()),
            looked_ns: AtomicU64::new(0),
        }
    }

    /// Whether there are files, whatever they hold: a door whose last token is taken away isn't open.
    pub(super) fn are_asked(&self) -> bool {
        self.are_asked
    }

    /// Whether this is one of them. All are looked at, so that the time does not tell which was nearly right.
    pub(super) fn have(&self, shown: &[u8]) -> bool {
        let kept = self.read();
        let tokens = kept.iter().filter_map(|kept| kept.token.as_ref());
        tokens.fold(0, |known, token| known | token.as_bytes().ct_eq(shown).unwrap_u8()) == 1
    }

    /// Looks at the files, if that was long ago. Other requests don't wait for the disk meanwhile.
    pub(super) fn follow(&self, now_ns: u64) {
        let looked_ns = self.looked_ns.load(Ordering::Relaxed);
        if !self.are_asked || now_ns < looked_ns + LOOK_NS {
            return;
        }
        // The tokens themselves are under the lock: this only says who looks.
        let mine = self.looked_ns.compare_exchange(looked_ns, now_ns, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_err() {
            return;
        }
        let found: Vec<Option<Found>> = self.read().iter().map(|kept| look(&kept.path)).collect();
        let news = |(kept, found): (&Kept, &Option<Found>)| match found {
            Some(Found::Token(token)) => kept.is_unreadable || kept.token != *token,
            Some(Found::Nothing(_)) => !kept.is_unreadable,
            None => false,
        };
        if self.read().iter().zip(&found).any(news) {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            kept.iter_mut().zip(found).for_each(|(kept, found)| kept.take(found));
        }
    }

    /// No code that could panic runs under the lock: what a poisoned one holds is sound.
    fn read(&self) -> RwLockReadGuard<'_, Vec<Kept>> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Tokens {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl Kept {
    fn take(&mut self, found: Option<Found>) {
        let file = self.path.display();
        match found {
            None => {}
            Some(Found::Nothing(_)) if self.is_unreadable => {}
            Some(Found::Nothing(error)) => {
                self.is_unreadable = true;
                tracing::warn!(%file, %error, "token not read again: the one before stays");
            }
            Some(Found::Token(token)) => {
                self.is_unreadable = false;
                if token == self.token {
                    return;
                }
                match &token {
                    Some(_) => tracing::info!(%file, "token read again"),
                    None => tracing::warn!(%file, "no token there any more: the one before opens nothing"),
                }
                self.token = token;
            }
        }
    }
}

/// Looks at a file once more. `None`: a pipe or the like, which can be read once only.
fn look(path: &Path) -> Option<Found> {
    let found = match fs::metadata(path) {
        Ok(found) if !found.is_file() => return None,
        Ok(_) => token(path),
        Err(error) => Err(error),
    };
    Some(match found {
        Ok(token) => Found::Token(token),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Found::Token(None)
        }
        Err(error) => Found::Nothing(error),
    })
}

/// The token in a file, if there is one.
fn token(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
    let token = text.trim();
    let is_token = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    Ok(is_token.then(|| token.to_owned()))
}

/// More than a request's head may hold.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }
    }

    #[test]
    fn a_token_that_is_taken_away_opens_nothing_and_leaves_the_door_shut() {
        let files = Files(tempfile::tempdir().unwrap());
        files.write("a", "one\n");
        let tokens = Tokens::new(&[TokenFile::read(files.path("a")).unwrap()]);
        let mut now_ns = LOOK_NS;
        let mut have = |tokens: &Tokens| {
            now_ns += LOOK_NS;
            tokens.follow(now_ns);
            ["one", "two"].map(|token| tokens.have(token.as_bytes()))
        };
        assert_eq!(have(&tokens), [true, false]);
        // Of the same length, and as quickly as a disk can tell.
        files.write("a", "two\n");
        assert_eq!(have(&tokens), [false, true]);
        for nothing in ["", "\n", "two words", "\u{fc}"] {
            files.write("a", nothing);
            assert_eq!(have(&tokens), [false, false], "{nothing:?}");
            assert!(!tokens.have(b"") && tokens.are_asked(), "{nothing:?}");
            files.write("a", "one");
            assert_eq!(have(&tokens), [true, false]);
        }
        fs::remove_file(files.path("a")).unwrap();
        assert_eq!(have(&tokens), [false, false]);
        assert!(tokens.are_asked());
        files.write("a", "two");
        assert_eq!(have(&tokens), [false, true]);
    }

    #[test]
    fn a_file_that_cannot_be_read_says_nothing() {
        let files = Files(tempfile::tempdir().unwrap());
        files.write("a", "one");
        let tokens = Tokens::new(&[TokenFile::read(files.path("a")).unwrap()]);
        // A loop of links: an error of the system that is no absence.
        fs::remove_file(files.path("a")).unwrap();
        std::os::unix::fs::symlink(files.path("a"), files.path("a")).unwrap();
        tokens.follow(LOOK_NS);
        assert!(tokens.have(b"one") && tokens.read()[0].is_unreadable);
        // Nor does what is no file: a token may come through a pipe, once.
        fs::remove_file(files.path("a")).unwrap();
        fs::create_dir(files.path("a")).unwrap();
        tokens.follow(2 * LOOK_NS);
        assert!(tokens.have(b"one"));
        fs::remove_dir(files.path("a")).unwrap();
        files.write("a", "two");
        tokens.follow(3 * LOOK_NS);
        assert!(tokens.have(b"two") && !tokens.read()[0].is_unreadable);
    }

    #[test]
    fn files_are_looked_at_now_and_then_only() {
        let files = Files(tempfile::tempdir().unwrap());
        files.write("a", "one");
        let tokens = Tokens::new(&[TokenFile::read(files.path("a")).unwrap()]);
        tokens.follow(LOOK_NS);
        files.write("a", "two");
        tokens.follow(2 * LOOK_NS - 1);
        assert!(tokens.have(b"one"));
        tokens.follow(2 * LOOK_NS);
        assert!(tokens.have(b"two"));
    }

    #[test]
    fn a_token_is_not_shown() {
        let files = Files(tempfile::tempdir().unwrap());
        files.write("a", "hunter2");
        let shown = format!("{:?}", TokenFile::read(files.path("a")).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
