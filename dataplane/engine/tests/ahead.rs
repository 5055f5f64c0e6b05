//! Preparing a batch and reading ahead for it changes no answer, whatever its requests are; it is worth it where much is served, is done for what is taken to the zones, and fetches
//! what the answer reads.

mod support;

use std::net::IpAddr;
use std::sync::Arc;

use geodns_engine::acl::NetworkSet;
use geodns_engine::answer::{
    Arrival, MOST_READ_AHEAD, Outcome, Prepared, Scratch, Transport, answer, complete, is_worth_reading_ahead, read_ahead,
};
use geodns_engine::location::{Country, Location, LocationSet, LocationTableBuilder, NamedTable};
use geodns_engine::refused::Refused;
use geodns_engine::rng::FastRng;
use geodns_engine::spec::{Change, Prefix, RrsetData, RrsetSpec, RuleSpec};
use geodns_engine::steer::{NoTrace, SteeringEditor};
use geodns_engine::view::View;
use geodns_engine::zones::{RrsetView, ZoneSet};
use geodns_wire::{Name, NameKey, rtype};
use support::{MANY_STEERED, Server, add_opt, changes, many_names, name, request, steering};

const CLIENT: &str = "192.0.2.53:5353";

/// For how many of `batch` a steered rrset is found.
fn count_found(view: &View, source: &str, batch: &[Vec<u8>]) -> usize {
    let source = source.parse().unwrap();
    let mut keys = vec![NameKey::default(); batch.len()];
    let prepared: Vec<Prepared<'_, '_, '_>> = batch
        .iter()
        .zip(&mut keys)
        .filter_map(|(request, key)| {
            let mut prepared = Prepared::empty();
            prepared.prepare(view, request, source, key).ok().map(|()| prepared)
        })
        .collect();
    read_ahead(view, prepared.iter())
}

fn key_of(view: &View, qname: &str) -> NameKey {
    let (qname, mut key) = (name(qname), NameKey::default());
    key.set(Name::from_wire(&qname).unwrap(), view.zones.seed());
    key
}

#[test]
fn the_node_and_the_rrset_that_answer_are_fetched() {
    let view = Server::new(&many_names()).view();
    for number in 0..9000 {
        let key = key_of(&view, &format!("n{number}.many.example."));
        let zone = view.zones.nearest(&key, key.labels()).unwrap();
        let (guessed, found) = (zone.place(&key).unwrap().guess_node().unwrap(), zone.node(&key, key.labels()).unwrap());
        assert!(std::ptr::eq(guessed.relative_name(), found.relative_name()), "n{number}");
        assert!(guessed.first_steered().is_none());
    }
    for number in 0..MANY_STEERED {
        let key = key_of(&view, &format!("s{number}.many.example."));
        let zone = view.zones.nearest(&key, key.labels()).unwrap();
        let guessed = zone.place(&key).unwrap().guess_node().unwrap().first_steered().unwrap();
        let rrset = zone.node(&key, key.labels()).unwrap().rrset(rtype::A).unwrap();
        assert!(matches!(rrset.data, RrsetView::Steered(steered) if Arc::ptr_eq(steered, guessed)), "s{number}");
    }
}

#[test]
fn a_batch_is_read_ahead_whole() {
    let view = Server::new(&many_names()).view();
    let batch: Vec<_> = (0..MANY_STEERED).map(|number| request(&format!("s{number}.many.example."), "A")).collect();
    for (length, expected) in [(1, 1), (2, 2), (MOST_READ_AHEAD, MOST_READ_AHEAD), (MANY_STEERED, MOST_READ_AHEAD)] {
        assert_eq!(count_found(&view, CLIENT, &batch[..length]), expected, "{length} requests");
    }
}

#[test]
fn what_looks_nothing_up_is_not_read_ahead() {
    let steered = || request("s7.many.example.", "A");
    let with = |at: usize, octet: u8| {
        let mut request = steered();
        request[at] = octet;
        request
    };
    let opcode_notify = with(2, 4 << 3);
    let response = with(2, 0x80);
    let chaos = with(steered().len() - 1, 3);
    let mut other_edns = steered();
    add_opt(&mut other_edns, 1232, 1 << 16, &[]);
    let transfer = request("s7.many.example.", "AXFR");
    let cut = steered()[..20].to_vec();
    let denied = NetworkSet::new(&[Prefix { addr: "198.51.100.0".parse().unwrap(), length: 24 }]);
    let mut server = Server::new(&many_names());
    server.options.deny = denied;
    let view = server.view();
    for (why, source, request) in [
        ("NOTIFY", CLIENT, opcode_notify),
        ("response", CLIENT, response),
        ("CHAOS", CLIENT, chaos),
        ("EDNS 1", CLIENT, other_edns),
        ("AXFR", CLIENT, transfer),
        ("cut", CLIENT, cut),
        ("no zone", CLIENT, request("s7.example.", "A")),
        ("port 0", "192.0.2.53:0", steered()),
        ("denied", "198.51.100.1:5353", steered()),
        ("denied, mapped", "[::ffff:198.51.100.1]:5353", steered()),
    ] {
        assert_eq!(count_found(&view, source, std::slice::from_ref(&request)), 0, "{why}");
        if source == CLIENT {
            assert_eq!(count_found(&view, source, &[steered(), request, steered()]), 2, "{why} among questions");
        }
    }
}

