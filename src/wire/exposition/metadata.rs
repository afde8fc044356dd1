//! What `HELP`, `TYPE` and `UNIT` lines say of a metric, gathered until it is told.

use crate::model::{Full, Intake, Metadata, MetricType};

use super::Syntax;
use super::labels::append_unescaped;
use super::line::{self, Said};

/// The metric that was spoken of last.
#[derive(Default, Debug)]
pub(super) struct Spoken {
    name: Vec<u8>,
    help: Vec<u8>,
    unit: Vec<u8>,
    kind: MetricType,
    /// Something was said that the intake was not told.
    untold: bool,
    /// For the name of the next line.
    scratch: Vec<u8>,
}

impl Spoken {
    /// Forgets the metric and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.name.clear();
        self.begin();
        self.untold = false;
    }

    fn begin(&mut self) {
        self.help.clear();
        self.unit.clear();
        self.kind = MetricType::Unknown;
    }

    /// Whether this line is of another metric than what is not told yet.
    pub(super) fn differs(&mut self, text: &[u8], metadata: &line::Metadata) -> bool {
        self.scratch.clear();
        append_unescaped(metadata.name.of(text), true, &mut self.scratch);
        self.name != self.scratch
    }

    /// Notes what a line says. What was said before of another metric is forgotten.
    pub(super) fn hear(&mut self, syntax: Syntax, text: &[u8], metadata: &line::Metadata) {
        if self.differs(text, metadata) {
            self.begin();
            std::mem::swap(&mut self.name, &mut self.scratch);
        }
        match metadata.said {
            Said::Help(help) => {
                self.help.clear();
                append_unescaped(help.of(text), syntax == Syntax::OpenMetrics, &mut self.help);
            }
            Said::Type(kind) => self.kind = kind,
            Said::Unit(unit) => {
                self.unit.clear();
                self.unit.extend_from_slice(unit.of(text));
            }
        }
        // Nobody can be told of a name that is no text.
        self.untold = std::str::from_utf8(&self.name).is_ok() && std::str::from_utf8(&self.unit).is_ok();
    }

    pub(super) fn is_untold(&self) -> bool {
        self.untold
    }

    /// What was heard so far is told elsewhere.
    pub(super) fn keep_quiet(&mut self) {
        self.untold = false;
    }

    /// Tells the intake what it was not told yet.
    pub(super) fn tell<I: Intake>(&mut self, intake: &mut I) -> Result<(), Full> {
        if self.untold {
            intake.metadata(&Metadata {
                name: &self.name,
                kind: self.kind,
                unit: &self.unit,
                help: &self.help,
            })?;
            self.untold = false;
        }
        Ok(())
    }
}
