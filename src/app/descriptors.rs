//! The limit on open files, raised to what the process may have: every connection is one, and every segment.

#![allow(unsafe_code)]

use std::io;

/// Raises the soft limit to the hard one. Gives the limit that holds then.
///
/// # Errors
/// What the system says; the limit is as it was.
pub fn raise_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of the type that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a filled value, which the call reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_limit_is_raised_once_and_stays() {
        let raised = super::raise_limit().unwrap();
        assert_eq!(super::raise_limit().unwrap(), raised);
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
        let fields: Vec<&str> = line["Max open files".len()..].split_whitespace().collect();
        assert_eq!(fields[0], fields[1], "soft and hard");
    }
}
