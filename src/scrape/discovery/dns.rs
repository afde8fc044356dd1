//! Targets in the DNS: each record of a name is one.
//!
//! A name whose servers all say that it has no records has no targets; one that nobody answers for keeps those it had.
//! The system's servers and search list are read again for every look-up; nothing is cached here, since whoever asks
//! every 30 seconds wants to know what is true now.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tracing::warn;

use crate::scrape::{DnsRecord, Group, LabelPairs};

use super::refresh::Refresh;
use super::standing::Account;

/// Names that are looked up.
#[derive(Debug)]
pub struct Dns {
    names: Vec<String>,
    record: DnsRecord,
    port: u16,
    servers: Servers,
    /// What was found last, name by name.
    groups: Vec<Option<Group>>,
}

/// Who is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Servers {
    /// As `/etc/resolv.conf` says.
    System,
    /// These, for names as they are.
    At(Vec<SocketAddr>),
}

impl Dns {
    /// Looks up records of this type of each name; `port` is for records that say none.
    pub fn new(names: &[String], record: DnsRecord, port: u16, servers: Servers) -> Dns {
        Dns { names: names.to_vec(), record, port, servers, groups: vec![None; names.len()] }
    }

    /// Looks up one name.
    ///
    /// # Errors
    /// Nobody gave an answer that says whether there are records.
    pub async fn look_up(&self, name: &str) -> Result<Group, String> {
        let (resolver, candidates) = self.resolver(name).map_err(|e| e.to_string())?;
        let mut failure = None;
        for candidate in candidates {
            match resolver.lookup(candidate, self.record.wire()).await {
                Ok(answer) => {
                    let records = answer.answers().iter().map(|record| &record.data);
                    return Ok(self.group(name, records));
                }
                Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
                    ResponseCode::NoError => return Ok(self.group(name, [])),
                    // This is no name; one further down the search list may be.
                    ResponseCode::NXDomain => {}
                    code => failure = Some(code.to_string()),
                },
                Err(error) => failure = Some(error.to_string()),
            }
        }
        match failure {
            None => Ok(self.group(name, [])),
            Some(why) => Err(format!("could not resolve {name:?}: {why}")),
        }
    }

    /// What looks names up, and the names that `name` may mean, in order.
    fn resolver(&self, name: &str) -> Result<(TokioResolver, Vec<Name>), NetError> {
        let (config, mut options) = match &self.servers {
            Servers::System => read_system_conf()?,
            Servers::At(addresses) => (at(addresses), ResolverOpts::default()),
        };
        let parsed = if name.is_ascii() { Name::from_ascii(name)? } else { Name::from_utf8(name)? };
        let candidates = candidates(parsed, &config.search, options.ndots);
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        options.num_concurrent_reqs = 1;
        options.edns0 = true;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok((builder.with_options(options).build()?, candidates))
    }

    fn group<'a>(&self, name: &str, records: impl IntoIterator<Item = &'a RData>) -> Group {
        let targets = records.into_iter().filter_map(|record| target(name, record, self.port)).collect();
        Group { source: name.to_owned(), targets, labels: LabelPairs::new() }
    }
}

impl Refresh for Dns {
    /// Looks up all names; those that nobody answers for keep what they had.
    async fn refresh(&mut self, account: Account<'_>) -> Result<Vec<Group>, String> {
        let mut failures = Vec::new();
        for (at, names) in self.names.chunks(NAMES_AT_ONCE_MAX).enumerate() {
            let found = all(names.iter().map(|name| self.look_up(name))).await;
            let groups = self.groups[at * NAMES_AT_ONCE_MAX..].iter_mut();
            for ((group, name), found) in groups.zip(names).zip(found) {
                let is_news = account.note(name, &found);
                match found {
                    Ok(found) => *group = Some(found),
                    Err(why) => failures.push((why, is_news)),
                }
            }
        }
        // One failure is counted by whoever asked; the names beside it were answered nevertheless.
        if failures.len() == self.names.len() {
            let failures: Vec<String> = failures.into_iter().map(|(why, _)| why).collect();
            return Err(failures.join("; "));
        }
        for (why, is_news) in failures {
            account.counts.failures.add(1);
            // One bad name among good ones may stay one for ever.
            if is_news {
                let job = account.job();
                warn!(%job, error = why, "targets not refreshed: those before stay");
            }
        }
        Ok(self.groups.iter().flatten().cloned().collect())
    }

    fn name(&self) -> String {
        self.names.join(",")
    }
}

/// What all of them come to, in their order; they run at once.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut found: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, found) in running.iter_mut().zip(&mut found).filter(|(_, found)| found.is_none()) {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                *found = Some(output);
            }
        }
        if found.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    found.into_iter().flatten().collect()
}

