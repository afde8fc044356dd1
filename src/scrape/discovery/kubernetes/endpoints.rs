//! Groups from endpoints and from slices of them: each address of a service with each port, and what is behind it.
//!
//! Both go the same way: what the object says of an address, then what the pod says that the address is of, and at the
//! end the ports of these pods that no service leads to.

use std::collections::BTreeMap;

use crate::scrape::{Group, LabelPairs};

use super::cluster::Cluster;
use super::groups::service_labels;
use super::labels::{Labels, containers, host_port, sanitized};
use super::objects::{
    EndpointAddress, EndpointSlice, Endpoints, Pod, Service, ServicePort, SliceEndpoint, SlicePort,
    TargetRef, key,
};

/// The endpoints of a service.
pub(super) fn endpoints(endpoints: &Endpoints, cluster: &Cluster) -> Group {
    let meta = &endpoints.metadata;
    let mut labels = Labels::default();
    labels.meta("namespace", &meta.namespace);
    if let Some(service) = cluster.services.object(&meta.key()) {
        labels.merge(service_labels(service));
    }
    labels.object("endpoints", meta);
    cluster.add_namespace(&mut labels, &meta.namespace);
    let mut found = Behind::new(cluster);
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            let ready = subset.addresses.iter().map(|address| (address, true));
            let not_ready = subset.not_ready_addresses.iter().map(|address| (address, false));
            for (address, is_ready) in ready.chain(not_ready) {
                let target = endpoint(address, port, is_ready, cluster);
                found.add(target, address.target_ref.as_ref(), Some(port.port), Some(&port.protocol));
            }
        }
    }
    Group {
        source: format!("endpoints/{}/{}", meta.namespace, meta.name),
        targets: found.finish(),
        labels: labels.pairs(),
    }
}

fn endpoint(address: &EndpointAddress, port: &ServicePort, is_ready: bool, cluster: &Cluster) -> Labels {
    let mut target = Labels::at(&host_port(&address.ip, port.port));
    target.meta("endpoint_port_name", &port.name);
    target.meta("endpoint_port_protocol", &port.protocol);
    target.meta("endpoint_ready", is_ready.to_string());
    if let Some(of) = &address.target_ref {
        target.meta("endpoint_address_target_kind", &of.kind);
        target.meta("endpoint_address_target_name", &of.name);
    }
    target.meta_if("endpoint_node_name", address.node_name.as_ref());
    target.meta_if("endpoint_hostname", Some(&address.hostname).filter(|name| !name.is_empty()));
    match (&address.node_name, &address.target_ref) {
        (Some(node), _) => cluster.add_node(&mut target, node),
        (None, Some(of)) if of.kind == "Node" => cluster.add_node(&mut target, &of.name),
        _ => {}
    }
    target
}

/// A slice of the endpoints of a service.
pub(super) fn endpoint_slice(slice: &EndpointSlice, cluster: &Cluster) -> Group {
    let meta = &slice.metadata;
    let mut labels = Labels::default();
    labels.meta("namespace", &meta.namespace);
    labels.meta("endpointslice_address_type", &slice.address_type);
    labels.object("endpointslice", meta);
    let service = meta.labels.get(SERVICE_NAME);
    let service = service.and_then(|name| cluster.services.object(&key(&meta.namespace, name)));
    if let Some(service) = service {
        labels.merge(service_labels(service));
    }
    cluster.add_namespace(&mut labels, &meta.namespace);
    let mut found = Behind::new(cluster);
    if !service.is_some_and(|service| is_second_family(service, slice)) {
        for endpoint in &slice.endpoints {
            for port in &slice.ports {
                for address in &endpoint.addresses {
                    let target = slice_endpoint(address, endpoint, port, cluster);
                    found.add(target, endpoint.target_ref.as_ref(), port.port, None);
                }
            }
        }
    }
    Group {
        source: format!("endpointslice/{}/{}", meta.namespace, meta.name),
        targets: found.finish(),
        labels: labels.pairs(),
    }
}

