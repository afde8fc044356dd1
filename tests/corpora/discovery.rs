//! Every case of the shared corpora about service discovery.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use tidegate::scrape::discovery::dns::{Dns, Servers};
use tidegate::scrape::discovery::http::is_json;
use tidegate::scrape::discovery::kubernetes::{Cluster, Kind};
use tidegate::scrape::discovery::{groups_from_json, groups_from_yaml};
use tidegate::scrape::{DnsRecord, Group, KubernetesRole};

use super::dns_double::{self, DnsReply, Record, SERVFAIL};
use super::kit::{compare, judge_all};

#[test]
fn every_case_of_the_corpora() {
    judge_all("service_discovery", &[""], 30, |_, case| judge(case));
}

fn judge(case: &Json) -> Result<(), String> {
    let found = match case["kind"].as_str().unwrap() {
        kind @ ("file_sd" | "http_sd") => return judge_groups(kind, case),
        "http_sd_content_type" => {
            let taken = is_json(case["input"].as_str().unwrap());
            return expect(case, if taken { Ok(()) } else { Err("refused".into()) });
        }
        "dns_sd" => dns(&case["input"]),
        kind => kubernetes(kind, case["input"].as_str().unwrap()),
    };
    match found {
        Ok(groups) if case["expect"] == "ok" => {
            let mut found: Vec<_> = groups.iter().flat_map(merged).collect();
            let mut expected: Vec<_> = case["expected"].as_array().unwrap().iter().map(pairs).collect();
            // A label without a value is none.
            found
                .iter_mut()
                .chain(&mut expected)
                .for_each(|labels| labels.retain(|_, value| !value.is_empty()));
            compare(&expected, &found)
        }
        found => expect(case, found.map(drop)),
    }
}

fn expect(case: &Json, found: Result<(), String>) -> Result<(), String> {
    match (case["expect"].as_str().unwrap(), found) {
        ("ok", Ok(())) | ("error", Err(_)) => Ok(()),
        (expect, found) => Err(format!("expected {expect}, got {found:?}")),
    }
}

/// Groups as they are written, without the label that says where they are from.
fn judge_groups(kind: &str, case: &Json) -> Result<(), String> {
    let text = case["input"].as_str().unwrap();
    let name = case["filename"].as_str().unwrap_or("x.json");
    let read =
        if kind == "file_sd" && !name.ends_with(".json") { groups_from_yaml } else { groups_from_json };
    let found = read(text.as_bytes(), "origin", "__meta_origin").map_err(|e| e.to_string());
    let Ok(groups) = found else { return expect(case, found.map(drop)) };
    expect(case, Ok(()))?;
    let written: Vec<Json> = groups
        .iter()
        .map(|group| {
            let mut labels: BTreeMap<_, _> = group.labels.iter().cloned().collect();
            assert_eq!(labels.remove("__meta_origin").as_deref(), Some("origin"));
            let targets: Vec<_> = group.targets.iter().map(|target| target[0].1.clone()).collect();
            json!({"targets": targets, "labels": labels})
        })
        .collect();
    compare(case["expected"].as_array().unwrap(), &written)
}

/// The labels of each target of a group.
fn merged(group: &Group) -> Vec<BTreeMap<String, String>> {
    let targets = group.targets.iter();
    targets.map(|own| group.labels.iter().chain(own).cloned().collect()).collect()
}

fn pairs(labels: &Json) -> BTreeMap<String, String> {
    let labels = labels.as_object().unwrap().iter();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn dns(input: &Json) -> Result<Vec<Group>, String> {
    let reply: DnsReply = match input["answers"].as_array() {
        Some(answers) => Ok(answers.iter().map(record).collect()),
        None => Err(SERVFAIL),
    };
    let server = dns_double::start(move |_, _| reply.clone());
    let config = &input["dns_sd_config"];
    let record = match config["type"].as_str().unwrap_or("SRV") {
        "A" => DnsRecord::A,
        "AAAA" => DnsRecord::Aaaa,
        "MX" => DnsRecord::Mx,
        "NS" => DnsRecord::Ns,
        _ => DnsRecord::Srv,
    };
    let names: Vec<String> =
        config["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let port = config["port"].as_u64().unwrap_or(0) as u16;
    let dns = Dns::new(&names, record, port, Servers::At(vec![server]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    names.iter().map(|name| runtime.block_on(dns.look_up(name))).collect()
}

/// `{"A": "192.0.2.2"}`, `{"MX": ["smtp.example.com.", 10]}`, `{"SRV": ["db.example.com.", 3306]}`
fn record(answer: &Json) -> Record {
    let (kind, data) = answer.as_object().unwrap().iter().next().unwrap();
    let text = |data: &Json| data.as_str().or(data[0].as_str()).unwrap().to_owned();
    match kind.as_str() {
        "A" => Record::A(text(data).parse().unwrap()),
        "AAAA" => Record::Aaaa(text(data).parse().unwrap()),
        "MX" => Record::Mx(text(data)),
        "NS" => Record::Ns(text(data)),
        "CNAME" => Record::Cname(text(data)),
        _ => Record::Srv(data[1].as_u64().unwrap() as u16, text(data)),
    }
}

/// The groups of a list. VictoriaMetrics's cases know one node, and attach its labels to pods.
fn kubernetes(kind: &str, list: &str) -> Result<Vec<Group>, String> {
    let (role, kind) = match kind {
        "node" => (KubernetesRole::Node, Kind::Node),
        "pod" => (KubernetesRole::Pod, Kind::Pod),
        "service" => (KubernetesRole::Service, Kind::Service),
        "endpoints" => (KubernetesRole::Endpoints, Kind::Endpoints),
        "endpointslice" | "endpointslices" => (KubernetesRole::EndpointSlice, Kind::EndpointSlice),
        "ingress" => (KubernetesRole::Ingress, Kind::Ingress),
        other => return Err(format!("unknown kind {other}")),
    };
    let mut cluster = Cluster::new(role, kind == Kind::Pod, false);
    if kind == Kind::Pod {
        let node = json!({"items": [{"metadata": {"name": "test-node", "labels": {"node-label": "xyz"}}}]});
        cluster.load(Kind::Node, &node.to_string())?;
    }
    cluster.load(kind, list)?;
    Ok(cluster.groups())
}
