//! The whole way: options in, a report out, against servers that tests make up.

use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;

use super::fake::{NO_CONTENT, answer_of, serve};
use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn args(to: &[String], line: &str) -> BenchArgs {
    let to = to.iter().flat_map(|to| ["--to", to]);
    Cli::try_parse_from(["bench"].into_iter().chain(to).chain(line.split_whitespace())).unwrap().bench
}

/// Says it is tidegate, and counts `lost` samples less than it is sent in each request.
fn tidegate(lost: u64) -> http::Server {
    let taken = AtomicU64::new(0);
    let (server, _) = serve(move |request| {
        if request.path != "/metrics" {
            assert_eq!(request.path, "/write?precision=ns");
            taken.fetch_add(request.lines * 10 - lost, Ordering::Relaxed);
            return Some(NO_CONTENT.to_owned());
        }
        let taken = taken.load(Ordering::Relaxed);
        let text = format!(
            "tidegate_build_info{{version=\"9.9\"}} 1\ntidegate_log_bytes {}\n\
             tidegate_samples_accepted_total{{protocol=\"influx\"}} {taken}\n",
            taken * 2
        );
        Some(answer_of("200 OK", &text))
    });
    server
}

fn influxdb() -> http::Server {
    let points = AtomicU64::new(0);
    let (server, _) = serve(move |request| match request.path.as_str() {
        "/ping" => Some("HTTP/1.1 204 No Content\r\nX-Influxdb-Version: 1.6.7\r\n\r\n".to_owned()),
        "/write?db=bench" => {
            points.fetch_add(request.lines, Ordering::Relaxed);
            Some(NO_CONTENT.to_owned())
        }
        "/debug/vars" => {
            let points = points.load(Ordering::Relaxed);
            Some(answer_of("200 OK", &format!(r#"{{"write":{{"values":{{"pointReq":{points}}}}}}}"#)))
        }
        "/query?q=CREATE+DATABASE+bench" => Some(answer_of("200 OK", "{}")),
        _ => Some(answer_of("404 Not Found", "")),
    });
    server
}

const SMALL: &str = "--series 10 --batch 10 --samples 1000 --connections 2 --runs 3";

#[test]
fn servers_are_recognized_measured_and_verified() {
    let to = [tidegate(0).url(), influxdb().url()];
    let report = measure(&args(&to, SMALL)).unwrap();
    assert_eq!((report.failure(), report.warnings()), (None, vec![]));
    let json = report.json();
    for (target, name) in json["targets"].as_array().unwrap().iter().zip(["tidegate 9.9", "InfluxDB 1.6.7"]) {
        assert_eq!(target["name"], name);
        assert_eq!(target["verified"], true);
        assert_eq!(target["samples_accepted"], 1000);
        assert_eq!(target["statuses"]["204"], 30);
        assert_eq!(target["runs"].as_array().unwrap().len(), 3);
        assert!(target["p99_ms"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(json["targets"][0]["bytes_per_sample_live"], 2.0);
    let table = report.table();
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(table.contains("3 runs, medians") && !table.contains("CPU s/M  peak MB"), "{table}");
}

#[test]
fn a_server_that_counts_less_than_it_acknowledged_is_found_out() {
    let report = measure(&args(&[tidegate(1).url()], SMALL)).unwrap();
    assert!(report.failure().unwrap().contains("counted other samples"));
    assert_eq!(report.json()["targets"][0]["verified"], false);
    assert!(
        report.warnings()[0].contains("acknowledged 1000 samples but counts 990"),
        "{:?}",
        report.warnings()
    );
}

#[test]
fn a_server_that_is_lost_costs_the_others_no_result() {
    let requests = AtomicU64::new(0);
    // It lives through one run of three and what is asked before the second.
    let (lost, _) = serve(move |request| match request.path.as_str() {
        "/write" if requests.fetch_add(1, Ordering::Relaxed) >= 10 => Some("gone\r\n\r\n".to_owned()),
        "/write" => Some(NO_CONTENT.to_owned()),
        _ => Some(answer_of("404 Not Found", "")),
    });
    let to = [format!("{}/write", lost.url()), tidegate(0).url()];
    let report = measure(&args(&to, SMALL)).unwrap();
    let json = report.json();
    let runs = |target: usize| json["targets"][target]["runs"].as_array().unwrap().len();
    assert_eq!((runs(0), runs(1)), (1, 3));
    assert_eq!((&json["targets"][1]["verified"], &json["targets"][1]["error"]), (&true.into(), &().into()));
    let address = lost.url().replace("http://", "");
    assert!(json["targets"][0]["error"].as_str().unwrap().starts_with(&address), "{json}");
    assert!(report.failure().unwrap().contains(&address));
    assert!(report.warnings()[0].ends_with("of its runs before, 1"), "{:?}", report.warnings());
}

#[test]
fn a_server_that_takes_nothing_is_no_success() {
    let (server, _) = serve(|request| match request.path.as_str() {
        "/write" => Some(answer_of("503 Service Unavailable", "busy")),
        _ => Some(answer_of("404 Not Found", "")),
    });
    let report = measure(&args(&[format!("{}/write", server.url())], SMALL)).unwrap();
    assert!(report.failure().unwrap().contains("took no sample"));
    assert_eq!(report.json()["targets"][0]["statuses"]["503"], 30);
}

#[test]
fn json_has_the_keys_that_scripts_rely_on() {
    let json = measure(&args(&[tidegate(0).url()], SMALL)).unwrap().json();
    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&json), "machine targets workload");
    assert_eq!(keys(&json["machine"]), "cores cpu disk_probe_ms file_system");
    assert_eq!(
        keys(&json["workload"]),
        "batch connections duration_seconds encoding order protocol rate runs samples samples_per_line seed series \
         values workload"
    );
    let figures = "bytes_per_sample_allocated bytes_per_sample_length bytes_per_sample_live cpu_seconds_per_million \
         disk_backend disk_probe_ms error generator_cpu_seconds_per_million max_ms memory_peak_bytes name p50_ms \
         p99_disk_multiple p99_ms runs samples_accepted samples_counted samples_per_second samples_rejected seconds \
         server statuses url verified version";
    assert_eq!(keys(&json["targets"][0]), figures);
}

#[test]
fn a_server_that_is_not_there_is_one_line_and_exit_code_1() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = args(&[format!("http://{free}")], SMALL);
    let Err(e) = measure(&args) else { panic!("measured nobody") };
    assert!(e.to_string().starts_with(&free.to_string()) && !e.to_string().contains('\n'), "{e}");
    assert!(matches!(run(args), Err(Failure::Failed(_))));
}

#[test]
fn a_process_or_directory_that_is_not_there_is_named() {
    let url = tidegate(0).url();
    for (to, name) in
        [(format!("{url},pid=4194305"), "4194305"), (format!("{url},data=/nowhere"), "/nowhere")]
    {
        let Err(e) = measure(&args(&[to], SMALL)) else { panic!("measured {name}") };
        assert!(e.to_string().contains(name), "{e}");
    }
}
