//! Where the API server is and who we are there: as the options say, as a kubeconfig says, or as every pod is told.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::scrape::plain_file::{self, SECRET_BYTES_MAX};
use crate::scrape::{
    Authorization, BasicAuth, ClientOptions, ClientTls, Credential, KubernetesOptions, ProxyOptions,
};

/// How an API server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// Its URL.
    pub url: String,
    /// How it is spoken to.
    pub client: ClientOptions,
    /// The namespace that we run in, if we are told.
    pub own_namespace: Option<String>,
}

/// What a process is told of where it runs.
pub struct Surroundings<'a> {
    /// Environment variables.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The folder of a pod's service account.
    pub account: PathBuf,
}

impl Access {
    /// How the cluster that the options mean is reached.
    ///
    /// # Errors
    /// What is missing or not built in.
    pub fn find(options: &KubernetesOptions, around: &Surroundings<'_>) -> Result<Access, String> {
        if let Some(path) = &options.kubeconfig {
            let text = plain_file::read_text(path, SECRET_BYTES_MAX)
                .map_err(|e| format!("{}: {e}", path.display()))?;
            let folder = path.parent().unwrap_or(Path::new("."));
            return kubeconfig(&text, folder).map_err(|why| format!("{}: {why}", path.display()));
        }
        match &options.api_server {
            Some(url) => Ok(Access { url: url.clone(), client: options.client.clone(), own_namespace: None }),
            None => in_cluster(options, around),
        }
    }
}

/// As every pod is told.
fn in_cluster(options: &KubernetesOptions, around: &Surroundings<'_>) -> Result<Access, String> {
    let variable = |name| (around.variable)(name).filter(|value: &String| !value.is_empty());
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
    else {
        return Err(
            "neither api_server nor kubeconfig_file is set, and this is no pod: KUBERNETES_SERVICE_HOST and \
                    KUBERNETES_SERVICE_PORT are not set"
                .to_owned(),
        );
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let own_namespace = if options.own_namespace {
        let path = around.account.join("namespace");
        let text =
            plain_file::read_text(&path, SECRET_BYTES_MAX).map_err(|e| format!("{}: {e}", path.display()))?;
        let text = text.trim().to_owned();
        if text.is_empty() {
            return Err(format!("{} names no namespace", path.display()));
        }
        Some(text)
    } else {
        None
    };
    let client = ClientOptions {
        // The file is read for each request: the token in it changes every hour.
        authorization: bearer(Credential::File(around.account.join("token"))),
        tls: ClientTls { ca: Some(Credential::File(around.account.join("ca.crt"))), ..ClientTls::default() },
        // As Kubernetes's own clients have it, here and with a kubeconfig that names no proxy.
        proxy: ProxyOptions { from_environment: true, ..ProxyOptions::default() },
        ..ClientOptions::default()
    };
    Ok(Access { url: format!("https://{host}:{port}"), client, own_namespace })
}

/// As a kubeconfig's current context says; its relative paths count from `folder`.
fn kubeconfig(text: &str, folder: &Path) -> Result<Access, String> {
    let file: Kubeconfig = serde_saphyr::from_str(text)
        .map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())?;
    let context =
        named(&file.contexts, &file.current_context, "context")?.context.clone().unwrap_or_default();
    let cluster = named(&file.clusters, &context.cluster, "cluster")?.cluster.clone().unwrap_or_default();
    let user = match context.user.as_str() {
        "" => User::default(),
        name => named(&file.users, name, "user")?.user.clone().unwrap_or_default(),
    };
    let name = &context.user;
    if user.exec.is_some() {
        return Err(format!("user {name:?}: exec is not built into tidegate"));
    }
    if user.auth_provider.is_some() {
        return Err(format!("user {name:?}: auth-provider is not built into tidegate"));
    }
    let data = |data: &str, file: &str| secret(data, file, folder);
    let token = match (user.token_file.as_str(), user.token.as_str()) {
        ("", "") => None,
        ("", text) => Some(Credential::Text(text.to_owned())),
        (file, _) => Some(Credential::File(folder.join(file))),
    };
    let basic = (!user.username.is_empty()).then(|| BasicAuth {
        username: Credential::Text(user.username.clone()),
        password: Some(Credential::Text(user.password.clone())),
    });
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let client = ClientOptions {
        basic_auth: basic.filter(|_| token.is_none()),
        authorization: token.and_then(bearer),
        tls: ClientTls {
            ca: data(&cluster.certificate_authority_data, &cluster.certificate_authority)?,
            cert: data(&user.client_certificate_data, &user.client_certificate)?,
            key: data(&user.client_key_data, &user.client_key)?,
            server_name: some(&cluster.tls_server_name),
            insecure_skip_verify: cluster.insecure_skip_tls_verify,
            ..ClientTls::default()
        },
        proxy: ProxyOptions {
            url: some(&cluster.proxy_url),
            from_environment: cluster.proxy_url.is_empty(),
            ..ProxyOptions::default()
        },
        ..ClientOptions::default()
    };
    if cluster.server.is_empty() {
        return Err(format!("cluster {:?} has no server", context.cluster));
    }
    Ok(Access { url: cluster.server, client, own_namespace: None })
}

