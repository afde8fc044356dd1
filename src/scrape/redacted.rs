//! URLs without the passwords in them.

use std::fmt::{self, Debug, Display, Formatter};

/// Shows a URL, and `xxxxx` where it has a password, as Prometheus does.
pub struct Redacted<'a>(pub &'a str);

impl Display for Redacted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let start = self.0.find("//").map_or(0, |at| at + 2);
        let end = self.0[start..].find(['/', '?', '#']).map_or(self.0.len(), |at| start + at);
        let user = self.0[start..end].rsplit_once('@').map(|(user, _)| user);
        match user.and_then(|user| user.split_once(':')) {
            // Whatever else has a colon before an `@` may be a password, too.
            Some((user, password)) => {
                let after = start + user.len() + 1 + password.len();
                write!(f, "{}{user}:xxxxx{}", &self.0[..start], &self.0[after..])
            }
            None => f.write_str(self.0),
        }
    }
}

impl Debug for Redacted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::Redacted;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("http://a/b?c=d:e@f", "http://a/b?c=d:e@f"),
            ("http://u@a:1/", "http://u@a:1/"),
            ("http://u:s3cret@a:1/b", "http://u:xxxxx@a:1/b"),
            ("https://u:s:3@c@a", "https://u:xxxxx@a"),
            ("u:s3cret@a", "u:xxxxx@a"),
            ("", ""),
        ] {
            assert_eq!(Redacted(url).to_string(), shown);
        }
    }
}
