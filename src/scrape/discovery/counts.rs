//! How often discovery was tried, and how often it failed.

use crate::scrape::Discovery;
use crate::sync::SharedCount;

/// The counts of each kind of discovery.
#[derive(Default, Debug)]
pub struct Counts {
    file: KindCounts,
    http: KindCounts,
    dns: KindCounts,
    kubernetes: KindCounts,
}

/// The counts of one kind.
#[derive(Default, Debug)]
pub struct KindCounts {
    /// Reads, requests or look-ups; for Kubernetes lists and watches.
    pub tries: SharedCount,
    /// Those that failed.
    pub failures: SharedCount,
}

impl Counts {
    /// The counts of all kinds, by name.
    pub fn all(&self) -> [(&'static str, &KindCounts); 4] {
        [("file", &self.file), ("http", &self.http), ("dns", &self.dns), ("kubernetes", &self.kubernetes)]
    }

    /// The counts of the kind of a discovery; none where nothing can fail.
    pub(super) fn of(&self, discovery: &Discovery) -> Option<&KindCounts> {
        match discovery {
            Discovery::Static(_) => None,
            Discovery::File { .. } => Some(&self.file),
            Discovery::Http { .. } => Some(&self.http),
            Discovery::Dns { .. } => Some(&self.dns),
            Discovery::Kubernetes(_) => Some(&self.kubernetes),
        }
    }
}
