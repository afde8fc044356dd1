//! `$NAME` and `${NAME}` in texts, as Go's `os.Expand` reads them, which Prometheus uses.

/// `text` with each variable replaced by what `value` says of its name. `$$` is a dollar. A dollar before what can be
/// no name stays; `${}` and an open `${` are taken away.
pub(super) fn expand(text: &str, mut value: impl FnMut(&str) -> String) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match variable(rest) {
            (Some("$"), len) => {
                expanded.push('$');
                rest = &rest[len..];
            }
            (Some(name), len) => {
                expanded.push_str(&value(name));
                rest = &rest[len..];
            }
            (None, 0) => expanded.push('$'),
            (None, len) => rest = &rest[len..],
        }
    }
    expanded + rest
}

/// The name after a dollar, and how many bytes it takes; no name that takes some is one to be passed over.
fn variable(rest: &str) -> (Option<&str>, usize) {
    let is_special = |byte: u8| b"*#$@!?-0123456789".contains(&byte);
    let bytes = rest.as_bytes();
    match bytes.first() {
        Some(b'{') => match rest.find('}') {
            _ if bytes.len() > 2 && is_special(bytes[1]) && bytes[2] == b'}' => (Some(&rest[1..2]), 3),
            Some(1) => (None, 2),
            Some(end) => (Some(&rest[1..end]), end + 1),
            None => (None, 1),
        },
        Some(byte) if is_special(*byte) => (Some(&rest[..1]), 1),
        _ => {
            let len = bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            if len == 0 { (None, 0) } else { (Some(&rest[..len]), len) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn variables_are_found_as_go_finds_them() {
        let value = |name: &str| match name {
            "A" => "1".to_owned(),
            "A_b2" => "2".to_owned(),
            "with space" => "3".to_owned(),
            "1" => "one".to_owned(),
            _ => String::new(),
        };
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$A", "1"),
            ("a${A}b", "a1b"),
            ("$A_b2-$A", "2-1"),
            ("${with space}", "3"),
            ("$$A", "$A"),
            ("$$$A", "$1"),
            ("${$}", "$"),
            ("$1x", "onex"),
            ("100$", "100$"),
            ("$ A", "$ A"),
            ("$é", "$é"),
            ("${}x", "x"),
            ("${A", "A"),
            ("$missing.", "."),
        ] {
            assert_eq!(expand(text, value), expected, "{text}");
        }
    }
}
