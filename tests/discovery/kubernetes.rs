use std::fs;

use serde_json::{Value as Json, json};
use tidegate::scrape::{
    Authorization, ClientOptions, Credential, Discovery, KubernetesOptions, KubernetesRole, SelectorOptions,
};

use super::api_server::ApiServer;
use super::harness::{Finding, kubernetes, label, wait_until};

fn options(server: &ApiServer, role: KubernetesRole) -> KubernetesOptions {
    kubernetes(server.url(), role)
}

fn by(options: KubernetesOptions) -> Finding {
    Finding::by(Discovery::Kubernetes(options))
}

fn pod(namespace: &str, name: &str, ip: &str) -> Json {
    json!({
        "metadata": {
            "name": name, "namespace": namespace, "uid": format!("uid-{name}"),
            "labels": {"app.kubernetes.io/name": name, "tier": namespace}, "annotations": null,
            "ownerReferences": [{"kind": "ReplicaSet", "name": "rs", "controller": true}],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "c", "image": "i", "ports": [{"name": "web", "containerPort": 80, "protocol": "TCP"}]}],
            "initContainers": [{"name": "init", "image": "j"}],
        },
        "status": {
            "phase": "Running", "podIP": ip, "hostIP": "10.1.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "c", "containerID": "docker://1"}],
        },
    })
}

#[test]
fn pods_are_listed_in_pages_and_watched() {
    let server = ApiServer::start();
    for n in 1..=5 {
        server.put("pods", pod("a", &format!("p{n}"), &format!("10.0.0.{n}")));
    }
    let mut finding = by(options(&server, KubernetesRole::Pod));
    // A port, and a container without ports, of each.
    finding.wait_for_count(10);
    let target = &finding.targets()[0];
    for (name, value) in [
        ("__address__", "10.0.0.1:80"),
        ("__meta_kubernetes_namespace", "a"),
        ("__meta_kubernetes_pod_name", "p1"),
        ("__meta_kubernetes_pod_label_app_kubernetes_io_name", "p1"),
        ("__meta_kubernetes_pod_labelpresent_app_kubernetes_io_name", "true"),
        ("__meta_kubernetes_pod_controller_kind", "ReplicaSet"),
        ("__meta_kubernetes_pod_controller_name", "rs"),
        ("__meta_kubernetes_pod_container_name", "c"),
        ("__meta_kubernetes_pod_container_id", "docker://1"),
        ("__meta_kubernetes_pod_container_init", "false"),
        ("__meta_kubernetes_pod_container_port_name", "web"),
        ("__meta_kubernetes_pod_container_port_number", "80"),
        ("__meta_kubernetes_pod_ready", "true"),
        ("__meta_kubernetes_pod_node_name", "n1"),
        ("__meta_kubernetes_pod_uid", "uid-p1"),
    ] {
        assert_eq!(label(target, name).as_deref(), Some(value), "{name}");
    }
    let init = &finding.targets()[1];
    assert_eq!(label(init, "__address__").as_deref(), Some("10.0.0.1"));
    assert_eq!(init.address, "10.0.0.1:80", "the port that its scheme has");

    for n in 2..=5 {
        server.delete("pods", &format!("a/p{n}"));
    }
    server.put("pods", pod("a", "p1", "10.0.0.9"));
    finding.wait_for(&["10.0.0.9:80", "10.0.0.9:80"]);
    // One that is evicted has no address, and no targets.
    server.put("pods", pod("a", "p1", ""));
    finding.wait_for(&[]);
    assert_eq!(finding.counts("kubernetes").1, 0, "nothing has failed");
}

#[test]
fn a_watch_goes_on_where_it_broke_off() {
    let server = ApiServer::start();
    server.put("nodes", node("n1", "10.1.0.1"));
    let mut finding = by(options(&server, KubernetesRole::Node));
    finding.wait_for(&["10.1.0.1:10250"]);
    server.wait_for_watches(1);
    let told = server.bookmark("nodes");
    server.put("services", json!({"metadata": {"name": "of another kind", "namespace": "x"}}));
    // The bookmark is taken when what comes after it is.
    server.put("nodes", node("n2", "10.1.0.2"));
    finding.wait_for(&["10.1.0.1:10250", "10.1.0.2:10250"]);

    let lists = || server.seen().iter().filter(|request| !request.target.contains("watch=1")).count();
    let before = lists();
    server.disconnect();
    wait_until("it watches again", || server.seen().iter().filter_map(|r| version(&r.target)).count() == 2);
    server.put("nodes", node("n3", "10.1.0.3"));
    finding.wait_for(&["10.1.0.1:10250", "10.1.0.2:10250", "10.1.0.3:10250"]);
    assert_eq!(lists(), before, "nothing is listed again");
    let versions: Vec<u64> = server.seen().iter().filter_map(|r| version(&r.target)).collect();
    assert_eq!(versions.last(), Some(&(told + 2)), "{versions:?}");
}

