//! What a scrape configuration says, with nothing left to look up but the files of secrets.

use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::relabel::{NameValidation, Rules};

use super::redacted::Redacted;
use super::target::Group;

/// A `scrape_configs` entry: how its targets are found, named and scraped.
#[derive(Clone, PartialEq, Debug)]
pub struct Job {
    /// The label `job` of its targets, unless discovery says otherwise.
    pub name: String,
    /// Between two scrapes of a target.
    pub interval: Duration,
    /// How long a scrape may take; at most the interval.
    pub timeout: Duration,
    /// The default of `__scheme__`.
    pub scheme: Scheme,
    /// The default of `__metrics_path__`.
    pub metrics_path: String,
    /// The query, name by name, in the file's order.
    pub params: Vec<(String, Vec<String>)>,
    /// Labels of the target's own samples win over the target's labels.
    pub honor_labels: bool,
    /// Times that the target says are taken.
    pub honor_timestamps: bool,
    /// Series with times of the target's own get stale markers, too.
    pub track_timestamps_staleness: bool,
    /// What is asked for, the dearest first.
    pub protocols: Vec<ScrapeProtocol>,
    /// What an answer is read as whose `Content-Type` is missing or unknown.
    pub fallback_protocol: Option<ScrapeProtocol>,
    /// Whether gzip is asked for.
    pub compression: bool,
    /// What a scrape may bring.
    pub limits: BodyLimits,
    /// What becomes of histograms.
    pub histograms: Histograms,
    /// Which names samples and labels may have.
    pub names: NameValidation,
    /// What targets are asked to do with names that need quotes.
    pub escaping: NameEscaping,
    /// Three more series about each scrape: timeout, sample limit, body size.
    pub extra_metrics: bool,
    /// How targets are spoken to.
    pub client: ClientOptions,
    /// What is done with the labels of discovered targets.
    pub relabel: Arc<Rules>,
    /// What is done with the labels of series.
    pub metric_relabel: Arc<Rules>,
    /// Where targets come from.
    pub discovery: Vec<Discovery>,
}

/// How a target is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// A format of expositions, as `scrape_protocols` names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScrapeProtocol {
    /// `PrometheusProto`
    PrometheusProto,
    /// `PrometheusText0.0.4`
    PrometheusText0_0_4,
    /// `PrometheusText1.0.0`
    PrometheusText1_0_0,
    /// `OpenMetricsText0.0.1`
    OpenMetricsText0_0_1,
    /// `OpenMetricsText1.0.0`
    OpenMetricsText1_0_0,
}

/// What a scrape may bring; 0 is any number. One that brings more fails as a whole, and `up` is 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BodyLimits {
    /// Bytes of the body, decompressed.
    pub body_bytes_max: u64,
    /// Samples that metric rules have left.
    pub samples_max: u64,
    /// Labels of a series.
    pub labels_max: u64,
    /// Bytes of a label's name.
    pub label_name_bytes_max: u64,
    /// Bytes of a label's value.
    pub label_value_bytes_max: u64,
    /// Targets of the job that rules have left; with more, all of its scrapes fail.
    pub targets_max: u64,
    /// Targets that rules have dropped and that are shown nevertheless; of those of other servers as many.
    pub dropped_shown_max: u64,
}

/// What becomes of histograms.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Histograms {
    /// Native histograms are asked for, and kept.
    pub native: bool,
    /// Classic series are kept beside native ones.
    pub classic_too: bool,
    /// Classic histograms become native ones with custom buckets.
    pub convert_classic: bool,
    /// Buckets that a native histogram may have; more are merged. 0 is any number.
    pub buckets_max: u64,
    /// Buckets narrower than this are merged; 0 leaves them.
    pub bucket_factor_min: f64,
}

/// `metric_name_escaping_scheme`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameEscaping {
    /// Names as they are.
    AllowUtf8,
    /// Other letters become underscores.
    Underscores,
    /// Dots become `_dot_`.
    Dots,
    /// `U__` and numbers.
    Values,
}

/// How an HTTP server is spoken to: a target's, or one that knows of targets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientOptions {
    /// Name and password.
    pub basic_auth: Option<BasicAuth>,
    /// An `Authorization` header of another kind.
    pub authorization: Option<Authorization>,
    /// A token that is fetched elsewhere.
    pub oauth2: Option<OAuth2>,
    /// TLS.
    pub tls: ClientTls,
    /// Proxies.
    pub proxy: ProxyOptions,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Further headers.
    pub headers: Vec<(String, Vec<Credential>)>,
}

impl Default for ClientOptions {
    /// As where nothing is said: nobody in particular, following redirects.
    fn default() -> ClientOptions {
        ClientOptions {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            tls: ClientTls::default(),
            proxy: ProxyOptions::default(),
            follow_redirects: true,
            headers: Vec::new(),
        }
    }
}

/// A secret. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Written in the file.
    Text(String),
    /// In a file of its own, read whenever it is needed.
    File(PathBuf),
}

impl Debug for Credential {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Text(_) => f.write_str("<secret>"),
            Credential::File(path) => write!(f, "File({path:?})"),
        }
    }
}

/// `basic_auth`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BasicAuth {
    /// The name.
    pub username: Credential,
    /// The password; none is the empty one.
    pub password: Option<Credential>,
}

/// `authorization`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authorization {
    /// What stands before the credentials: `Bearer` mostly.
    pub kind: String,
    /// What proves it.
    pub credentials: Option<Credential>,
}

