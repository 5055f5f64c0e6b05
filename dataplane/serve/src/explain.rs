//! EXPLAIN: asks the answer function itself why (`docs/link-protocol.md` section 5).

use geodns_engine::view::View;
use serde_json::{Value, json};

/// The document for the question `json`.
pub fn explain(_view: &View, _json: &[u8]) -> Value {
    json!({"error": "explaining needs the trace of the engine"})
}
