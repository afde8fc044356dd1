use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tidegate::scrape::discovery::dns::{Dns, Servers};
use tidegate::scrape::{DnsRecord, Group};

use super::dns_double::{self, NXDOMAIN, Record, SERVFAIL};

fn look_up(server: SocketAddr, record: DnsRecord, name: &str) -> Result<Group, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dns = Dns::new(&[name.to_owned()], record, 9100, Servers::At(vec![server]));
    runtime.block_on(dns.look_up(name))
}

fn addresses(group: &Group) -> Vec<&str> {
    group.targets.iter().map(|target| value(target, "__address__")).collect()
}

fn value<'a>(target: &'a [(String, String)], name: &str) -> &'a str {
    &target.iter().find(|(known, _)| known == name).unwrap().1
}

#[test]
fn each_record_is_a_target() {
    let server = dns_double::start(|name, kind| match (name, kind) {
        ("web.example.", 1) => {
            Ok(vec![Record::A("192.0.2.2".parse().unwrap()), Record::A("192.0.2.3".parse().unwrap())])
        }
        ("web.example.", 28) => Ok(vec![Record::Aaaa("::1".parse().unwrap())]),
        ("_db._tcp.example.", 33) => Ok(vec![Record::Srv(3306, "db1.example.".into())]),
        ("example.", 2) => Ok(vec![Record::Ns("ns1.example.".into())]),
        ("alias.example.", 5) => Ok(vec![Record::Cname("web.example.".into())]),
        _ => Err(NXDOMAIN),
    });
    let found = |record, name| look_up(server, record, name).unwrap();
    let a = found(DnsRecord::A, "web.example.");
    assert_eq!(addresses(&a), ["192.0.2.2:9100", "192.0.2.3:9100"]);
    assert_eq!(a.source, "web.example.");
    assert_eq!(addresses(&found(DnsRecord::Aaaa, "web.example.")), ["[::1]:9100"]);
    assert_eq!(addresses(&found(DnsRecord::Ns, "example.")), ["ns1.example:9100"]);
    let srv = found(DnsRecord::Srv, "_db._tcp.example.");
    assert_eq!(addresses(&srv), ["db1.example:3306"]);
    let target = &srv.targets[0];
    assert_eq!(value(target, "__meta_dns_srv_record_target"), "db1.example.");
    assert_eq!(value(target, "__meta_dns_srv_record_port"), "3306");
    assert_eq!(value(target, "__meta_dns_name"), "_db._tcp.example.");
}

#[test]
fn no_name_is_no_targets_and_no_answer_is_an_error() {
    let code = Arc::new(Mutex::new(NXDOMAIN));
    let said = Arc::clone(&code);
    let server = dns_double::start(move |_, _| Err(*said.lock().unwrap()));
    assert_eq!(addresses(&look_up(server, DnsRecord::A, "none.example.").unwrap()), [""; 0]);
    *code.lock().unwrap() = SERVFAIL;
    let why = look_up(server, DnsRecord::A, "none.example.").unwrap_err();
    assert!(why.starts_with("could not resolve \"none.example.\": "), "{why}");
}

#[test]
fn a_name_without_records_of_the_type_has_no_targets() {
    let server = dns_double::start(|_, _| Ok(Vec::new()));
    assert_eq!(addresses(&look_up(server, DnsRecord::Mx, "example.").unwrap()), [""; 0]);
}
