//! The labels of one series, built by a decoder and brought into canonical form: sorted by name, no duplicates.

/// The label that carries the metric's or measurement's name.
pub const METRIC_NAME: &[u8] = b"__name__";

/// Labels under construction. Cleared and used again: a decoder allocates it once.
///
/// Names and values are bytes; whether they must be UTF-8 is the wire format's rule.
#[derive(Default, Clone, Debug)]
pub struct LabelsBuf {
    bytes: Vec<u8>,
    labels: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    name_len: u32,
    value_len: u32,
}

/// Why labels have no canonical form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LabelsError {
    /// Two labels have this name.
    Duplicate(Vec<u8>),
}

impl LabelsBuf {
    /// Empties the buffer and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.labels.clear();
    }

    /// Adds a label.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.labels.push(Span { start, name_len: name.len() as u32, value_len: value.len() as u32 });
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The value of the first label of this name.
    pub fn value_of(&self, name: &[u8]) -> Option<&[u8]> {
        self.labels.iter().find(|s| self.name(s) == name).map(|s| self.value(s))
    }

    /// Gives the first label of this name another value, or adds one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let at = self.labels.iter().position(|s| self.name(s) == name);
        self.push(name, value);
        if let Some(at) = at {
            self.labels.swap_remove(at);
        }
    }

    /// Keeps the labels that are wanted, by name and value.
    pub fn retain(&mut self, mut wanted: impl FnMut(&[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.labels.retain(|s| {
            let (name, behind) = bytes[s.start as usize..].split_at(s.name_len as usize);
            wanted(name, &behind[..s.value_len as usize])
        });
    }

    /// The labels as (name, value), in their present order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.labels.iter().map(|s| (self.name(s), self.value(s)))
    }

    /// Sorts by name.
    ///
    /// # Errors
    /// [`LabelsError::Duplicate`] where two labels have one name.
    pub fn canonicalize(&mut self) -> Result<(), LabelsError> {
        let mut labels = std::mem::take(&mut self.labels);
        labels.sort_by(|a, b| self.name(a).cmp(self.name(b)));
        self.labels = labels;
        match self.labels.windows(2).find(|w| self.name(&w[0]) == self.name(&w[1])) {
            None => Ok(()),
            Some(w) => Err(LabelsError::Duplicate(self.name(&w[0]).to_vec())),
        }
    }

    fn name(&self, s: &Span) -> &[u8] {
        &self.bytes[s.start as usize..][..s.name_len as usize]
    }

    fn value(&self, s: &Span) -> &[u8] {
        &self.bytes[s.start as usize + s.name_len as usize..][..s.value_len as usize]
    }
}

impl std::fmt::Display for LabelsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LabelsError::Duplicate(name) => {
                write!(f, "duplicate tag key {:?}", String::from_utf8_lossy(name))
            }
        }
    }
}

impl std::error::Error for LabelsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form_is_sorted_by_name() {
        let mut labels = LabelsBuf::default();
        labels.push(b"region", b"eu");
        labels.push(METRIC_NAME, b"cpu");
        labels.push(b"host", b"a");
        labels.canonicalize().unwrap();
        let names: Vec<_> = labels.iter().map(|(n, _)| n.to_vec()).collect();
        assert_eq!(names, [&b"__name__"[..], b"host", b"region"]);
    }

    #[test]
    fn labels_are_set_and_removed_where_they_stand() {
        let mut labels = LabelsBuf::default();
        for (name, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
            labels.push(name.as_bytes(), value.as_bytes());
        }
        labels.set(b"b", b"two");
        labels.set(b"d", b"4");
        labels.retain(|name, _| name != b"a");
        let pairs: Vec<_> = labels.iter().map(|(n, v)| [n, v].concat()).collect();
        assert_eq!(pairs, [&b"btwo"[..], b"c3", b"d4"]);
        assert_eq!((labels.value_of(b"b"), labels.value_of(b"a")), (Some(&b"two"[..]), None));
    }

    #[test]
    fn two_labels_of_one_name_have_no_canonical_form() {
        let mut labels = LabelsBuf::default();
        labels.push(b"a", b"1");
        labels.push(b"b", b"2");
        labels.push(b"a", b"1");
        assert_eq!(labels.canonicalize(), Err(LabelsError::Duplicate(b"a".to_vec())));
    }
}
