//! A line of one field as what other protocols make of it: a name, labels, one number.

/// What a line says, but for its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    tags: &'a str,
    /// The number's digits, without the `i` of an integer.
    pub(super) digits: &'a str,
    pub(super) is_integer: bool,
}

impl<'a> Sample<'a> {
    /// Reads `name,tag=value,... value=number `, as the workloads of one field write it.
    pub(super) fn of(line: &'a [u8]) -> Sample<'a> {
        let line = std::str::from_utf8(line).expect("lines are text");
        let mut words = line.split(' ');
        let key = words.next().unwrap_or_default();
        let field = words.next().and_then(|field| field.split_once('=')).map_or("", |(_, value)| value);
        let (name, tags) = key.split_once(',').unwrap_or((key, ""));
        let digits = field.trim_end_matches('i');
        Sample { name, tags, digits, is_integer: digits.len() < field.len() }
    }

    /// Names and values of the tags, in their order.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let tags = self.tags.split(',').filter(|tag| !tag.is_empty());
        tags.map(|tag| tag.split_once('=').expect("the workloads write tags with values"))
    }

    pub(super) fn value(&self) -> f64 {
        self.digits.parse().expect("the workloads write numbers")
    }
}