/// A small zone beside a location database of `networks` networks in two countries by turns; `geo` is steered by country when `has_geo`, `w` by weight alone, `n` is static.
fn beside_locations(networks: u32, has_geo: bool) -> View {
    let mut builder = LocationTableBuilder::default();
    for index in 0..networks {
        let country = Country::from_code(if index.is_multiple_of(2) { "DE" } else { "US" });
        let class = builder.intern(Location { country, ..Location::default() });
        let addr = IpAddr::V4((0x0a00_0000 + (index << 8)).into());
        builder.put(&Prefix { addr, length: 24 }, class).unwrap();
    }
    let table = Arc::new(builder.finish("Test".into(), 0).unwrap());
    let mut server = Server::new(
        "zone example.com.\nexample.com. 300 SOA ns1.example.com. h.example.com. 1 2 3 4 5\nn.example.com. 300 A 192.0.2.1\nw.example.com. 300 A steered 192.0.2.2 192.0.2.3\n",
    );
    server.steering.set_locations(Arc::new(LocationSet::new(vec![NamedTable { name: "test.mmdb".into(), table }])));
    let mut geo = steering::spec(rtype::A, "192.0.2.4 192.0.2.5");
    let everybody = geo.rules[0].clone();
    geo.rules.insert(0, RuleSpec { geos: vec!["EU-DE".into()], ..everybody });
    let rrsets = vec![RrsetSpec { rtype: rtype::A, ttl: 300, data: RrsetData::Steered(Box::new(geo)) }];
    if has_geo {
        server.apply([Change::PutOwner { apex: name("example.com."), owner: name("geo.example.com."), rrsets }]).unwrap();
    }
    server.view()
}

#[test]
fn it_is_worth_it_among_many_names_or_ranges_to_search() {
    for (networks, has_geo, expected) in [(16_384, true, true), (16_384, false, false), (1024, true, false)] {
        assert_eq!(
            is_worth_reading_ahead(&beside_locations(networks, has_geo)),
            expected,
            "{networks} networks, steered by them: {has_geo}"
        );
    }
    assert!(is_worth_reading_ahead(&Server::new(&many_names()).view()));
}

#[test]
fn it_is_worth_it_after_a_load_and_after_single_changes_alike() {
    let zone = many_names();
    let mut steering = SteeringEditor::new();
    let loaded = changes(&zone).into_iter().try_fold(ZoneSet::new(99).load(), |mut editor, change| {
        editor.apply(change, &mut steering)?;
        Ok::<_, Refused>(editor)
    });
    let loaded = loaded.unwrap().finish().unwrap();
    assert_eq!(loaded.most_owners(), Server::new(&zone).zones.most_owners());
    assert!(loaded.most_owners() > 9000);
}

/// The replies to a batch; `None` where there is none.
fn answer_batch(view: &View, batch: &[Vec<u8>], are_together: bool) -> Vec<Option<Vec<u8>>> {
    let (mut rng, mut scratch) = (FastRng::from_seed(1), Scratch::new());
    scratch.desk.fit(view);
    let arrival = Arrival { source: CLIENT.parse().unwrap(), transport: Transport::Udp, now_s: 1 };
    let mut reply = vec![0; 4096];
    let taken = |outcome: Outcome, reply: &[u8]| match outcome {
        Outcome::Reply { length, .. } => Some(reply[..length].to_vec()),
        Outcome::Drop(_) => None,
    };
    if !are_together {
        let mut answer_one = |message: &Vec<u8>| {
            let outcome = answer(view, message, &arrival, &mut rng, &mut scratch, &mut reply);
            taken(outcome, &reply)
        };
        return batch.iter().map(&mut answer_one).collect();
    }
    let mut replies = Vec::new();
    for batch in batch.chunks(MOST_READ_AHEAD) {
        let mut prepared: Vec<Prepared<'_, '_, '_>> = batch.iter().map(|_| Prepared::empty()).collect();
        let mut readiness = Vec::new();
        for ((prepared, key), message) in prepared.iter_mut().zip(&mut scratch.keys).zip(batch) {
            readiness.push(prepared.prepare(view, message, arrival.source, key));
        }
        read_ahead(view, prepared.iter());
        for (prepared, is_ready) in prepared.iter_mut().zip(readiness) {
            let outcome = match is_ready {
                Ok(()) => complete(view, prepared, &arrival, &mut rng, &mut scratch.desk, &mut reply, &mut NoTrace),
                Err(reason) => Outcome::Drop(reason),
            };
            replies.push(taken(outcome, &reply));
        }
    }
    replies
}

#[test]
fn reading_ahead_changes_no_answer() {
    let view = Server::new(&many_names()).view();
    let known = || request("s7.many.example.", "A");
    let named = |names: &[&str]| names.iter().map(|name| request(name, "A")).collect::<Vec<_>>();
    let cut_short = |rest: Vec<u8>| (0..rest.len()).map(|length| rest[..length].to_vec()).collect::<Vec<_>>();
    let of_many = named(&["n17.many.example.", "S7.MANY.example.", "no.many.example.", "x.n17.many.example.", "many.example."]);
    let elsewhere = named(&["example.net.", "example.", "."]);
    for others in [of_many, elsewhere, cut_short(known()), vec![known(); 100], vec![]] {
        for batch in [[vec![known()], others.clone()].concat(), [others.clone(), vec![known()]].concat(), others] {
            assert_eq!(answer_batch(&view, &batch, true), answer_batch(&view, &batch, false), "{batch:02x?}");
        }
    }
}
