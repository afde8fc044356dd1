//! Progress of long work, shown only where somebody looks: on stderr, when stderr is a terminal.
//!
//! Comes in: how much there is to do and how much is done. Goes out: one line that redraws itself and is gone when
//! the work is done. Keeps: output to a file or a pipe has no progress in it. Refuses to know: what the work is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line of progress.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Work of `total` units, which `unit` names ("bytes", "samples").
    pub fn of(total: u64, unit: &str) -> Progress {
        Progress::new(
            Some(total),
            &format!("{{msg}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit} {{eta}}"),
        )
    }

    /// Work whose end is not known in units, only counted.
    pub fn counted(unit: &str) -> Progress {
        Progress::new(None, &format!("{{spinner}} {{msg}} {{human_pos}} {unit} {{elapsed}}"))
    }

    /// Whether anybody sees it; if not, there is no need to work out what to show.
    pub fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Names the step that is under way.
    pub fn step(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }

    /// Units done so far.
    pub fn done(&self, units: u64) {
        self.bar.set_position(units);
    }

    fn new(total: Option<u64>, template: &str) -> Progress {
        // The draw target hides itself when stderr is not a terminal.
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        if !bar.is_hidden() {
            bar.enable_steady_tick(REDRAW_INTERVAL);
        }
        Progress { bar }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const REDRAW_INTERVAL: Duration = Duration::from_millis(200);
