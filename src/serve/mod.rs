//! The gateway's door: HTTP in, bodies decoded, answers out.

pub mod body;
pub mod http;
