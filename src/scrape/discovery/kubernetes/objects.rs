//! The API server's objects, as far as targets are made of them.
//!
//! A field that is missing or null is empty: Go's encoder writes both for the same.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// What every object has.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) owner_references: Vec<Owner>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: Option<bool>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Namespace {
    pub(super) metadata: Meta,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Node {
    pub(super) metadata: Meta,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeSpec {
    #[serde(rename = "providerID")]
    pub(super) provider_id: String,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeStatus {
    #[serde(deserialize_with = "nullable")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "nullable")]
    pub(super) addresses: Vec<NodeAddress>,
    pub(super) daemon_endpoints: DaemonEndpoints,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DaemonEndpoints {
    pub(super) kubelet_endpoint: DaemonEndpoint,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct DaemonEndpoint {
    #[serde(rename = "Port")]
    pub(super) port: i64,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Service {
    pub(super) metadata: Meta,
    pub(super) spec: ServiceSpec,
    pub(super) status: ServiceStatus,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
    pub(super) external_name: String,
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: Vec<ServicePort>,
    pub(super) ip_family_policy: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ip_families: Vec<String>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct ServicePort {
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) port: i64,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceStatus {
    pub(super) load_balancer: LoadBalancer,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct LoadBalancer {
    #[serde(deserialize_with = "nullable")]
    pub(super) ingress: Vec<LoadBalancerIngress>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct LoadBalancerIngress {
    pub(super) ip: String,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: Meta,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "nullable")]
    pub(super) init_containers: Vec<Container>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub(super) name: String,
    pub(super) container_port: i64,
    pub(super) protocol: String,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: String,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: String,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "nullable")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "nullable")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(rename = "containerID")]
    pub(super) container_id: String,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Endpoints {
    pub(super) metadata: Meta,
    #[serde(deserialize_with = "nullable")]
    pub(super) subsets: Vec<Subset>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Subset {
    #[serde(deserialize_with = "nullable")]
    pub(super) addresses: Vec<EndpointAddress>,
    #[serde(deserialize_with = "nullable")]
    pub(super) not_ready_addresses: Vec<EndpointAddress>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EndpointAddress {
    pub(super) ip: String,
    pub(super) hostname: String,
    pub(super) node_name: Option<String>,
    pub(super) target_ref: Option<TargetRef>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct TargetRef {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    pub(super) metadata: Meta,
    pub(super) address_type: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) endpoints: Vec<SliceEndpoint>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ports: Vec<SlicePort>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SliceEndpoint {
    #[serde(deserialize_with = "nullable")]
    pub(super) addresses: Vec<String>,
    pub(super) conditions: SliceConditions,
    pub(super) hostname: Option<String>,
    pub(super) target_ref: Option<TargetRef>,
    pub(super) node_name: Option<String>,
    pub(super) zone: Option<String>,
    // The beta version of the API had it under the other name.
    #[serde(deserialize_with = "nullable", alias = "topology")]
    pub(super) deprecated_topology: BTreeMap<String, String>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct SliceConditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SlicePort {
    pub(super) name: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) port: Option<i64>,
    pub(super) app_protocol: Option<String>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct Ingress {
    pub(super) metadata: Meta,
    pub(super) spec: IngressSpec,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct IngressSpec {
    pub(super) ingress_class_name: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) tls: Vec<IngressTls>,
    #[serde(deserialize_with = "nullable")]
    pub(super) rules: Vec<IngressRule>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct IngressTls {
    #[serde(deserialize_with = "nullable")]
    pub(super) hosts: Vec<String>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct IngressRule {
    pub(super) host: String,
    pub(super) http: Option<IngressHttp>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct IngressHttp {
    #[serde(deserialize_with = "nullable")]
    pub(super) paths: Vec<IngressPath>,
}

#[derive(Deserialize, Clone, Default, Debug)]
#[serde(default)]
pub(super) struct IngressPath {
    pub(super) path: String,
}

/// A page of a list of objects.
#[derive(Deserialize, Debug)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct List<T> {
    #[serde(default)]
    pub(super) metadata: ListMeta,
    #[serde(deserialize_with = "nullable", default = "Vec::new")]
    pub(super) items: Vec<T>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) more: String,
}

/// A line of a watch.
#[derive(Deserialize, Debug)]
pub(super) struct Event<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    #[serde(borrow)]
    pub(super) object: &'a serde_json::value::RawValue,
}

/// What a watch needs to know of any object: a bookmark has nothing else.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Versioned {
    pub(super) metadata: Version,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) resource_version: String,
}

/// Why the API server refuses.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) message: String,
}

impl Meta {
    /// By what an object is found among those of its kind: its namespace, if it has one, and its name.
    pub(super) fn key(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { key(&self.namespace, &self.name) }
    }

    /// What made this object and cares for it.
    pub(super) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }
}

/// By what an object of a namespace is found.
pub(super) fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

fn nullable<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}
