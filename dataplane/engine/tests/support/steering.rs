//! Steered rrsets in the text zones: `steered 192.0.2.1 192.0.2.2` is one pool with these values and a catch-all, weights 1.

use geodns_engine::spec::{AllDown, LastResort, PoolSpec, RuleOrigin, RuleSpec, Select, Status, SteeringSpec, ValueSpec};

use super::rdata;

/// One pool, one rule, all values equal. A first word `all_down=` picks what happens when nothing is up, `down` marks all values as down.
pub fn spec(rtype: u16, text: &str) -> SteeringSpec {
    let words: Vec<&str> = text.split_whitespace().collect();
    let all_down = match words.iter().find_map(|word| word.strip_prefix("all_down=")) {
        Some("nodata") => AllDown::NoData,
        Some("servfail") => AllDown::ServFail,
        Some("serve-all") => AllDown::ServeAll,
        Some(_) | None => AllDown::Values,
    };
    let status = if words.contains(&"down") { Status::Down } else { Status::Obey };
    let values: Vec<_> =
        words.iter().filter(|word| !word.starts_with("all_down=") && **word != "down").map(|word| rdata(rtype, word)).collect();
    let pool = PoolSpec {
        name: "pool".to_owned(),
        fallback: None,
        values: values
            .iter()
            .zip(1..)
            .map(|(rdata, id)| ValueSpec {
                id,
                weight: 1,
                status,
                drained: false,
                site: String::new(),
                coordinates: None,
                rdata: rdata.clone(),
            })
            .collect(),
    };
    let rule = RuleSpec { origin: RuleOrigin::Dynamic, pool: 0, geos: vec![], subnets: vec![], asns: vec![], lists: vec![] };
    SteeringSpec {
        answers: Some(1),
        select: Select::Weighted,
        all_down,
        min_up: 0,
        ttl: None,
        values: values.iter().take(1).zip(1000..).map(|(rdata, id)| LastResort { id, rdata: rdata.clone() }).collect(),
        pools: vec![pool],
        rules: vec![rule],
    }
}
