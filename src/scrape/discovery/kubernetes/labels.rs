//! Meta labels of objects, by the names that Prometheus gives them.

use std::collections::BTreeMap;

use crate::scrape::LabelPairs;

use super::objects::{Container, Meta, Pod};

/// Labels under construction: a later one of the same name wins.
#[derive(Clone, Default, Debug)]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The labels of a target at this address.
    pub(super) fn at(address: &str) -> Labels {
        Labels(BTreeMap::from([("__address__".to_owned(), address.to_owned())]))
    }

    /// Sets `__meta_kubernetes_<name>`.
    pub(super) fn meta(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(format!("__meta_kubernetes_{name}"), value.into());
    }

    /// The same, if there is a value.
    pub(super) fn meta_if<T: ToString>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.meta(name, value.to_string());
        }
    }

    /// Sets a label as it is named.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// An object's name, labels and annotations, as a `role`'s.
    pub(super) fn object(&mut self, role: &str, meta: &Meta) {
        self.meta(&format!("{role}_name"), &meta.name);
        self.texts(role, meta);
    }

    /// An object's labels and annotations.
    pub(super) fn texts(&mut self, role: &str, meta: &Meta) {
        for (kind, texts) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
            for (name, value) in texts {
                let name = sanitized(name);
                self.meta(&format!("{role}_{kind}_{name}"), value);
                self.meta(&format!("{role}_{kind}present_{name}"), "true");
            }
        }
    }

    /// What is said of a pod, whichever of its containers a target is of.
    pub(super) fn pod(&mut self, pod: &Pod) {
        let ready = pod.status.conditions.iter().find(|condition| condition.kind == "Ready");
        let ready = ready.map_or("Unknown", |condition| &condition.status);
        self.meta("pod_ip", &pod.status.pod_ip);
        self.meta("pod_ready", ready.to_lowercase());
        self.meta("pod_phase", &pod.status.phase);
        self.meta("pod_node_name", &pod.spec.node_name);
        self.meta("pod_host_ip", &pod.status.host_ip);
        self.meta("pod_uid", &pod.metadata.uid);
        self.object("pod", &pod.metadata);
        if let Some(owner) = pod.metadata.controller() {
            for (name, value) in [("pod_controller_kind", &owner.kind), ("pod_controller_name", &owner.name)]
            {
                self.meta_if(name, Some(value).filter(|value| !value.is_empty()));
            }
        }
    }

    /// A port of one of a pod's containers.
    pub(super) fn container_port(
        &mut self,
        container: &Container,
        is_init: bool,
        name: &str,
        number: i64,
        protocol: &str,
    ) {
        self.meta("pod_container_name", &container.name);
        self.meta("pod_container_image", &container.image);
        self.meta("pod_container_port_name", name);
        self.meta("pod_container_port_number", number.to_string());
        self.meta("pod_container_port_protocol", protocol);
        self.meta("pod_container_init", is_init.to_string());
    }

    /// Takes over all of another's labels.
    pub(super) fn merge(&mut self, other: Labels) {
        self.0.extend(other.0);
    }

    pub(super) fn pairs(self) -> LabelPairs {
        self.0.into_iter().collect()
    }
}

/// The containers of a pod, and whether each runs only at its start.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let lasting = pod.spec.containers.iter().map(|container| (container, false));
    lasting.chain(pod.spec.init_containers.iter().map(|container| (container, true)))
}

/// A name as a part of a label's name: what labels can't have is an underscore.
pub(super) fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// Host and port; addresses with colons in brackets.
pub(super) fn host_port(host: &str, port: i64) -> String {
    if host.contains(':') || host.contains('%') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
