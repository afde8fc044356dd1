//! tidegate's own rows as text: `docs/ndjson.md`.
