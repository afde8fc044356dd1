//! Selectors of Kubernetes: whether the API server would understand them.

/// Checks a selector of fields: `a=b,c==d,e!=f`.
pub(super) fn check_fields(text: &str) -> Result<(), String> {
    for term in terms(text) {
        let is_sound = term.is_empty() || term.find('=').is_some_and(|at| at > 0 && !term.starts_with("!="));
        if !is_sound {
            return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
        }
    }
    Ok(())
}

/// What stands between commas; one behind a backslash is none.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let is_comma = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        is_comma
    })
}

/// Checks a selector of labels: `a=b,c in (d,e),!f`.
pub(super) fn check_labels(text: &str) -> Result<(), String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Ok(());
    }
    loop {
        rest = requirement(rest).map_err(|why| format!("unable to parse requirement: {why}"))?.trim_start();
        if rest.is_empty() {
            return Ok(());
        }
        rest = rest
            .strip_prefix(',')
            .ok_or_else(|| format!("found {rest:?}, expected: ',' or end"))?
            .trim_start();
    }
}

/// Takes one requirement from the start of `text`, and gives what is behind it.
fn requirement(text: &str) -> Result<&str, String> {
    if let Some(rest) = text.strip_prefix('!') {
        let (key, rest) = word(rest.trim_start());
        return key_is_sound(key).map(|()| rest);
    }
    let (key, rest) = word(text);
    key_is_sound(key)?;
    let rest = rest.trim_start();
    for operator in ["==", "!=", "=", ">", "<"] {
        if let Some(rest) = rest.strip_prefix(operator) {
            let (value, rest) = word(rest.trim_start());
            let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            if ["<", ">"].contains(&operator) && !is_number {
                return Err(format!("for '{operator}' the value must be an integer, found {value:?}"));
            }
            return value_is_sound(value).map(|()| rest);
        }
    }
    let (operator, after) = word(rest);
    match operator {
        "in" | "notin" => values(after.trim_start()),
        "" => Ok(rest),
        _ => Err(format!("found '{operator}', expected: in, notin, =, ==, !=, gt, lt")),
    }
}

/// Takes `(a,b)`.
fn values(text: &str) -> Result<&str, String> {
    let inner = text.strip_prefix('(').ok_or("expected: '('")?;
    let (list, rest) = inner.split_once(')').ok_or("expected: ')'")?;
    list.split(',').try_for_each(|value| value_is_sound(value.trim()))?;
    Ok(rest)
}

/// A key or a value, and what is behind it.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_whitespace() || "=!(),<>".contains(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// `prefix/name`, the prefix a domain.
fn key_is_sound(key: &str) -> Result<(), String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_domain = |domain: &str| {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        domain.len() <= 253 && domain.split('.').all(part)
    };
    if name.is_empty() || !is_name(name) || !prefix.is_none_or(is_domain) {
        return Err(format!("key: Invalid value: {key:?}"));
    }
    Ok(())
}

fn value_is_sound(value: &str) -> Result<(), String> {
    if value.is_empty() || is_name(value) { Ok(()) } else { Err(format!("values: Invalid value: {value:?}")) }
}

/// Letters and digits, with `-`, `_` and `.` between them.
fn is_name(text: &str) -> bool {
    let is_edge = |b: &u8| b.is_ascii_alphanumeric();
    text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && text.as_bytes().first().is_some_and(is_edge)
        && text.as_bytes().last().is_some_and(is_edge)
}

#[cfg(test)]
mod tests {
    use super::{check_fields, check_labels};

    #[test]
    fn selectors_of_fields() {
        for text in ["", "a=b", "metadata.status=Running", "a==b,c!=d", "a=", "a=b,", "a=b\\,c"] {
            assert_eq!(check_fields(text), Ok(()), "{text}");
        }
        let why = "invalid selector: 'metadata.status-Running'; can't understand 'metadata.status-Running'";
        assert_eq!(check_fields("metadata.status-Running"), Err(why.to_owned()));
        assert!(check_fields("a=b,c").is_err());
    }

    #[test]
    fn selectors_of_labels() {
        for text in [
            "",
            "a",
            "!a",
            "a=b",
            "a == b , c!=d",
            "app.kubernetes.io/name in (x, y),tier notin (z)",
            "a=",
            "n>5",
            "a in ()",
        ] {
            assert_eq!(check_labels(text), Ok(()), "{text}");
        }
        for text in ["a b", "=b", "a=b c", "a in x", "a in (x", "/x=1", "a=-b", "n>x", "a,,b", "A_/b=c"] {
            assert!(check_labels(text).is_err(), "{text}");
        }
    }
}
