//! Groups from objects of the simple roles: a node, a service, a pod, an ingress each make one.

use crate::scrape::Group;

use super::cluster::Cluster;
use super::labels::{Labels, containers, host_port, sanitized};
use super::objects::{Ingress, IngressRule, Node, Pod, Service};

/// A node's kubelet. None if the node has no address.
pub(super) fn node(node: &Node) -> Option<Group> {
    let mut labels = Labels::default();
    labels.meta("node_provider_id", &node.spec.provider_id);
    for condition in &node.status.conditions {
        let name = format!("node_condition_{}", sanitized(&condition.kind.to_lowercase()));
        labels.meta(&name, condition.status.to_lowercase());
    }
    labels.object("node", &node.metadata);
    let addresses = &node.status.addresses;
    let first = |kind: &str| addresses.iter().find(|address| address.kind == kind);
    let address = ADDRESS_KINDS.iter().find_map(|kind| first(kind))?;
    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    let mut target = Labels::at(&host_port(&address.address, port));
    target.set("instance", &node.metadata.name);
    // The first of each kind stands.
    for address in addresses.iter().rev() {
        target.meta(&format!("node_address_{}", sanitized(&address.kind)), &address.address);
    }
    Some(Group {
        source: format!("node/{}", node.metadata.name),
        targets: vec![target.pairs()],
        labels: labels.pairs(),
    })
}

/// Each port of a service.
pub(super) fn service(service: &Service, cluster: &Cluster) -> Group {
    let meta = &service.metadata;
    let mut labels = service_labels(service);
    cluster.add_namespace(&mut labels, &meta.namespace);
    let spec = &service.spec;
    let targets = spec.ports.iter().map(|port| {
        let host = format!("{}.{}.svc", meta.name, meta.namespace);
        let mut target = Labels::at(&host_port(&host, port.port));
        target.meta("service_port_name", &port.name);
        target.meta("service_port_number", port.port.to_string());
        target.meta("service_port_protocol", &port.protocol);
        target.meta("service_type", &spec.kind);
        if spec.kind == "ExternalName" {
            target.meta("service_external_name", &spec.external_name);
        } else {
            target.meta("service_cluster_ip", &spec.cluster_ip);
        }
        if spec.kind == "LoadBalancer" {
            target.meta("service_loadbalancer_ip", load_balancer_ips(service));
        }
        target.pairs()
    });
    Group {
        source: format!("svc/{}/{}", meta.namespace, meta.name),
        targets: targets.collect(),
        labels: labels.pairs(),
    }
}

/// What is said of a service, whichever of its ports a target is.
pub(super) fn service_labels(service: &Service) -> Labels {
    let mut labels = Labels::default();
    labels.meta("namespace", &service.metadata.namespace);
    labels.object("service", &service.metadata);
    labels
}

/// The addresses of a service's load balancer: those that it has, else the one that was wished for.
fn load_balancer_ips(service: &Service) -> String {
    let ips = service.status.load_balancer.ingress.iter().map(|ingress| ingress.ip.as_str());
    let ips: Vec<&str> = ips.filter(|ip| !ip.is_empty()).collect();
    if ips.is_empty() { service.spec.load_balancer_ip.clone() } else { ips.join(",") }
}

/// Each port of each of a pod's containers; a container without ports is one target without a port.
pub(super) fn pod(pod: &Pod, cluster: &Cluster) -> Group {
    let meta = &pod.metadata;
    let source = format!("pod/{}/{}", meta.namespace, meta.name);
    let nothing = Group { source, targets: Vec::new(), labels: Vec::new() };
    // One that starts, or was evicted, has no address. One on a node that selectors leave out is left out.
    if pod.status.pod_ip.is_empty() || !cluster.knows_node(&pod.spec.node_name) {
        return nothing;
    }
    let mut labels = Labels::default();
    labels.pod(pod);
    labels.meta("namespace", &meta.namespace);
    cluster.add_node(&mut labels, &pod.spec.node_name);
    cluster.add_namespace(&mut labels, &meta.namespace);
    let mut targets = Vec::new();
    for (container, is_init) in containers(pod) {
        let statuses =
            if is_init { &pod.status.init_container_statuses } else { &pod.status.container_statuses };
        let id = statuses.iter().find(|status| status.name == container.name);
        let id = id.map_or("", |status| &status.container_id);
        if container.ports.is_empty() {
            let mut target = Labels::at(&pod.status.pod_ip);
            target.meta("pod_container_name", &container.name);
            target.meta("pod_container_id", id);
            target.meta("pod_container_image", &container.image);
            target.meta("pod_container_init", is_init.to_string());
            targets.push(target.pairs());
        }
        for port in &container.ports {
            let mut target = Labels::at(&host_port(&pod.status.pod_ip, port.container_port));
            target.container_port(container, is_init, &port.name, port.container_port, &port.protocol);
            target.meta("pod_container_id", id);
            targets.push(target.pairs());
        }
    }
    Group { targets, labels: labels.pairs(), ..nothing }
}

/// Each path of each host of an ingress.
pub(super) fn ingress(ingress: &Ingress, cluster: &Cluster) -> Group {
    let meta = &ingress.metadata;
    let mut labels = Labels::default();
    labels.meta("namespace", &meta.namespace);
    labels.meta_if("ingress_class_name", ingress.spec.ingress_class_name.as_ref());
    labels.object("ingress", meta);
    cluster.add_namespace(&mut labels, &meta.namespace);
    let mut targets = Vec::new();
    for rule in &ingress.spec.rules {
        let mut hosts = ingress.spec.tls.iter().flat_map(|tls| &tls.hosts);
        let scheme = if hosts.any(|pattern| covers(pattern, &rule.host)) { "https" } else { "http" };
        for path in paths(rule) {
            let mut target = Labels::at(&rule.host);
            target.meta("ingress_scheme", scheme);
            target.meta("ingress_host", &rule.host);
            target.meta("ingress_path", path);
            targets.push(target.pairs());
        }
    }
    Group { source: format!("ingress/{}/{}", meta.namespace, meta.name), targets, labels: labels.pairs() }
}

/// A rule that says nothing of paths has the root; one that lists none has none.
fn paths(rule: &IngressRule) -> Vec<&str> {
    match &rule.http {
        None => vec!["/"],
        Some(http) => {
            let paths = http.paths.iter().map(|path| path.path.as_str());
            paths.map(|path| if path.is_empty() { "/" } else { path }).collect()
        }
    }
}

/// Whether a certificate for `pattern` is good for `host`: a `*` in front stands for one name.
fn covers(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    let behind = |name| str::split_once(name, '.').map(|(_, behind)| behind);
    pattern.split('.').next() == Some("*") && behind(pattern) == behind(host)
}

/// The kinds of a node's addresses, the best first.
const ADDRESS_KINDS: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_name() {
        for (pattern, host, covered) in [
            ("a.b", "a.b", true),
            ("*.b", "a.b", true),
            ("*.b", "x.a.b", false),
            ("*.b", "b", false),
            ("a.*", "a.b", false),
            ("*", "b", true),
            ("*", "", true),
            ("*", "a.b", false),
        ] {
            assert_eq!(covers(pattern, host), covered, "{pattern} {host}");
        }
    }
}
