//! Where in a request a fault lies: the fields that lead to it.
//!
//! Made while the fault goes up from message to message, so that what is sound pays nothing for it.

use std::fmt::{self, Display, Formatter};

use super::schema::Field;

/// The way from a request to one of its messages: `resourceMetrics[0].scopeMetrics[0].metrics[3].gauge`. Empty at the
/// request itself.
#[derive(Default, Debug)]
pub(super) struct Path {
    /// Innermost first.
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    /// Of a repeated field, which one, from 0.
    index: Option<usize>,
}

impl Path {
    /// The same place, seen from the message around: it is in the `index`th of this field.
    #[cold]
    pub(super) fn within(&mut self, field: &'static Field, index: usize) {
        self.steps.push(Step { name: field.json, index: field.repeated.then_some(index) });
    }
}

/// With `at` before it, if there is anything to say.
impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (count, step) in self.steps.iter().rev().enumerate() {
            if count == STEPS_SHOWN_MAX {
                return f.write_str("...");
            }
            f.write_str(if count == 0 { " at " } else { "." })?;
            f.write_str(step.name)?;
            if let Some(index) = step.index {
                write!(f, "[{index}]")?;
            }
        }
        Ok(())
    }
}

/// Enough for the value of an exemplar's attribute: what is deeper is a list in a list.
const STEPS_SHOWN_MAX: usize = 8;
