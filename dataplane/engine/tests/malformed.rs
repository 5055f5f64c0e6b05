//! Any bytes get a well-formed reply or silence, and a reply echoes the id. Deterministic: the seed stands here.

mod support;

use geodns_engine::answer::Transport;
use geodns_engine::rng::{FastRng, Rng};
use support::decode::decode;
use support::{Server, add_opt, name, request};

const ZONES: &str = "
zone example.com.
example.com.        3600 SOA   ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
example.com.        3600 NS    ns1.example.com.
example.com.        3600 MX    10 ns1.example.com.
ns1.example.com.    3600 A     192.0.2.1
*.example.com.       300 A     192.0.2.10
steered.example.com.  30 A     steered 192.0.2.20 192.0.2.21
alias.example.com.    30 CNAME www.example.com.
loop.example.com.     30 CNAME loop.example.com.
d.example.com.        30 DNAME d.d.example.com.
cut.example.com.      30 NS    ns.cut.example.com.
ns.cut.example.com.   30 A     192.0.2.30
";

const SEED: u64 = 0x6765_6f64_6e73;
const MESSAGES: usize = 100_000;

fn valid_messages() -> Vec<Vec<u8>> {
    let names =
        ["example.com.", "www.example.com.", "steered.example.com.", "alias.example.com.", "x.y.d.example.com.", "a.cut.example.com."];
    let options: [&[(u16, &[u8])]; 4] = [
        &[],
        &[(3, &[]), (10, &[1, 2, 3, 4, 5, 6, 7, 8])],
        &[(8, &[0, 1, 24, 0, 192, 0, 2]), (11, &[])],
        &[(8, &[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0]), (12, &[0; 20]), (65001, &[1])],
    ];
    let mut messages = Vec::new();
    for qname in names {
        for qtype in ["A", "NS", "MX", "ANY", "DS", "TYPE65400"] {
            messages.push(request(qname, qtype));
            for options in options {
                let mut message = request(qname, qtype);
                add_opt(&mut message, 1232, 0x8000, options);
                messages.push(message);
            }
        }
    }
    let mut signed = request("www.example.com.", "A");
    signed[11] = 1;
    signed.extend(name("key."));
    signed.extend([0, 250, 0, 255, 0, 0, 0, 0, 0, 21]);
    signed.extend(name("hmac."));
    signed.extend([0, 0, 0, 0, 0, 1, 1, 44, 0, 0, 0, 1, 0, 0, 0, 0]);
    messages.push(signed);
    messages
}

/// One to four wounds: a changed octet or bit, a count, a cut, a pointer, octets put in or taken out, another message's tail.
fn mutate(rng: &mut impl Rng, pool: &[Vec<u8>], message: &mut Vec<u8>) {
    let at = |rng: &mut dyn FnMut(u64) -> u64, length: usize| usize::try_from(rng(length as u64)).unwrap();
    let mut below = |bound: u64| rng.below(bound);
    for _ in 0..=below(4) {
        if message.is_empty() {
            return;
        }
        let place = at(&mut below, message.len());
        let octet = u8::try_from(below(256)).unwrap();
        match below(9) {
            0 => message[place] = octet,
            1 => message[place] ^= 1 << (octet & 7),
            2 => message[place] = [0, 0xff, 0xc0, 0x3f, 0x40, 0x80, 12][usize::from(octet) % 7],
            3 => message.truncate(place),
            4 => {
                let field = 4 + 2 * at(&mut below, 4);
                if let Some(count) = message.get_mut(field + 1) {
                    *count = [0, 1, 2, 255][usize::from(octet) % 4];
                }
            }
            5 => message.splice(place..place, [0xc0, octet]).for_each(drop),
            6 => message.splice(place..place, std::iter::repeat_n(octet, usize::from(octet))).for_each(drop),
            7 => drop(message.drain(place..message.len().min(place + usize::from(octet % 16)))),
            _ => {
                let other = &pool[at(&mut below, pool.len())];
                message.truncate(place);
                message.extend_from_slice(&other[at(&mut below, other.len())..]);
            }
        }
    }
}

fn check(server: &mut Server, message: &[u8], transport: Transport) {
    if let Some(reply) = server.send(message, "192.0.2.53:5353", transport) {
        assert_eq!(reply[..2], message[..2], "id");
        assert!(reply.len() <= if transport == Transport::Udp { 1232 } else { 65_535 });
        decode(&reply);
    }
}

#[test]
fn mutated_messages_get_well_formed_replies_or_silence() {
    let mut rng = FastRng::from_seed(SEED);
    let mut server = Server::new(ZONES);
    let pool = valid_messages();
    for number in 0..MESSAGES {
        let mut message = pool[number % pool.len()].clone();
        mutate(&mut rng, &pool, &mut message);
        check(&mut server, &message, if number % 3 == 0 { Transport::Tcp } else { Transport::Udp });
        if number % 100 == 0 {
            let reply = decode(&server.send(&request("www.example.com.", "A"), "192.0.2.53:5353", Transport::Udp).unwrap());
            assert_eq!(reply.answer, ["www.example.com. 300 A 192.0.2.10"]);
        }
    }
}

#[test]
fn every_message_cut_at_every_offset() {
    let mut server = Server::new(ZONES);
    for message in valid_messages() {
        for end in 0..=message.len() {
            check(&mut server, &message[..end], Transport::Udp);
        }
    }
}

#[test]
fn pure_noise() {
    let mut rng = FastRng::from_seed(SEED + 1);
    let mut server = Server::new(ZONES);
    for _ in 0..20_000 {
        let length = usize::try_from(rng.below(300)).unwrap();
        let message: Vec<u8> = (0..length).map(|_| u8::try_from(rng.below(256)).unwrap()).collect();
        check(&mut server, &message, Transport::Udp);
    }
}

#[test]
fn no_reply_buffer_is_too_small_to_survive() {
    use geodns_engine::answer::{Arrival, Outcome, Scratch, answer};
    let view = Server::new(ZONES).view();
    let arrival = Arrival { source: "192.0.2.53:5353".parse().unwrap(), transport: Transport::Tcp, now_s: 1 };
    for message in valid_messages() {
        for size in 0..120 {
            let mut reply = vec![0; size];
            let outcome = answer(&view, &message, &arrival, &mut FastRng::from_seed(1), &mut Scratch::new(), &mut reply);
            assert!(matches!(outcome, Outcome::Reply { length, .. } if length <= size) || matches!(outcome, Outcome::Drop(_)));
        }
    }
}
