//! EXPLAIN: asks the answer function itself why (`docs/link-protocol.md` section 5). The document is the engine's; here it becomes JSON.

use geodns_engine::explain;
use geodns_engine::rng::FastRng;
use geodns_engine::view::View;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sys;

/// What control asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    client: String,
}

/// The document for the question `json`, or one with the single key `error`.
pub fn explain(view: &View, json: &[u8]) -> Value {
    match ask(view, json) {
        Ok(document) => document,
        Err(reason) => json!({ "error": reason }),
    }
}

fn ask(view: &View, json: &[u8]) -> Result<Value, String> {
    let Question { name, rtype, client } =
        serde_json::from_slice(json).map_err(|error| format!("the question is not understood: {error}"))?;
    let seed = sys::random_u64().map_err(|error| format!("the kernel gives no randomness: {error}"))?;
    let document = explain::explain(view, &name, &rtype, &client, &mut FastRng::from_seed(seed)).map_err(|fault| fault.to_string())?;
    serde_json::to_value(document).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use geodns_engine::steer::SteeringEditor;
    use geodns_engine::zones::ZoneSet;

    use super::*;

    fn view() -> View {
        let (tables, health) = SteeringEditor::new().tables();
        View { zones: Arc::new(ZoneSet::new(1)), tables, health, options: Arc::default(), triple: None }
    }

    #[test]
    fn a_question_gets_a_document() {
        let document = explain(&view(), br#"{"name": "www.example.com.", "type": "A", "client": "192.0.2.0/24"}"#);
        assert_eq!(document["answer"]["rcode"], "REFUSED");
        assert_eq!(document["client"]["prefix"], 24);
    }

    #[test]
    fn what_is_no_question_gets_a_reason() {
        for question in [
            &b"nonsense"[..],
            b"{}",
            br#"{"name": "a", "type": "A", "client": "x"}"#,
            br#"{"name": "a", "type": "A", "client": "::1", "x": 1}"#,
        ] {
            assert!(explain(&view(), question)["error"].as_str().is_some_and(|reason| !reason.is_empty()));
        }
    }
}
