//! OpenTSDB's `/api/put`.
