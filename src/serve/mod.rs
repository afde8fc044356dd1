//! The gateway's door: HTTP in, rows into the engine, answers when they are durable.
//!
//! A worker thread (`worker`) owns its connections (`connection`) and an [`engine::Worker`](crate::engine::Worker).
//! Heads are routed and bodies taken at its desk (`receive`); a write's rows go straight from the read buffer into the
//! engine (`request`), and its answer is parked until their commit. What a listener asks of who comes in, and does with
//! labels, is its `door`; a connection's bytes come through a `transport`, which may be TLS; what a reload changes is
//! in `live`. What speaks HTTP ([`http`](crate::http)) does no I/O.
//! Lines that come on sockets of their own ([`lines`]) share the worker and its engine, and nothing else.

mod answer;
mod companion;
mod connection;
mod door;
mod format;
mod gathering;
mod groups;
pub mod lines;
mod listen;
mod live;
mod metrics;
mod pages;
mod panels;
mod processors;
mod receive;
mod request;
mod routes;
mod server;
mod survey;
mod timer;
mod transport;
mod worker;

pub use companion::{Companion, CompanionHook, Lent};
pub use door::{
    ClientAuth, DoorOptions, PasswordHash, Pem, TlsError, TlsOptions, TlsPart, TlsVersion, TokenFile,
};
pub use gathering::Gathering;
pub use live::{ReloadHook, Settings};
pub use panels::{PANEL_PATHS, Panel, Panels, PanelsHook};
pub use server::{Control, ServeOptions, Server};
pub(crate) use timer::Timer;
