//! What is known of a cluster: the objects of each kind that is watched, and the groups that they make.
//!
//! Objects of several namespaces lie side by side. A namespace makes groups once everything that is watched in it was
//! listed, so that no target is shown without the labels of its service, its pod or its node.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::scrape::{Group, KubernetesRole};

use super::labels::Labels;
use super::objects::{EndpointSlice, Endpoints, Ingress, List, Meta, Namespace, Node, Pod, Service};
use super::{endpoints, groups};

/// A kind of object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Nodes.
    Node,
    /// Namespaces.
    Namespace,
    /// Services.
    Service,
    /// Pods.
    Pod,
    /// Endpoints of services.
    Endpoints,
    /// Slices of them.
    EndpointSlice,
    /// Ingresses.
    Ingress,
}

/// A cluster, as far as a role needs to know it.
#[derive(Debug)]
pub struct Cluster {
    role: KubernetesRole,
    attach_node: bool,
    attach_namespace: bool,
    nodes: Store<Node>,
    namespaces: Store<Namespace>,
    pub(super) services: Store<Service>,
    pub(super) pods: Store<Pod>,
    endpoints: Store<Endpoints>,
    slices: Store<EndpointSlice>,
    ingresses: Store<Ingress>,
    /// What was not listed yet: a kind, and the namespace that it is watched in.
    missing: BTreeSet<(Kind, Scope)>,
}

/// Where objects are watched: in a namespace, or everywhere.
pub(super) type Scope = Option<String>;

/// The objects of a kind, by namespace and name.
#[derive(Debug)]
pub(super) struct Store<T>(BTreeMap<String, T>);

/// A kind's objects as they are read.
pub(super) trait Object: DeserializeOwned {
    /// Which it is.
    const KIND: Kind;

    /// What every object has.
    fn meta(&self) -> &Meta;

    /// Where a cluster keeps them.
    fn store(cluster: &mut Cluster) -> &mut Store<Self>;
}

impl Cluster {
    /// A cluster of which nothing is known yet.
    pub fn new(role: KubernetesRole, attach_node: bool, attach_namespace: bool) -> Cluster {
        Cluster {
            role,
            attach_node,
            attach_namespace,
            nodes: Store::default(),
            namespaces: Store::default(),
            services: Store::default(),
            pods: Store::default(),
            endpoints: Store::default(),
            slices: Store::default(),
            ingresses: Store::default(),
            missing: BTreeSet::new(),
        }
    }

