//! OTLP metrics and logs, as protobuf and as JSON.