/// A PEM text that stands in the file in base64, or in a file of its own.
fn secret(data: &str, file: &str, folder: &Path) -> Result<Option<Credential>, String> {
    if data.is_empty() {
        return Ok((!file.is_empty()).then(|| Credential::File(folder.join(file))));
    }
    let unsound = || "certificates and keys must be base64 of PEM".to_owned();
    let bytes = STANDARD.decode(data.trim()).map_err(|_| unsound())?;
    Ok(Some(Credential::Text(String::from_utf8(bytes).map_err(|_| unsound())?)))
}

fn bearer(credentials: Credential) -> Option<Authorization> {
    Some(Authorization { kind: "Bearer".to_owned(), credentials: Some(credentials) })
}

fn named<'a>(list: &'a [Named], name: &str, what: &str) -> Result<&'a Named, String> {
    list.iter().find(|entry| entry.name == name).ok_or_else(|| format!("there is no {what} {name:?}"))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Kubeconfig {
    current_context: String,
    contexts: Vec<Named>,
    clusters: Vec<Named>,
    users: Vec<Named>,
}

/// An entry of one of the lists, whichever it is.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: String,
    context: Option<Context>,
    cluster: Option<Server>,
    user: Option<User>,
}

#[derive(Deserialize, Clone, Default)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize, Clone, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Server {
    server: String,
    certificate_authority: String,
    certificate_authority_data: String,
    insecure_skip_tls_verify: bool,
    tls_server_name: String,
    proxy_url: String,
}

#[derive(Deserialize, Clone, Default)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    token: String,
    #[serde(rename = "tokenFile")]
    token_file: String,
    client_certificate: String,
    client_certificate_data: String,
    client_key: String,
    client_key_data: String,
    username: String,
    password: String,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = "
apiVersion: v1
kind: Config
current-context: dev
preferences: {}
contexts:
- name: dev
  context: {cluster: c, user: u, namespace: other}
- name: exec
  context: {cluster: c, user: e}
clusters:
- name: c
  cluster:
    server: https://127.0.0.1:6443
    certificate-authority-data: QUJD
    tls-server-name: kubernetes
users:
- name: u
  user: {client-certificate: u.crt, client-key-data: S0VZ}
- name: e
  user:
    exec: {command: aws}
";

    #[test]
    fn a_kubeconfig_says_where_and_who() {
        let access = kubeconfig(FILE, Path::new("/etc/kube")).unwrap();
        assert_eq!(access.url, "https://127.0.0.1:6443");
        let tls = access.client.tls;
        assert_eq!(tls.ca, Some(Credential::Text("ABC".into())));
        assert_eq!(tls.cert, Some(Credential::File("/etc/kube/u.crt".into())));
        assert_eq!(tls.key, Some(Credential::Text("KEY".into())));
        assert_eq!(tls.server_name.as_deref(), Some("kubernetes"));

        let token = FILE.replace("{client-certificate: u.crt, client-key-data: S0VZ}", "{token: abc}");
        let access = kubeconfig(&token, Path::new("/")).unwrap();
        assert_eq!(access.client.authorization, bearer(Credential::Text("abc".into())));
    }

    #[test]
    fn what_is_not_built_in_is_refused_by_name() {
        let exec = FILE.replace("current-context: dev", "current-context: exec");
        let why = kubeconfig(&exec, Path::new("/")).unwrap_err();
        assert_eq!(why, "user \"e\": exec is not built into tidegate");
        let none = FILE.replace("current-context: dev", "current-context: prod");
        assert_eq!(kubeconfig(&none, Path::new("/")).unwrap_err(), "there is no context \"prod\"");
        let bad = FILE.replace("QUJD", "'%'");
        assert!(kubeconfig(&bad, Path::new("/")).unwrap_err().contains("base64"));
    }

    #[test]
    fn a_pod_is_told_where_it_is() {
        let account = tempfile::tempdir().unwrap();
        fs::write(account.path().join("namespace"), "monitoring\n").unwrap();
        let mut options = KubernetesOptions {
            api_server: None,
            role: crate::scrape::KubernetesRole::Pod,
            kubeconfig: None,
            namespaces: Vec::new(),
            own_namespace: true,
            selectors: Vec::new(),
            attach_node: false,
            attach_namespace: false,
            client: ClientOptions::default(),
        };
        let told = |name: &str| match name {
            "KUBERNETES_SERVICE_HOST" => Some("fd00::1".to_owned()),
            "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
            _ => None,
        };
        let around = Surroundings { variable: &told, account: account.path().to_owned() };
        let access = Access::find(&options, &around).unwrap();
        assert_eq!(access.url, "https://[fd00::1]:443");
        assert_eq!(access.own_namespace.as_deref(), Some("monitoring"));
        let token = Credential::File(account.path().join("token"));
        assert_eq!(access.client.authorization, bearer(token));

        let nowhere = Surroundings { variable: &|_| None, account: account.path().to_owned() };
        assert!(Access::find(&options, &nowhere).unwrap_err().contains("KUBERNETES_SERVICE_HOST"));
        options.api_server = Some("http://127.0.0.1:1".into());
        assert_eq!(Access::find(&options, &nowhere).unwrap().url, "http://127.0.0.1:1");
    }
}
