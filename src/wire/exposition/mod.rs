//! Prometheus's text exposition formats: 0.0.4 and OpenMetrics.