/// The version that a watch goes on from.
fn version(target: &str) -> Option<u64> {
    target.split(['?', '&']).find_map(|pair| pair.strip_prefix("resourceVersion="))?.parse().ok()
}

fn node(name: &str, ip: &str) -> Json {
    json!({
        "metadata": {"name": name, "labels": {"zone": "z1"}},
        "spec": {"providerID": "aws:///i-1"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": ip},
                {"type": "InternalIP", "address": "fd00::1"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    })
}

#[test]
fn a_bookmark_moves_a_watch_that_nothing_happens_to() {
    let server = ApiServer::start();
    server.put("nodes", node("n1", "10.1.0.1"));
    let mut finding = by(options(&server, KubernetesRole::Node));
    finding.wait_for(&["10.1.0.1:10250"]);
    server.wait_for_watches(1);
    let told = server.bookmark("nodes");
    server.disconnect();
    let last = || server.seen().iter().filter_map(|r| version(&r.target)).next_back();
    wait_until("it goes on from the bookmark", || last() == Some(told));
}

#[test]
fn what_is_too_old_is_listed_again() {
    for as_status in [true, false] {
        let server = ApiServer::start();
        server.put("nodes", node("n1", "10.1.0.1"));
        server.put("nodes", node("n2", "10.1.0.2"));
        let mut finding = by(options(&server, KubernetesRole::Node));
        finding.wait_for(&["10.1.0.1:10250", "10.1.0.2:10250"]);
        server.wait_for_watches(1);
        server.disconnect();
        server.delete("nodes", "n1");
        server.forget(as_status);
        server.disconnect();
        finding.wait_for(&["10.1.0.2:10250"]);
        server.put("nodes", node("n3", "10.1.0.3"));
        finding.wait_for(&["10.1.0.2:10250", "10.1.0.3:10250"]);
    }
}

#[test]
fn a_server_that_refuses_takes_nothing_away() {
    let server = ApiServer::start();
    server.put("nodes", node("n1", "10.1.0.1"));
    let mut finding = by(options(&server, KubernetesRole::Node));
    finding.wait_for(&["10.1.0.1:10250"]);
    server.wait_for_watches(1);
    server.refuse(Some(500));
    server.disconnect();
    finding.wait_for_failures("kubernetes", 3);
    assert_eq!(finding.unseen(), 0);
    server.refuse(None);
    server.put("nodes", node("n2", "10.1.0.2"));
    finding.wait_for(&["10.1.0.1:10250", "10.1.0.2:10250"]);
}

#[test]
fn endpoints_bring_the_labels_of_service_pod_node_and_namespace() {
    let server = ApiServer::start();
    server.put("namespaces", json!({"metadata": {"name": "a", "annotations": {"team": "x"}}}));
    server.put("nodes", node("n1", "10.1.0.1"));
    server.put("pods", pod("a", "p1", "10.0.0.1"));
    let service = |app: &str| json!({"metadata": {"name": "web", "namespace": "a", "labels": {"app": app}}});
    server.put("services", service("shop"));
    server.put(
        "endpointslices",
        json!({
            "metadata": {"name": "web-1", "namespace": "a", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true}, "nodeName": "n1",
                "targetRef": {"kind": "Pod", "namespace": "a", "name": "p1"}, "zone": "z1",
            }],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }),
    );
    server.put(
        "endpoints",
        json!({
            "metadata": {"name": "web", "namespace": "a"},
            "subsets": [{
                "addresses": [{"ip": "10.0.0.1", "nodeName": "n1",
                    "targetRef": {"kind": "Pod", "namespace": "a", "name": "p1"}}],
                "notReadyAddresses": [{"ip": "10.0.0.2"}],
                "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            }],
        }),
    );
    let attached =
        |role| KubernetesOptions { attach_node: true, attach_namespace: true, ..options(&server, role) };

    let mut slices = by(attached(KubernetesRole::EndpointSlice));
    // The port of the container that no service leads to is found, too.
    slices.wait_for(&["10.0.0.1:80", "10.0.0.1:8080"]);
    let target = &slices.targets()[0];
    for (name, value) in [
        ("__meta_kubernetes_endpointslice_name", "web-1"),
        ("__meta_kubernetes_endpointslice_address_type", "IPv4"),
        ("__meta_kubernetes_endpointslice_endpoint_conditions_ready", "true"),
        ("__meta_kubernetes_endpointslice_endpoint_zone", "z1"),
        ("__meta_kubernetes_endpointslice_port_name", "http"),
        ("__meta_kubernetes_service_label_app", "shop"),
        ("__meta_kubernetes_pod_name", "p1"),
        ("__meta_kubernetes_node_label_zone", "z1"),
        ("__meta_kubernetes_namespace_annotation_team", "x"),
    ] {
        assert_eq!(label(target, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(label(&slices.targets()[1], "__meta_kubernetes_pod_container_name").as_deref(), Some("c"));

    let mut endpoints = by(attached(KubernetesRole::Endpoints));
    endpoints.wait_for(&["10.0.0.1:80", "10.0.0.2:80"]);
    let target = &endpoints.targets()[0];
    assert_eq!(label(target, "__meta_kubernetes_endpoint_ready").as_deref(), Some("true"));
    assert_eq!(label(target, "__meta_kubernetes_pod_container_port_name").as_deref(), Some("web"));

    // What hangs on a service changes with it.
    server.put("services", service("cart"));
    endpoints.wait_for_label("__meta_kubernetes_service_label_app", "cart");
    slices.wait_for_label("__meta_kubernetes_service_label_app", "cart");
}

#[test]
fn selectors_and_namespaces_are_the_servers_to_apply() {
    let server = ApiServer::start();
    for (namespace, name, ip) in [("a", "p1", "10.0.0.1"), ("b", "p2", "10.0.0.2"), ("c", "p3", "10.0.0.3")] {
        server.put("pods", pod(namespace, name, ip));
    }
    let selector = SelectorOptions {
        role: KubernetesRole::Pod,
        label: "tier=b".into(),
        field: "status.phase=Running".into(),
    };
    let selected = KubernetesOptions {
        namespaces: vec!["a".into(), "b".into()],
        selectors: vec![selector],
        ..options(&server, KubernetesRole::Pod)
    };
    by(selected).wait_for(&["10.0.0.2:80", "10.0.0.2:80"]);
    let lists: Vec<String> = server.seen().iter().map(|request| request.target.clone()).collect();
    for namespace in ["a", "b"] {
        let list = format!(
            "/api/v1/namespaces/{namespace}/pods?limit=500&labelSelector=tier%3Db&fieldSelector=status.phase%3DRunning"
        );
        assert!(lists.contains(&list), "{lists:?}");
    }

    let both = KubernetesOptions {
        namespaces: vec!["a".into(), "c".into()],
        ..options(&server, KubernetesRole::Pod)
    };
    let mut finding = by(both);
    finding.wait_for(&["10.0.0.1:80", "10.0.0.1:80", "10.0.0.3:80", "10.0.0.3:80"]);
    server.delete("pods", "c/p3");
    finding.wait_for(&["10.0.0.1:80", "10.0.0.1:80"]);
}

#[test]
fn a_kubeconfig_leads_to_the_cluster() {
    let server = ApiServer::start();
    server.put(
        "services",
        json!({"metadata": {"name": "web", "namespace": "a"}, "spec": {"type": "LoadBalancer",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "x"}, {"ip": "192.0.2.2"}]}}}),
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "abc\n").unwrap();
    let path = folder.path().join("config");
    let url = server.url();
    let text = format!(
        "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{url}/'}}}}]\nusers: [{{name: u, user: {{tokenFile: token}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    let options = KubernetesOptions {
        api_server: None,
        kubeconfig: Some(path),
        ..options(&server, KubernetesRole::Service)
    };
    let mut finding = by(options);
    finding.wait_for(&["web.a.svc:80"]);
    let ips = label(&finding.targets()[0], "__meta_kubernetes_service_loadbalancer_ip");
    assert_eq!(ips.as_deref(), Some("192.0.2.1,192.0.2.2"));
    assert_eq!(server.seen()[0].header("authorization"), Some("Bearer abc"));
}

#[test]
fn ingresses_have_a_target_for_each_path() {
    let server = ApiServer::start();
    server.put(
        "ingresses",
        json!({"metadata": {"name": "i", "namespace": "a"}, "spec": {
        "ingressClassName": "nginx", "tls": [{"hosts": ["*.example.com"]}],
        "rules": [
            {"host": "a.example.com", "http": {"paths": [{"path": "/x"}, {}]}},
            {"host": "other.org"},
        ]}}),
    );
    let authorization =
        Authorization { kind: "Bearer".into(), credentials: Some(Credential::Text("t".into())) };
    let client = ClientOptions { authorization: Some(authorization), ..ClientOptions::default() };
    let mut finding = by(KubernetesOptions { client, ..options(&server, KubernetesRole::Ingress) });
    finding.wait_for_count(2);
    let said = |target, name: &str| label(target, &format!("__meta_kubernetes_ingress_{name}")).unwrap();
    let targets: Vec<[String; 3]> =
        finding.targets().iter().map(|t| ["scheme", "host", "path"].map(|name| said(t, name))).collect();
    // Host and path are in meta labels alone: without rules, the two paths of a host are one target.
    assert_eq!(
        targets,
        [["https", "a.example.com", "/x"], ["http", "other.org", "/"]].map(|t| t.map(String::from))
    );
    assert_eq!(server.seen()[0].header("authorization"), Some("Bearer t"));
}