/// Names of one configuration that are looked up at once.
const NAMES_AT_ONCE_MAX: usize = 32;

impl DnsRecord {
    fn wire(self) -> RecordType {
        match self {
            DnsRecord::Srv => RecordType::SRV,
            DnsRecord::A => RecordType::A,
            DnsRecord::Aaaa => RecordType::AAAA,
            DnsRecord::Mx => RecordType::MX,
            DnsRecord::Ns => RecordType::NS,
        }
    }
}

fn at(addresses: &[SocketAddr]) -> ResolverConfig {
    let servers = addresses.iter().map(|address| {
        let mut udp = ConnectionConfig::udp();
        let mut tcp = ConnectionConfig::tcp();
        udp.port = address.port();
        tcp.port = address.port();
        NameServerConfig::new(address.ip(), true, vec![udp, tcp])
    });
    ResolverConfig::from_parts(None, Vec::new(), servers.collect())
}

/// What a name may mean: itself, and itself in each domain of the search list. One with a final dot is itself alone;
/// one with more than `ndots` labels is tried as itself first, else last.
fn candidates(name: Name, search: &[Name], ndots: usize) -> Vec<Name> {
    if name.is_fqdn() {
        return vec![name];
    }
    let mut rooted = name.clone();
    rooted.set_fqdn(true);
    let mut all: Vec<Name> = search
        .iter()
        .filter_map(|domain| name.clone().append_domain(domain).ok())
        .map(|mut name| {
            name.set_fqdn(true);
            name
        })
        .collect();
    let first = usize::from(name.num_labels()) > ndots;
    all.insert(if first { 0 } else { all.len() }, rooted);
    all
}

/// A record's target; none for records that lead to others.
fn target(name: &str, record: &RData, port: u16) -> Option<LabelPairs> {
    let (mut srv, mut srv_port, mut mx, mut ns) = Default::default();
    let address = match record {
        RData::SRV(found) => {
            srv = found.target.to_ascii();
            srv_port = found.port.to_string();
            host_port(&srv, found.port)
        }
        RData::MX(found) => {
            mx = found.exchange.to_ascii();
            host_port(&mx, port)
        }
        RData::NS(found) => {
            ns = found.to_ascii();
            host_port(&ns, port)
        }
        RData::A(found) => host_port(&found.to_string(), port),
        // One that stands for an IPv4 address is written as that, as by Go.
        RData::AAAA(found) => host_port(&found.to_canonical().to_string(), port),
        _ => return None,
    };
    let labels = [
        ("__address__", address),
        ("__meta_dns_mx_record_target", mx),
        ("__meta_dns_name", name.to_owned()),
        ("__meta_dns_ns_record_target", ns),
        ("__meta_dns_srv_record_port", srv_port),
        ("__meta_dns_srv_record_target", srv),
    ];
    Some(labels.into_iter().map(|(name, value): (&str, String)| (name.to_owned(), value)).collect())
}

/// Host and port, without the final dot of a rooted name.
fn host_port(host: &str, port: u16) -> String {
    let host = host.trim_end_matches('.');
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn names_are_asked_for_at_once() {
        // Each waits for the others.
        let barrier = tokio::sync::Barrier::new(3);
        let wait = |n: usize| {
            let barrier = &barrier;
            async move {
                barrier.wait().await;
                n
            }
        };
        assert_eq!(all((0..3).map(wait)).await, [0, 1, 2]);
    }

    #[test]
    fn an_ipv6_address_that_stands_for_an_ipv4_one_is_written_as_that() {
        let address = |text: &str| {
            let record = RData::AAAA(text.parse::<std::net::Ipv6Addr>().unwrap().into());
            target("a", &record, 81).unwrap().remove(0).1
        };
        assert_eq!(address("::ffff:1.2.3.4"), "1.2.3.4:81");
        assert_eq!(address("2001:db8::1"), "[2001:db8::1]:81");
        assert_eq!(address("::1"), "[::1]:81");
    }

    #[test]
    fn a_name_means_itself_and_itself_in_each_domain() {
        let name = |text: &str| Name::from_utf8(text).unwrap();
        let tried = |text: &str, ndots| {
            let search = [name("a.example."), name("example.")];
            let names = candidates(name(text), &search, ndots);
            names.iter().map(Name::to_ascii).collect::<Vec<_>>()
        };
        assert_eq!(tried("web.", 1), ["web."]);
        assert_eq!(tried("web", 1), ["web.a.example.", "web.example.", "web."]);
        assert_eq!(tried("web.b", 1), ["web.b.", "web.b.a.example.", "web.b.example."]);
        assert_eq!(tried("web.b", 5), ["web.b.a.example.", "web.b.example.", "web.b."]);
    }
}
