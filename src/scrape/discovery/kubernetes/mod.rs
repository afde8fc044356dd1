//! Targets in a Kubernetes cluster: its objects, listed and watched, and the groups that they make.
//!
//! Comes in: a role, which says what becomes a target, and where the cluster is. Goes out: all groups, whenever some
//! have changed. Keeps: the labels are Prometheus's to the letter; what is known stays while the API server is away.
//! *Not taken:* kube-rs. It is a hundred crates more for two requests, a list and a watch, and for types of which
//! targets need one field in fifty.

mod access;
mod cluster;
mod endpoints;
mod groups;
mod labels;
mod objects;
mod watch;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::warn;

use crate::scrape::{KubernetesOptions, SelectorOptions};

use super::client::Client;
use super::desk::Publisher;
use watch::Watch;

pub use access::{Access, Surroundings};
pub use cluster::{Cluster, Kind};

/// Publishes what is in a cluster, for ever.
pub(super) async fn follow(options: &KubernetesOptions, publisher: &Publisher) {
    let access = loop {
        let around =
            Surroundings { variable: &|name| std::env::var(name).ok(), account: ACCOUNT_FOLDER.into() };
        let (account, found) = (publisher.account(), Access::find(options, &around));
        account.note("the way to the cluster", &found);
        match found {
            Ok(access) => break access,
            Err(why) => {
                account.counts.tries.add(1);
                account.counts.failures.add(1);
                let job = account.job();
                warn!(%job, error = why, "the cluster can't be reached: trying again");
                sleep(ACCESS_PAUSE).await;
            }
        }
    };
    let client = Client::new(access.client.clone());
    let cluster = Cluster::new(options.role, options.attach_node, options.attach_namespace);
    let scopes = scopes(options, &access);
    let kinds = cluster.kinds();
    let cluster = RefCell::new(cluster);
    let changed = Rc::new(Notify::new());
    let mut watches = Vec::new();
    for kind in kinds {
        let everywhere = [None];
        for scope in if kind.is_clusters() { &everywhere[..] } else { &scopes } {
            cluster.borrow_mut().expect(kind, scope);
            let (label_selector, field_selector) = selectors(&options.selectors, kind);
            watches.push(Watch {
                client: &client,
                base: &access.url,
                kind,
                scope: scope.clone(),
                label_selector,
                field_selector,
                cluster: &cluster,
                changed: Rc::clone(&changed),
                account: publisher.account(),
            });
        }
    }
    let following = watches.iter().map(|watch| Box::pin(watch.follow()));
    let watching = together(following.collect());
    let publishing = async {
        loop {
            changed.notified().await;
            let groups = {
                let cluster = cluster.borrow();
                cluster.is_known(&scopes).then(|| cluster.groups())
            };
            if let Some(groups) = groups {
                publisher.publish(groups).await;
            }
            sleep(PUBLISH_PAUSE).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = publishing => {}
    }
}

/// The namespaces to look at, each once; `None` is all.
fn scopes(options: &KubernetesOptions, access: &Access) -> Vec<Option<String>> {
    let mut names = options.namespaces.clone();
    names.extend(access.own_namespace.clone().filter(|_| options.own_namespace));
    names.sort();
    names.dedup();
    if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() }
}

/// The selectors for a kind of objects, by labels and by fields.
fn selectors(all: &[SelectorOptions], kind: Kind) -> (&str, &str) {
    let found = all.iter().find(|selector| Some(selector.role) == kind.role());
    found.map_or(("", ""), |selector| (&selector.label, &selector.field))
}

/// Runs all of them; ends when all have ended, which these never do.
async fn together(mut futures: Vec<impl Future<Output = ()> + Unpin>) {
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| std::pin::Pin::new(future).poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Where a pod finds who it is.
const ACCOUNT_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Between two attempts to find out where the cluster is.
const ACCESS_PAUSE: Duration = Duration::from_secs(5);

/// Between two rounds of making groups: a cluster in which something changes all the time costs no more than that.
const PUBLISH_PAUSE: Duration = Duration::from_millis(200);
