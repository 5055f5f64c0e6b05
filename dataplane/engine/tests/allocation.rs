//! The promise of the query path: after start, no allocation. A counting allocator holds it to that.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use geodns_engine::answer::{Arrival, MOST_READ_AHEAD, Outcome, Prepared, Scratch, Transport, answer, complete, read_ahead};
use geodns_engine::rng::FastRng;
use geodns_engine::steer::NoTrace;
use support::{Server, add_opt, many_names, request};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised us.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ZONES: &str = "
zone example.com.
example.com.        3600 SOA   ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
example.com.        3600 NS    ns1.example.com.
example.com.        3600 MX    10 ns1.example.com.
ns1.example.com.    3600 A     192.0.2.1
*.example.com.       300 A     192.0.2.10
steered.example.com.  30 A     steered 192.0.2.20 192.0.2.21 192.0.2.22
salias.example.com.   30 CNAME steered www.example.com. ns1.example.com.
alias.example.com.    30 CNAME www.example.com.
d.example.com.        30 DNAME e.example.com.
cut.example.com.      30 NS    ns.cut.example.com.
ns.cut.example.com.   30 A     192.0.2.30
";

#[test]
fn answering_allocates_nothing_after_start() {
    let names = [
        "example.com.",
        "x.example.com.",
        "steered.example.com.",
        "salias.example.com.",
        "alias.example.com.",
        "x.d.example.com.",
        "a.cut.example.com.",
        "example.net.",
    ];
    let mut messages = vec![request("s7.many.example.", "A"), vec![0; 5], request("x.example.com.", "AXFR")];
    for qname in names {
        for qtype in ["A", "NS", "MX", "ANY", "DS"] {
            messages.push(request(qname, qtype));
            let mut message = request(qname, qtype);
            add_opt(&mut message, 1232, 0x8000, &[(3, &[]), (8, &[0, 1, 24, 0, 192, 0, 2]), (10, &[1; 8]), (11, &[])]);
            messages.push(message);
        }
    }
    let view = Server::new(&[ZONES, &many_names()].concat()).view();
    let (mut rng, mut scratch, mut reply) = (FastRng::from_seed(1), Scratch::new(), vec![0; 4096]);
    scratch.desk.fit(&view);
    let before = ALLOCATIONS.with(Cell::get);
    let mut replies = 0;
    for batch in messages.chunks(MOST_READ_AHEAD) {
        let arrival = Arrival { source: "192.0.2.53:5353".parse().unwrap(), transport: Transport::Udp, now_s: 1 };
        let mut prepared = [const { Prepared::empty() }; MOST_READ_AHEAD];
        let mut readiness = [Ok(()); MOST_READ_AHEAD];
        for (index, (message, key)) in batch.iter().zip(&mut scratch.keys).enumerate() {
            readiness[index] = prepared[index].prepare(&view, message, arrival.source, key);
        }
        read_ahead(&view, prepared.iter());
        for (prepared, is_ready) in prepared[..batch.len()].iter_mut().zip(readiness) {
            if is_ready.is_ok() {
                let outcome = complete(&view, prepared, &arrival, &mut rng, &mut scratch.desk, &mut reply, &mut NoTrace);
                replies += usize::from(matches!(outcome, Outcome::Reply { .. }));
            }
        }
    }
    for message in &messages {
        for transport in [Transport::Udp, Transport::Tcp] {
            let arrival = Arrival { source: "192.0.2.53:5353".parse().unwrap(), transport, now_s: 1 };
            let outcome = answer(&view, message, &arrival, &mut rng, &mut scratch, &mut reply);
            replies += usize::from(matches!(outcome, Outcome::Reply { .. }));
        }
    }
    let after = ALLOCATIONS.with(Cell::get);
    assert!(replies > 100 && before > 0);
    assert_eq!(after - before, 0);
}
