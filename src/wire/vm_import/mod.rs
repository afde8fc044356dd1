//! VictoriaMetrics' JSON lines.
