//! How much a step does before others have their turn: counted, not timed, so that the same bytes are cut at the same
//! places.
//!
//! A unit is about what a byte costs that is read anew, a nanosecond or less.

/// What is left of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    left: usize,
}

impl Default for Work {
    /// As much as one step does.
    fn default() -> Work {
        Work { left: STEP_WORK_MAX }
    }
}

impl Work {
    /// So many units.
    #[cfg(test)]
    pub(super) fn of(left: usize) -> Work {
        Work { left }
    }

    /// A step that ends with the body.
    pub(super) fn whole() -> Work {
        Work { left: usize::MAX }
    }

    /// Takes note of what was done.
    pub(super) fn spend(&mut self, units: usize) {
        self.left = self.left.saturating_sub(units);
    }

    /// Whether the step is over.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }
}

/// The work of a step: a millisecond or two.
const STEP_WORK_MAX: usize = 1 << 20;

/// What a sample costs besides its bytes: a key is looked up, perhaps a series made.
pub(super) const SAMPLE_WORK: usize = 512;

/// What costs a look: a field, a line that is as it was.
pub(super) const LOOK_WORK: usize = 8;