fn slice_endpoint(address: &str, endpoint: &SliceEndpoint, port: &SlicePort, cluster: &Cluster) -> Labels {
    let address = port.port.map_or_else(|| address.to_owned(), |port| host_port(address, port));
    let mut target = Labels::at(&address);
    target.meta_if("endpointslice_port_name", port.name.as_ref());
    target.meta_if("endpointslice_port_protocol", port.protocol.as_ref());
    target.meta_if("endpointslice_port", port.port.as_ref());
    target.meta_if("endpointslice_port_app_protocol", port.app_protocol.as_ref());
    let conditions = &endpoint.conditions;
    target.meta_if("endpointslice_endpoint_conditions_ready", conditions.ready.as_ref());
    target.meta_if("endpointslice_endpoint_conditions_serving", conditions.serving.as_ref());
    target.meta_if("endpointslice_endpoint_conditions_terminating", conditions.terminating.as_ref());
    target.meta_if("endpointslice_endpoint_hostname", endpoint.hostname.as_ref());
    if let Some(of) = &endpoint.target_ref {
        target.meta("endpointslice_address_target_kind", &of.kind);
        target.meta("endpointslice_address_target_name", &of.name);
    }
    target.meta_if("endpointslice_endpoint_node_name", endpoint.node_name.as_ref());
    target.meta_if("endpointslice_endpoint_zone", endpoint.zone.as_ref());
    for (name, value) in &endpoint.deprecated_topology {
        let name = sanitized(name);
        target.meta(&format!("endpointslice_endpoint_topology_{name}"), value);
        target.meta(&format!("endpointslice_endpoint_topology_present_{name}"), "true");
    }
    match (&endpoint.target_ref, &endpoint.node_name) {
        (Some(of), _) if of.kind == "Node" => cluster.add_node(&mut target, &of.name),
        (_, Some(node)) => cluster.add_node(&mut target, node),
        _ => {}
    }
    target
}

/// Whether a slice is the second of a service with two kinds of addresses: its targets are the first one's again.
fn is_second_family(service: &Service, slice: &EndpointSlice) -> bool {
    let spec = &service.spec;
    let dual = matches!(spec.ip_family_policy.as_deref(), Some("PreferDualStack" | "RequireDualStack"));
    dual && spec.ip_families.first().is_some_and(|first| *first != slice.address_type)
}

/// Targets of addresses, and the pods behind them.
struct Behind<'a> {
    cluster: &'a Cluster,
    targets: Vec<LabelPairs>,
    /// Each pod that was met, with the ports that lead to it.
    pods: BTreeMap<String, (&'a Pod, Vec<i64>)>,
}

impl<'a> Behind<'a> {
    fn new(cluster: &'a Cluster) -> Behind<'a> {
        Behind { cluster, targets: Vec::new(), pods: BTreeMap::new() }
    }

    /// Adds the target of an address with a port; a container's protocol is the port's, or else its own.
    fn add(&mut self, mut target: Labels, of: Option<&TargetRef>, port: Option<i64>, protocol: Option<&str>) {
        let pod = of.filter(|of| of.kind == "Pod").map(|of| key(&of.namespace, &of.name));
        let pod = pod.and_then(|key| self.cluster.pods.object(&key).map(|pod| (key, pod)));
        if let Some((key, pod)) = pod {
            target.pod(pod);
            for (container, is_init) in containers(pod) {
                if let Some(found) = container.ports.iter().find(|c| Some(c.container_port) == port) {
                    let protocol = protocol.unwrap_or(&found.protocol);
                    target.container_port(container, is_init, &found.name, found.container_port, protocol);
                }
            }
            let (_, ports) = self.pods.entry(key).or_insert_with(|| (pod, Vec::new()));
            ports.extend(port);
        }
        self.targets.push(target.pairs());
    }

    /// Adds the ports of the pods that were met, where no address has led to them.
    fn finish(mut self) -> Vec<LabelPairs> {
        for (pod, seen) in self.pods.values() {
            if pod.status.pod_ip.is_empty() {
                continue;
            }
            for (container, is_init) in containers(pod) {
                for port in container.ports.iter().filter(|port| !seen.contains(&port.container_port)) {
                    let number = port.container_port;
                    let mut target = Labels::at(&host_port(&pod.status.pod_ip, number));
                    target.container_port(container, is_init, &port.name, number, &port.protocol);
                    target.pod(pod);
                    self.targets.push(target.pairs());
                }
            }
        }
        self.targets
    }
}

/// Says which service a slice is of.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