/// `oauth2`
#[derive(Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// Who asks.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Option<Credential>,
    /// What for.
    pub scopes: Vec<String>,
    /// Where.
    pub token_url: String,
    /// Further parameters of the question.
    pub endpoint_params: Vec<(String, String)>,
    /// How that server is spoken to.
    pub tls: ClientTls,
    /// Proxies on the way there.
    pub proxy: ProxyOptions,
}

impl Debug for OAuth2 {
    /// Parameters may be secrets, too.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let params: Vec<&str> = self.endpoint_params.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OAuth2")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .field("scopes", &self.scopes)
            .field("token_url", &Redacted(&self.token_url))
            .field("endpoint_params", &params)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .finish()
    }
}

/// `tls_config` of a client.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ClientTls {
    /// Whom to trust, PEM; none is the system's certificates.
    pub ca: Option<Credential>,
    /// The client's certificate, PEM.
    pub cert: Option<Credential>,
    /// Its key, PEM.
    pub key: Option<Credential>,
    /// The name that the server's certificate must have, in place of the address's.
    pub server_name: Option<String>,
    /// Any certificate is taken.
    pub insecure_skip_verify: bool,
    /// TLS 1.3 at least, where 1.2 is the default; 1.0 and 1.1 are never spoken.
    pub min_tls13: bool,
    /// TLS 1.2 at most.
    pub max_tls12: bool,
}

/// Proxies.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ProxyOptions {
    /// The proxy.
    pub url: Option<String>,
    /// Who is reached without it: names, domains, addresses, networks, by commas.
    pub no_proxy: String,
    /// Proxies are what the environment says.
    pub from_environment: bool,
    /// Headers of CONNECT.
    pub connect_headers: Vec<(String, Vec<Credential>)>,
}

impl Debug for ProxyOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyOptions")
            .field("url", &self.url.as_deref().map(Redacted))
            .field("no_proxy", &self.no_proxy)
            .field("from_environment", &self.from_environment)
            .field("connect_headers", &self.connect_headers)
            .finish()
    }
}

/// A way to find targets.
#[derive(Clone, PartialEq)]
pub enum Discovery {
    /// `static_configs`
    Static(Vec<Group>),
    /// `file_sd_configs`
    File {
        /// Files; a `*` in the last part stands for any letters.
        patterns: Vec<PathBuf>,
        /// How often they are read anew, whether or not a change was seen.
        refresh: Duration,
    },
    /// `http_sd_configs`
    Http {
        /// Where.
        url: String,
        /// How often.
        refresh: Duration,
        /// How.
        client: ClientOptions,
    },
    /// `dns_sd_configs`
    Dns {
        /// Names to look up.
        names: Vec<String>,
        /// What is asked for.
        record: DnsRecord,
        /// The port of targets whose records say none.
        port: u16,
        /// How often.
        refresh: Duration,
    },
    /// `kubernetes_sd_configs`
    Kubernetes(KubernetesOptions),
}

impl Debug for Discovery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Discovery::Static(groups) => f.debug_tuple("Static").field(groups).finish(),
            Discovery::File { patterns, refresh } => {
                f.debug_struct("File").field("patterns", patterns).field("refresh", refresh).finish()
            }
            Discovery::Http { url, refresh, client } => f
                .debug_struct("Http")
                .field("url", &Redacted(url))
                .field("refresh", refresh)
                .field("client", client)
                .finish(),
            Discovery::Dns { names, record, port, refresh } => f
                .debug_struct("Dns")
                .field("names", names)
                .field("record", record)
                .field("port", port)
                .field("refresh", refresh)
                .finish(),
            Discovery::Kubernetes(options) => f.debug_tuple("Kubernetes").field(options).finish(),
        }
    }
}

/// A type of DNS records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DnsRecord {
    /// Host and port.
    Srv,
    /// Addresses.
    A,
    /// Long addresses.
    Aaaa,
    /// Mail hosts.
    Mx,
    /// Name servers.
    Ns,
}

/// `kubernetes_sd_configs`
#[derive(Clone, PartialEq)]
pub struct KubernetesOptions {
    /// The API server; none means that we run in its cluster, or `kubeconfig`.
    pub api_server: Option<String>,
    /// What becomes a target.
    pub role: KubernetesRole,
    /// A file that says where the cluster is and who we are there.
    pub kubeconfig: Option<PathBuf>,
    /// Namespaces; none is all.
    pub namespaces: Vec<String>,
    /// The namespace that we run in is watched, too.
    pub own_namespace: bool,
    /// Which objects are asked for.
    pub selectors: Vec<SelectorOptions>,
    /// Labels and annotations of a target's node are added.
    pub attach_node: bool,
    /// Labels and annotations of a target's namespace are added.
    pub attach_namespace: bool,
    /// How the API server is spoken to.
    pub client: ClientOptions,
}

impl Debug for KubernetesOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesOptions")
            .field("api_server", &self.api_server.as_deref().map(Redacted))
            .field("role", &self.role)
            .field("kubeconfig", &self.kubeconfig)
            .field("namespaces", &self.namespaces)
            .field("own_namespace", &self.own_namespace)
            .field("selectors", &self.selectors)
            .field("attach_node", &self.attach_node)
            .field("attach_namespace", &self.attach_namespace)
            .field("client", &self.client)
            .finish()
    }
}

/// What becomes a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KubernetesRole {
    /// Each node's kubelet.
    Node,
    /// Each port of each service.
    Service,
    /// Each port of each container.
    Pod,
    /// Each address of the endpoints of a service.
    Endpoints,
    /// The same by the newer objects.
    EndpointSlice,
    /// Each path of each ingress.
    Ingress,
}

/// `selectors`: which objects of a role are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectorOptions {
    /// Of which.
    pub role: KubernetesRole,
    /// By labels.
    pub label: String,
    /// By fields.
    pub field: String,
}
