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
        let span = self.append(name, value);
        self.labels.push(span);
    }

    /// Adds a label, in the place of the one that has its name: for formats in which the last one of a name counts.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let span = self.append(name, value);
        match self.labels.iter().position(|s| self.name(s) == name) {
            Some(known) => self.labels[known] = span,
            None => self.labels.push(span),
        }
    }

    /// Takes a label out; its value, if there was one.
    pub fn take(&mut self, name: &[u8]) -> Option<&[u8]> {
        let known = self.labels.iter().position(|s| self.name(s) == name)?;
        let span = self.labels.remove(known);
        Some(self.value(&span))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
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

    fn append(&mut self, name: &[u8], value: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        Span { start, name_len: name.len() as u32, value_len: value.len() as u32 }
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
    fn a_label_can_be_set_again_and_taken_out() {
        let mut labels = LabelsBuf::default();
        labels.push(b"a", b"1");
        labels.set(b"b", b"2");
        labels.set(b"a", b"3");
        assert_eq!(labels.iter().collect::<Vec<_>>(), [(&b"a"[..], &b"3"[..]), (b"b", b"2")]);
        assert_eq!(labels.take(b"a"), Some(&b"3"[..]));
        assert_eq!(labels.take(b"a"), None);
        assert_eq!(labels.len(), 1);
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
