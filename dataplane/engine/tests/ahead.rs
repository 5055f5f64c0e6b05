//! Reading ahead changes no answer, whatever the requests of a batch are.

mod support;

use geodns_engine::answer::{Arrival, Outcome, Scratch, Transport, answer};
use geodns_engine::rng::FastRng;
use geodns_engine::view::View;
use support::{Server, many_names, request};

/// The replies to a batch; `None` where there is none.
fn answer_batch(view: &View, batch: &[Vec<u8>], is_read_ahead: bool) -> Vec<Option<Vec<u8>>> {
    let (mut rng, mut scratch) = (FastRng::from_seed(1), Scratch::new());
    scratch.fit(view);
    let arrival = Arrival { source: "192.0.2.53:5353".parse().unwrap(), transport: Transport::Udp, now_s: 1 };
    if is_read_ahead {
        scratch.read_ahead(view, batch.iter().map(|request| (arrival.source, request.as_slice())));
    }
    let mut reply = vec![0; 4096];
    let mut answer_one = |message: &Vec<u8>| match answer(view, message, &arrival, &mut rng, &mut scratch, &mut reply) {
        Outcome::Reply { length, .. } => Some(reply[..length].to_vec()),
        Outcome::Drop(_) => None,
    };
    batch.iter().map(&mut answer_one).collect()
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
