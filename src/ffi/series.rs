//! Series: registered once, good for every writer.

use super::engine::{on_engine, tdg_engine};
use super::error::{Failure, tdg_error};
use super::guard::guard;
use super::status::{TDG_E_INPUT, TDG_E_NULL, TDG_OK, tdg_status};
use super::text::{slice, tdg_str};
use crate::engine::SeriesHandle;

/// A registered series: a number, good for every writer of the engine that gave it, until it is released. Never 0.
pub type tdg_series = u64;

/// A label of a series: its name and its value, both UTF-8.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tdg_label {
    /// The name; not empty.
    pub name: tdg_str,
    /// The value; a label whose value is empty is none.
    pub value: tdg_str,
}

/// Makes a series known, once, by its name and labels, in any order. Its rows are then pushed by the number that
/// `series` gets, by any writer of this engine. The same name and labels give the same number, and it stays good
/// whatever becomes of segments and tables.
///
/// `name` is the metric's or measurement's, and becomes the label `__name__`; it may be empty. A label whose value is
/// empty is left out: to Prometheus a series with it and one without it are the same. All is borrowed for the call.
///
/// A registered series has a place among `limits.series_max` until it is released, whether it has rows or not; one that
/// is released with rows keeps it until the segment of the last of them ends. Where a place is wanted and none is
/// left, segments end early: such places come free within about ten minutes.
///
/// Errors: `TDG_E_INPUT` for two labels of one name, a label without a name, or text that is no UTF-8; `TDG_E_LIMIT`
/// if no place is left: so many are registered or in the tables; `TDG_E_CLOSED` never: series of a closed engine may
/// be registered and released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_engine_series(
    engine: *mut tdg_engine,
    name: tdg_str,
    labels: *const tdg_label,
    labels_len: usize,
    series: *mut tdg_series,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid, with their lengths.
    unsafe {
        on_engine(engine, error, |engine| {
            let name = name.text("the name")?;
            let mut pairs = Vec::with_capacity(labels_len.min(LABELS_USUAL));
            if !name.is_empty() {
                pairs.push(("__name__", name));
            }
            for label in slice(labels, labels_len, "labels")? {
                let name = label.name.text("a label's name")?;
                if name.is_empty() {
                    return Err(Failure::new(TDG_E_INPUT, "a label has no name"));
                }
                pairs.push((name, label.value.text("a label's value")?));
            }
            if series.is_null() {
                return Err(Failure::null("series"));
            }
            series.write(engine.embedded.series(&pairs)?.to_bits());
            Ok(())
        })
    }
}

/// Takes a registration back, when what the series is about has gone. When it was released as often as it was
/// registered its number means nothing any more: pushing by it gives `TDG_E_INPUT`. Rows pushed before stay.
///
/// Errors: `TDG_E_INPUT` if the number is no series of this engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_engine_release(engine: *mut tdg_engine, series: tdg_series) -> tdg_status {
    // SAFETY: NULL, or a live engine.
    let Some(engine) = (unsafe { engine.as_ref() }) else { return TDG_E_NULL };
    guard(&engine.health, || {
        if engine.embedded.release(SeriesHandle::from_bits(series)) { TDG_OK } else { TDG_E_INPUT }
    })
}

/// Room for so many labels is made at once.
const LABELS_USUAL: usize = 64;

/// The numbers as the engine's handles.
pub(super) fn handles(series: &[tdg_series]) -> &[SeriesHandle] {
    // SAFETY: a handle is a number and nothing else, and any number is a handle, if of no series.
    unsafe { std::slice::from_raw_parts(series.as_ptr().cast(), series.len()) }
}
