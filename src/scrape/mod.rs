//! Pull: targets found, scraped on time, their samples and the word of how it went into the engine.
//!
//! Comes in: [`Job`]s, as a file's `scrape_configs` say. What finds targets gives [`Group`]s; a job's rules make
//! [`Target`]s of them; each worker scrapes its share of the targets on its own poll.

mod client;
mod control;
mod defaults;
pub mod discovery;
mod file_pattern;
mod job;
mod labels;
mod negotiate;
pub mod pages;
mod plain_file;
mod redacted;
mod report;
mod rounds;
mod schedule;
mod secrets;
pub mod status;
mod subject;
mod target;
pub mod targets;
mod tls;

pub use client::ProxyEnvironment;
pub use control::{Control, ScrapeOptions};
pub use file_pattern::matching;
pub use job::{
    Authorization, BasicAuth, BodyLimits, ClientOptions, ClientTls, Credential, Discovery, DnsRecord,
    Histograms, Job, KubernetesOptions, KubernetesRole, NameEscaping, OAuth2, ProxyOptions, Scheme,
    ScrapeProtocol, SelectorOptions,
};
pub use labels::TargetLabels;
pub use negotiate::{accept as accept_header, format as answer_format};
pub use redacted::Redacted;
pub use rounds::{Ground, Rounds};
pub use target::{Group, LabelPairs, Target, TargetKey};
