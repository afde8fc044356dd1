//! What a job is that says nothing but its name: Prometheus's defaults.

use std::sync::Arc;
use std::time::Duration;

use crate::relabel::{NameValidation, Rules};

use super::{BodyLimits, ClientOptions, Histograms, Job, NameEscaping, Scheme, ScrapeProtocol};

impl Job {
    /// A job of this name that finds nothing.
    pub fn new(name: &str) -> Job {
        Job {
            name: name.to_owned(),
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            scheme: Scheme::Http,
            metrics_path: "/metrics".to_owned(),
            params: Vec::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            protocols: vec![
                ScrapeProtocol::OpenMetricsText1_0_0,
                ScrapeProtocol::OpenMetricsText0_0_1,
                ScrapeProtocol::PrometheusText1_0_0,
                ScrapeProtocol::PrometheusText0_0_4,
            ],
            fallback_protocol: None,
            compression: true,
            limits: BodyLimits::default(),
            histograms: Histograms {
                native: false,
                classic_too: false,
                convert_classic: false,
                buckets_max: 0,
                bucket_factor_min: 0.0,
            },
            names: NameValidation::Utf8,
            escaping: NameEscaping::AllowUtf8,
            extra_metrics: false,
            client: ClientOptions::default(),
            relabel: Arc::new(Rules::default()),
            metric_relabel: Arc::new(Rules::default()),
            discovery: Vec::new(),
        }
    }
}
