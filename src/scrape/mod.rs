//! Pull: targets found, scraped on time, their samples and the word of how it went into the engine.
//!
//! Comes in: [`Job`]s, as a file's `scrape_configs` say. What finds targets gives [`Group`]s; a job's rules make
//! [`Target`]s of them; each worker scrapes its share of the targets on its own poll.

mod defaults;
pub mod discovery;
mod job;
pub mod pages;
pub mod status;
mod target;
pub mod targets;

pub use job::{
    Authorization, BasicAuth, BodyLimits, ClientOptions, ClientTls, Credential, Discovery, DnsRecord,
    Histograms, Job, KubernetesOptions, KubernetesRole, NameEscaping, OAuth2, ProxyOptions, Scheme,
    ScrapeProtocol, SelectorOptions,
};
pub use target::{Group, LabelPairs, Target, TargetKey};
