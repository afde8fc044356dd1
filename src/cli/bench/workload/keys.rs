//! Measurements, tags and field names of each workload. A series' tags are a function of its number alone.

use std::io::Write;

use crate::cli::bench::args::Workload;
use crate::cli::bench::random::mix;

/// Writes measurement and tags of a series; returns where the digits of its generation start, if it has them.
pub(super) fn write_key(workload: Workload, series: u32, out: &mut Vec<u8>) -> Option<usize> {
    match workload {
        Workload::TsbsCpu => write_cpu(series, out),
        Workload::Churn => {
            write_cpu(series, out);
            out.extend_from_slice(b",pod=");
            let start = out.len();
            out.extend_from_slice(&[b'0'; GENERATION_DIGITS]);
            return Some(start);
        }
        Workload::Single => {
            let zone = b'a' + (mix(u64::from(series)) % 3) as u8;
            put(out, format_args!("http_requests,pod=web-{series:07},zone={}", char::from(zone)));
        }
        Workload::Prom => write_prom(series, out),
        Workload::Wide => {
            let site = mix(u64::from(series)) % 12;
            put(out, format_args!("plant,machine=m{series:05},site=s{site:02},line=l{}", series % 8));
        }
        Workload::Events => {
            let hash = mix(u64::from(series));
            let level = pick(LEVELS, hash);
            let service = pick(SERVICES, hash >> 16);
            put(out, format_args!("event,host=host_{series},service={service},level={level}"));
        }
    }
    None
}

/// The fields of a workload of numbers, each as the line says it: name and equals sign.
pub(super) fn field_texts(workload: Workload) -> Vec<Vec<u8>> {
    let text = |name: &str| format!("{name}=").into_bytes();
    match workload {
        Workload::TsbsCpu | Workload::Churn => CPU_FIELDS.iter().map(|name| text(name)).collect(),
        Workload::Single | Workload::Prom => vec![text("value")],
        Workload::Wide => (0..WIDE_FIELDS).map(|field| text(&format!("sensor_{field:03}"))).collect(),
        Workload::Events => Vec::new(),
    }
}

/// Ten tags, as the hosts of the Time Series Benchmark Suite have them.
fn write_cpu(host: u32, out: &mut Vec<u8>) {
    let hash = mix(u64::from(host));
    let region = pick(REGIONS, hash);
    let zone = char::from(b'a' + (hash >> 8) as u8 % 3);
    let rack = (hash >> 16) % 100;
    let os = pick(SYSTEMS, hash >> 24);
    let arch = pick(&["x64", "x86"], hash >> 32);
    let team = pick(&["SF", "NYC", "LON", "CHI"], hash >> 36);
    let (service, version) = ((hash >> 40) % 20, (hash >> 48) % 2);
    let environment = pick(&["production", "staging", "test"], hash >> 52);
    put(
        out,
        format_args!(
            "cpu,hostname=host_{host},region={region},datacenter={region}{zone},rack={rack},os={os},arch={arch},\
             team={team},service={service},service_version={version},service_environment={environment}"
        ),
    );
}

/// One sample of a target's page: what the Prometheus world's exporters look like as lines.
fn write_prom(series: u32, out: &mut Vec<u8>) {
    let (target, sample) = (series / PROM_SAMPLES_PER_TARGET, series % PROM_SAMPLES_PER_TARGET);
    let name = pick(PROM_NAMES, u64::from(sample / PROM_DEVICES));
    let device = sample % PROM_DEVICES;
    let set = sample / (PROM_DEVICES * PROM_NAMES.len() as u32);
    put(
        out,
        format_args!(
            "{name},cluster=eu-1,device=dev{device},instance=10.0.{}.{}:9100,job=node,mode=m{set}",
            target / 256,
            target % 256,
        ),
    );
}

fn pick(choices: &[&'static str], number: u64) -> &'static str {
    choices[(number % choices.len() as u64) as usize]
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a Vec does not fail");
}

pub(super) const GENERATION_DIGITS: usize = 10;
const WIDE_FIELDS: usize = 200;
const PROM_SAMPLES_PER_TARGET: u32 = 1_500;
const PROM_DEVICES: u32 = 16;

const CPU_FIELDS: &[&str] = &[
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];
const REGIONS: &[&str] = &[
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
];
const SYSTEMS: &[&str] = &["Ubuntu15.10", "Ubuntu16.10", "Ubuntu16.04LTS"];
const LEVELS: &[&str] = &["info", "info", "info", "warn", "error"];
const SERVICES: &[&str] = &["checkout", "search", "login", "mail", "billing"];
const PROM_NAMES: &[&str] = &[
    "node_cpu_seconds_total",
    "node_disk_io_time_seconds_total",
    "node_disk_read_bytes_total",
    "node_disk_written_bytes_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_memory_Active_bytes",
    "node_memory_Cached_bytes",
    "node_netstat_Tcp_InSegs",
    "node_netstat_Tcp_OutSegs",
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_vmstat_pgfault",
    "node_vmstat_pgmajfault",
];
