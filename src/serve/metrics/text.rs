//! Prometheus's text format, written.

use std::fmt::Write;

/// A page under construction.
#[derive(Default, Debug)]
pub(super) struct Text {
    page: String,
    name: &'static str,
}

impl Text {
    /// Starts a metric family.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a String does not fail.
        let _ = writeln!(self.page, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family. Label values are our own and need no escapes.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line(self.name, "", labels, value);
    }

    /// A histogram: cumulative buckets, the last one infinite.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str, buckets: &[(f64, u64)], sum: f64) {
        self.family(name, "histogram", help);
        for &(bound, count) in buckets {
            let le = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
            self.line(name, "_bucket", &[("le", &le)], count as f64);
        }
        self.line(name, "_sum", &[], sum);
        self.line(name, "_count", &[], buckets.last().map_or(0, |b| b.1) as f64);
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.page
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.page, "{name}{suffix}");
        for (i, (label, text)) in labels.iter().enumerate() {
            let open = if i == 0 { '{' } else { ',' };
            let _ = write!(self.page, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.page, "{close} {value}");
    }
}