    /// The kinds that the role needs, those first that are in no namespace.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        if self.attach_node && !matches!(self.role, KubernetesRole::Service | KubernetesRole::Ingress) {
            kinds.push(Kind::Node);
        }
        if self.attach_namespace && self.role != KubernetesRole::Node {
            kinds.push(Kind::Namespace);
        }
        kinds.extend(match self.role {
            KubernetesRole::Node => vec![Kind::Node],
            KubernetesRole::Service => vec![Kind::Service],
            KubernetesRole::Pod => vec![Kind::Pod],
            KubernetesRole::Endpoints => vec![Kind::Service, Kind::Pod, Kind::Endpoints],
            KubernetesRole::EndpointSlice => vec![Kind::Service, Kind::Pod, Kind::EndpointSlice],
            KubernetesRole::Ingress => vec![Kind::Ingress],
        });
        kinds.dedup();
        kinds
    }

    /// Takes a whole list of objects of one kind, as the API server answers it.
    ///
    /// # Errors
    /// What is no such list.
    pub fn load(&mut self, kind: Kind, list: &str) -> Result<(), String> {
        fn take<T: Object>(cluster: &mut Cluster, list: &str) -> Result<(), String> {
            let list: List<T> = serde_json::from_str(list).map_err(|e| e.to_string())?;
            cluster.listed(&None, list.items);
            Ok(())
        }
        match kind {
            Kind::Node => take::<Node>(self, list),
            Kind::Namespace => take::<Namespace>(self, list),
            Kind::Service => take::<Service>(self, list),
            Kind::Pod => take::<Pod>(self, list),
            Kind::Endpoints => take::<Endpoints>(self, list),
            Kind::EndpointSlice => take::<EndpointSlice>(self, list),
            Kind::Ingress => take::<Ingress>(self, list),
        }
    }

    /// The groups of all that is known whole.
    pub fn groups(&self) -> Vec<Group> {
        if self.missing.iter().any(|(kind, _)| kind.is_clusters()) {
            return Vec::new();
        }
        match self.role {
            KubernetesRole::Node => self.nodes.0.values().filter_map(groups::node).collect(),
            KubernetesRole::Service => self.made(&self.services, |service| groups::service(service, self)),
            KubernetesRole::Pod => self.made(&self.pods, |pod| groups::pod(pod, self)),
            KubernetesRole::Endpoints => self.made(&self.endpoints, |e| endpoints::endpoints(e, self)),
            KubernetesRole::EndpointSlice => self.made(&self.slices, |s| endpoints::endpoint_slice(s, self)),
            KubernetesRole::Ingress => self.made(&self.ingresses, |ingress| groups::ingress(ingress, self)),
        }
    }

    /// Whether there is anything that is known whole.
    pub(super) fn is_known(&self, scopes: &[Scope]) -> bool {
        let whole = |scope: &Scope| !self.missing.iter().any(|(_, of)| of == scope);
        !self.missing.iter().any(|(kind, _)| kind.is_clusters()) && scopes.iter().any(whole)
    }

    /// Something will be listed.
    pub(super) fn expect(&mut self, kind: Kind, scope: &Scope) {
        self.missing.insert((kind, scope.clone()));
    }

    /// It was, whole; what was there before and is not now is gone.
    pub(super) fn listed<T: Object>(&mut self, scope: &Scope, objects: Vec<T>) {
        let store = &mut T::store(self).0;
        store.retain(|_, object| scope.as_ref().is_some_and(|scope| object.meta().namespace != *scope));
        store.extend(objects.into_iter().map(|object| (object.meta().key(), object)));
        self.missing.remove(&(T::KIND, scope.clone()));
    }

    /// An object is new, or has changed.
    pub(super) fn put<T: Object>(&mut self, object: T) {
        let key = object.meta().key();
        T::store(self).0.insert(key, object);
    }

    /// An object is gone.
    pub(super) fn remove<T: Object>(&mut self, object: &T) {
        let key = object.meta().key();
        T::store(self).0.remove(&key);
    }

    /// Whether targets on this node are wanted: without its labels, any is.
    pub(super) fn knows_node(&self, name: &str) -> bool {
        !self.attach_node || self.nodes.0.contains_key(name)
    }

    /// Adds the labels and annotations of a node, if they are wanted.
    pub(super) fn add_node(&self, labels: &mut Labels, name: &str) {
        if let Some(node) = self.nodes.object(name).filter(|_| self.attach_node) {
            labels.object("node", &node.metadata);
        }
    }

    /// Adds the labels and annotations of a namespace, if they are wanted.
    pub(super) fn add_namespace(&self, labels: &mut Labels, name: &str) {
        if let Some(namespace) = self.namespaces.object(name).filter(|_| self.attach_namespace) {
            labels.texts("namespace", &namespace.metadata);
        }
    }

    /// The groups of those objects whose namespaces are known whole.
    fn made<T: Object>(&self, store: &Store<T>, group: impl Fn(&T) -> Group) -> Vec<Group> {
        let missing = |namespace: &str| {
            self.missing.iter().any(|(_, scope)| scope.as_ref().is_none_or(|scope| scope == namespace))
        };
        store.0.values().filter(|object| !missing(&object.meta().namespace)).map(group).collect()
    }
}

impl Kind {
    /// Whether such objects are in no namespace.
    pub(super) fn is_clusters(self) -> bool {
        matches!(self, Kind::Node | Kind::Namespace)
    }

    /// The role by which selectors name it; none if there are none for it.
    pub(super) fn role(self) -> Option<KubernetesRole> {
        match self {
            Kind::Node => Some(KubernetesRole::Node),
            Kind::Namespace => None,
            Kind::Service => Some(KubernetesRole::Service),
            Kind::Pod => Some(KubernetesRole::Pod),
            Kind::Endpoints => Some(KubernetesRole::Endpoints),
            Kind::EndpointSlice => Some(KubernetesRole::EndpointSlice),
            Kind::Ingress => Some(KubernetesRole::Ingress),
        }
    }

    /// Where the API server has them, of a namespace or all.
    pub(super) fn path(self, scope: &Scope) -> String {
        let (api, name) = match self {
            Kind::Node => ("/api/v1", "nodes"),
            Kind::Namespace => ("/api/v1", "namespaces"),
            Kind::Service => ("/api/v1", "services"),
            Kind::Pod => ("/api/v1", "pods"),
            Kind::Endpoints => ("/api/v1", "endpoints"),
            Kind::EndpointSlice => ("/apis/discovery.k8s.io/v1", "endpointslices"),
            Kind::Ingress => ("/apis/networking.k8s.io/v1", "ingresses"),
        };
        match scope {
            Some(namespace) => format!("{api}/namespaces/{namespace}/{name}"),
            None => format!("{api}/{name}"),
        }
    }
}

impl<T> Default for Store<T> {
    fn default() -> Store<T> {
        Store(BTreeMap::new())
    }
}

impl<T> Store<T> {
    /// The object of this key.
    pub(super) fn object(&self, key: &str) -> Option<&T> {
        self.0.get(key)
    }
}

macro_rules! objects {
    ($($name:ident in $store:ident),*) => {$(
        impl Object for $name {
            const KIND: Kind = Kind::$name;

            fn meta(&self) -> &Meta {
                &self.metadata
            }

            fn store(cluster: &mut Cluster) -> &mut Store<$name> {
                &mut cluster.$store
            }
        }
    )*};
}

objects! {
    Node in nodes, Namespace in namespaces, Service in services, Pod in pods, Endpoints in endpoints,
    EndpointSlice in slices, Ingress in ingresses
}
