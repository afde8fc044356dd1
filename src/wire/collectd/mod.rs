//! What collectd's write_http posts with `Format "JSON"`: value lists, and notifications as alerts.
//!
//! ```text
//! [{"values":[0.5,null],"dstypes":["gauge","derive"],"dsnames":["a","b"],"time":1280959128.123,"interval":10.000,
//!   "host":"h","plugin":"cpu","plugin_instance":"0","type":"cpu","type_instance":"idle"}]
//! [{"labels":{"alertname":"collectd_cpu","instance":"h"},"annotations":{"severity":"FAILURE","summary":"..."},
//!   "startsAt":"2026-11-22T10:00:00.125000000Z"}]
//! ```
//!
//! Goes out: a row for each value list, its plugin the label `__name__`, a field for each data source; an event for
//! each alert, a field of text for each annotation; all pushed into an [`Intake`](crate::model::Intake), and a
//! [`WriteResult`](crate::model::WriteResult) that names every element not taken. `docs/collectd.md` says which labels
//! and fields a row has.
//!
//! Numbers keep their data source's type: a gauge is an f64 also where it is printed as `1`, a derive an i64, a counter
//! or absolute a u64, and what does not fit that (a rate, under `StoreRates`) an f64. Null is collectd's word for a
//! value that is not known; beside others it is left out, alone it is a field of type null. Times are read as the
//! decimals that they are, never through a binary fraction.
//!
//! A body that is no JSON is refused whole, of one that is each bad element alone. Whether a text is UTF-8 is asked
//! where it is used: collectd hands on what its plugins found, and one such host must not cost the others their rows.
//! What is copied of an element has a bound, [`TEXT_BYTES_MAX`] and [`VALUES_MAX`], whatever the body's length.

mod alert;
mod decoder;
mod element;
mod fault;
mod fields;
mod list;
#[cfg(test)]
mod tests;
mod time;

pub use decoder::{Counters, Decoder};

/// Bytes of text at most that name an element's series, or that its annotations are. collectd's names have 128 bytes,
/// an element of it has 4096 unless its buffer was made larger.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// Values of a list, or annotations of an alert, at most. collectd prints the types of a list into 512 bytes, which is
/// room for 63 of them.
pub const VALUES_MAX: usize = 256;
