//! What happens around the lookup: headers, opcodes, classes, EDNS and its options, TSIG, truncation. RFC 8906 §8 is among the cases.

mod support;

use geodns_engine::answer::{Arrival, DropReason, Outcome, Scratch, Transport, answer};
use geodns_engine::rng::FastRng;
use geodns_engine::view::ClientSubnets;
use geodns_wire::edns::{OPTION_CLIENT_SUBNET, OPTION_COOKIE, OPTION_EXTENDED_ERROR, OPTION_KEEPALIVE, OPTION_NSID};
use geodns_wire::writer::empty;
use support::decode::{Reply, decode};
use support::{NOW_S, Server, add_opt, hex, name, request};

const ZONES: &str = "
zone example.com.
example.com.        3600 SOA   ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
example.com.        3600 NS    ns1.example.com.
ns1.example.com.    3600 A     192.0.2.1
www.example.com.     300 A     192.0.2.10
steered.example.com.  30 A     steered 192.0.2.20 192.0.2.21
alias.example.com.    30 CNAME steered www.example.com.
empty.example.com.    30 A     steered all_down=nodata down 192.0.2.20
broken.example.com.   30 A     steered all_down=servfail down 192.0.2.20
";

const CLIENT: &str = "192.0.2.53:5353";

fn server() -> Server {
    Server::new(ZONES)
}

fn ask(server: &mut Server, message: &[u8], transport: Transport) -> Reply {
    let reply = decode(&server.send(message, CLIENT, transport).expect("a reply"));
    assert_eq!(reply.id, u16::from_be_bytes([message[0], message[1]]));
    reply
}

fn udp(message: &[u8]) -> Reply {
    ask(&mut server(), message, Transport::Udp)
}

type Options<'a> = &'a [(u16, &'a [u8])];

fn with_opt(qname: &str, qtype: &str, options: Options<'_>) -> Vec<u8> {
    let mut message = request(qname, qtype);
    add_opt(&mut message, 1232, 0, options);
    message
}

fn option(reply: &Reply, code: u16) -> Option<Vec<u8>> {
    let opt = reply.opt.as_ref().expect("an OPT record");
    let all: Vec<_> = opt.options.iter().filter(|(known, _)| *known == code).collect();
    assert!(all.len() <= 1, "option {code} twice");
    all.first().map(|(_, data)| data.clone())
}

#[test]
fn header_bits_rfc8906_8_1_3() {
    let cases = [
        ("plain", 0x0000, vec!["aa"]),
        ("RD comes back, RA does not", 0x0100, vec!["aa", "rd"]),
        ("CD comes back", 0x0010, vec!["aa", "cd"]),
        ("AD does not", 0x0020, vec!["aa"]),
        ("the reserved bit does not", 0x0040, vec!["aa"]),
        ("AA, TC and RA of a request mean nothing", 0x0680, vec!["aa"]),
        ("an rcode in a request means nothing", 0x0005, vec!["aa"]),
    ];
    for (case, bits, flags) in cases {
        let mut message = request("www.example.com.", "A");
        message[2..4].copy_from_slice(&u16::to_be_bytes(bits));
        let reply = udp(&message);
        assert_eq!((reply.rcode.as_str(), reply.flags), ("NOERROR", flags), "{case}");
    }
}

#[test]
fn opcodes_and_classes() {
    let opcode = |number: u8| {
        let mut message = request("example.com.", "SOA");
        message[2] = number << 3;
        message
    };
    for number in 1..16 {
        let reply = udp(&opcode(number));
        assert_eq!((reply.rcode.as_str(), reply.flags.as_slice()), ("NOTIMP", &[][..]), "opcode {number}");
        assert_eq!(reply.question, None, "a header alone (RFC 8906 §8.1.4)");
    }
    for class in [0_u16, 2, 3, 4, 254, 255, 65535] {
        let mut message = request("www.example.com.", "A");
        let end = message.len();
        message[end - 2..].copy_from_slice(&class.to_be_bytes());
        let reply = udp(&message);
        assert_eq!((reply.rcode.as_str(), reply.answer.len(), reply.authority.len()), ("REFUSED", 0, 0), "class {class}");
    }
    let mut chaos = request("version.bind.", "TXT");
    let end = chaos.len();
    chaos[end - 1] = 3;
    assert_eq!(udp(&chaos).rcode, "REFUSED");
}

#[test]
fn question_types_that_are_no_data() {
    let cases = [
        ("AXFR", "REFUSED"),
        ("IXFR", "REFUSED"),
        ("TSIG", "FORMERR"),
        ("TYPE41", "FORMERR"),
        ("TYPE249", "FORMERR"),
        ("TYPE128", "NOERROR"),
    ];
    for (qtype, rcode) in cases {
        for transport in [Transport::Udp, Transport::Tcp] {
            assert_eq!(ask(&mut server(), &request("example.com.", qtype), transport).rcode, rcode, "{qtype}");
        }
    }
}

#[test]
fn exactly_one_question_rfc9619() {
    let mut two = request("www.example.com.", "A");
    two[5] = 2;
    two.extend(name("www.example.com."));
    two.extend([0, 28, 0, 1]);
    let none = [0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut cut_short = request("www.example.com.", "A");
    cut_short.pop();
    for (case, message) in [("two", &two[..]), ("none", &none[..]), ("cut short", &cut_short[..])] {
        let reply = udp(message);
        assert_eq!((reply.rcode.as_str(), reply.question, reply.flags.len()), ("FORMERR", None, 0), "{case}");
    }
}

#[test]
fn no_question_but_a_cookie_gets_a_cookie_rfc7873_5_4() {
    let mut message = vec![0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    add_opt(&mut message, 1232, 0, &[(OPTION_COOKIE, &[1; 8])]);
    let reply = udp(&message);
    assert_eq!((reply.rcode.as_str(), reply.question.as_deref()), ("NOERROR", None));
    assert_eq!(option(&reply, OPTION_COOKIE).unwrap().len(), 24);
}

#[test]
fn counts_that_lie_are_formerr() {
    for at in [7, 9, 11] {
        let mut message = request("www.example.com.", "A");
        message[at] = 1;
        assert_eq!(udp(&message).rcode, "FORMERR", "count at {at}");
    }
}

#[test]
fn no_reply_and_its_reason() {
    let view = server().view();
    let plain = request("www.example.com.", "A");
    let mut response = plain.clone();
    response[2] |= 0x80;
    let cases: [(&str, &[u8], &str, DropReason); 4] = [
        ("empty", &[], CLIENT, DropReason::Short),
        ("eleven octets", &plain[..11], CLIENT, DropReason::Short),
        ("a response", &response, CLIENT, DropReason::Response),
        ("source port 0", &plain, "192.0.2.53:0", DropReason::SourcePortZero),
    ];
    for (case, message, source, reason) in cases {
        let arrival = Arrival { source: source.parse().unwrap(), transport: Transport::Udp, now_s: NOW_S };
        let outcome = answer(&view, message, &arrival, &mut FastRng::from_seed(1), &mut Scratch::new(), &mut [0; 512]);
        assert_eq!(outcome, Outcome::Drop(reason), "{case}");
    }
}

#[test]
fn opt_is_answered_with_opt_and_only_then_rfc6891_6_1_1() {
    assert!(udp(&request("www.example.com.", "A")).opt.is_none());
    let opt = udp(&with_opt("www.example.com.", "A", &[])).opt.unwrap();
    assert_eq!((opt.payload, opt.version, opt.dnssec_ok, opt.options.len()), (1232, 0, false, 0));
    for qname in ["nothing.example.com.", "www.example.net."] {
        assert!(udp(&with_opt(qname, "A", &[])).opt.is_some(), "{qname}");
    }
}

#[test]
fn unknown_versions_flags_and_options_rfc8906_8_2() {
    let cases: [(&str, u32, Options<'_>, &str, bool); 6] = [
        ("version 1", 0x0001_0000, &[], "BADVERS", false),
        ("version 100 and an unknown option", 0x0064_0000, &[(100, &[])], "BADVERS", false),
        ("version 1 and DO", 0x0001_8000, &[], "BADVERS", true),
        ("unknown flags", 0x0000_0040, &[], "NOERROR", false),
        ("an unknown option", 0, &[(100, &[1, 2, 3])], "NOERROR", false),
        ("DO comes back", 0x0000_8000, &[], "NOERROR", true),
    ];
    for (case, ttl, options, rcode, dnssec_ok) in cases {
        let mut message = request("www.example.com.", "A");
        add_opt(&mut message, 1232, ttl, options);
        let reply = udp(&message);
        let opt = reply.opt.clone().unwrap();
        assert_eq!((reply.rcode.as_str(), opt.version, opt.dnssec_ok, opt.options.len()), (rcode, 0, dnssec_ok, 0), "{case}");
        assert_eq!(reply.answer.is_empty(), rcode == "BADVERS", "{case}");
    }
}

#[test]
fn misplaced_and_malformed_opt_is_formerr_rfc6891_6_1_1() {
    let mut two = with_opt("www.example.com.", "A", &[]);
    add_opt(&mut two, 1232, 0, &[]);
    assert_eq!(udp(&two).rcode, "FORMERR");
    let mut named = request("www.example.com.", "A");
    named[11] = 1;
    named.extend([1, b'x', 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    assert_eq!(udp(&named).rcode, "FORMERR");
    let mut in_answer = with_opt("www.example.com.", "A", &[]);
    (in_answer[7], in_answer[11]) = (1, 0);
    assert_eq!(udp(&in_answer).rcode, "FORMERR");
    for options in [(OPTION_COOKIE, &[0; 7][..]), (OPTION_CLIENT_SUBNET, &[0, 1, 24, 0, 192, 0]), (OPTION_CLIENT_SUBNET, &[0, 9, 0, 0])] {
        let reply = udp(&with_opt("www.example.com.", "A", &[options]));
        assert_eq!((reply.rcode.as_str(), reply.opt.is_some()), ("FORMERR", true), "{options:?}");
    }
}

#[test]
fn nsid_only_when_asked_rfc5001() {
    assert_eq!(option(&udp(&with_opt("www.example.com.", "A", &[(OPTION_NSID, &[])])), OPTION_NSID).unwrap(), b"node-1");
    assert_eq!(option(&udp(&with_opt("www.example.com.", "A", &[])), OPTION_NSID), None);
    let mut nameless = server();
    nameless.options.nsid = Box::default();
    assert_eq!(option(&ask(&mut nameless, &with_opt("www.example.com.", "A", &[(OPTION_NSID, &[])]), Transport::Udp), OPTION_NSID), None);
}

#[test]
fn cookies_are_made_accepted_and_never_demanded_rfc7873() {
    let mut server = server();
    let first = ask(&mut server, &with_opt("www.example.com.", "A", &[(OPTION_COOKIE, &[1; 8])]), Transport::Udp);
    let cookie = option(&first, OPTION_COOKIE).unwrap();
    assert_eq!((cookie.len(), &cookie[..8], first.rcode.as_str()), (24, &[1; 8][..], "NOERROR"));
    let again = ask(&mut server, &with_opt("www.example.com.", "A", &[(OPTION_COOKIE, &cookie)]), Transport::Udp);
    assert_eq!(option(&again, OPTION_COOKIE).unwrap(), cookie);
    let forged = [&[1; 8][..], &[9; 16]].concat();
    let reply = ask(&mut server, &with_opt("www.example.com.", "A", &[(OPTION_COOKIE, &forged)]), Transport::Udp);
    assert_eq!((reply.rcode.as_str(), option(&reply, OPTION_COOKIE).unwrap()), ("NOERROR", cookie));
    server.options.cookie_secrets.clear();
    let reply = ask(&mut server, &with_opt("www.example.com.", "A", &[(OPTION_COOKIE, &[1; 8])]), Transport::Udp);
    assert_eq!(option(&reply, OPTION_COOKIE), None);
}

#[test]
fn an_emptied_reply_keeps_question_and_opt_and_sets_tc_rfc2181_9() {
    let view = server().view();
    let plain = request("www.example.com.", "A");
    let with_options = with_opt("www.example.com.", "A", &[(OPTION_COOKIE, &[5; 8]), (OPTION_NSID, &[])]);
    let malformed = [&plain[..], &[0; 3]].concat();
    let question = &plain[12..];
    // NSID of six octets and a whole cookie; lengths are those of the OPT record.
    for (message, opt_length) in [(&plain, 0), (&with_options, 11 + 4 + 6 + 4 + 24), (&malformed, 0)] {
        let arrival = Arrival { source: CLIENT.parse().unwrap(), transport: Transport::Udp, now_s: NOW_S };
        let mut reply = vec![0; 1232];
        let outcome = answer(&view, message, &arrival, &mut FastRng::from_seed(1), &mut Scratch::new(), &mut reply);
        let Outcome::Reply { length, facts } = outcome else { panic!("{outcome:?}") };
        let whole = reply[..length].to_vec();
        reply.truncate(length);
        let emptied = empty(&mut reply, facts.outline);
        let header = [whole[0], whole[1], whole[2] | 2, whole[3], 0, 1, 0, 0, 0, 0, 0, u8::from(opt_length > 0)];
        assert_eq!(reply[..emptied], [&header[..], question, &whole[length - opt_length..]].concat());
    }
}

#[test]
fn keepalive_on_tcp_only_rfc7828() {
    let asks = with_opt("www.example.com.", "A", &[(OPTION_KEEPALIVE, &[])]);
    assert_eq!(option(&ask(&mut server(), &asks, Transport::Tcp), OPTION_KEEPALIVE).unwrap(), [0, 100]);
    assert_eq!(option(&ask(&mut server(), &asks, Transport::Udp), OPTION_KEEPALIVE), None);
    assert_eq!(option(&ask(&mut server(), &with_opt("www.example.com.", "A", &[]), Transport::Tcp), OPTION_KEEPALIVE), None);
}

#[test]
fn client_subnet_is_echoed_exactly_with_scope_0_where_nothing_is_steered() {
    let subnets: [&[u8]; 5] = [
        &[0, 1, 24, 0, 192, 0, 2],
        &[0, 1, 0, 0],
        &[0, 1, 32, 0, 192, 0, 2, 7],
        &[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0],
        &[0, 2, 0, 0],
    ];
    for subnet in subnets {
        for qname in ["www.example.com.", "nothing.example.com.", "www.example.net.", "steered.example.com."] {
            let reply = udp(&with_opt(qname, "A", &[(OPTION_CLIENT_SUBNET, subnet)]));
            assert_eq!(option(&reply, OPTION_CLIENT_SUBNET).as_deref(), Some(subnet), "{qname}");
        }
    }
    let twice = with_opt("www.example.com.", "A", &[(OPTION_CLIENT_SUBNET, &[0, 1, 8, 0, 10]), (OPTION_CLIENT_SUBNET, &[0, 1, 0, 0])]);
    assert_eq!(option(&udp(&twice), OPTION_CLIENT_SUBNET).unwrap(), [0, 1, 8, 0, 10]);
}

#[test]
fn client_subnet_is_left_out_where_policy_ignores_it() {
    let message = with_opt("www.example.com.", "A", &[(OPTION_CLIENT_SUBNET, &[0, 1, 8, 0, 10])]);
    let network = |addr: &str| geodns_engine::spec::Prefix { addr: addr.parse().unwrap(), length: 32 };
    let trusted = |addr| ClientSubnets::From(geodns_engine::acl::NetworkSet::new(&[network(addr)]));
    let cases = [(ClientSubnets::FromNobody, false), (trusted("192.0.2.53"), true), (trusted("192.0.2.54"), false)];
    for (policy, believed) in cases {
        let mut server = server();
        server.options.client_subnets = policy.clone();
        assert_eq!(option(&ask(&mut server, &message, Transport::Udp), OPTION_CLIENT_SUBNET).is_some(), believed, "{policy:?}");
    }
}

#[test]
fn client_subnet_of_family_0_is_answered_without_the_option() {
    let reply = ask(&mut server(), &with_opt("www.example.com.", "A", &[(OPTION_CLIENT_SUBNET, &[0, 0, 0, 0])]), Transport::Udp);
    assert_eq!(reply.rcode, "NOERROR");
    assert_eq!(option(&reply, OPTION_CLIENT_SUBNET), None);
}

#[test]
fn refused_clients_get_refused_and_are_told_why_rfc8914_4_19() {
    let network =
        |addr: &str, length| geodns_engine::acl::NetworkSet::new(&[geodns_engine::spec::Prefix { addr: addr.parse().unwrap(), length }]);
    let none = geodns_engine::acl::NetworkSet::default();
    let cases = [
        ("denied", none.clone(), network("192.0.2.0", 24), "REFUSED"),
        ("not allowed", network("198.51.100.0", 24), none.clone(), "REFUSED"),
        ("allowed", network("192.0.2.0", 24), none, "NOERROR"),
        ("denied though allowed", network("192.0.2.0", 24), network("192.0.2.53", 32), "REFUSED"),
    ];
    for (case, allow, deny, rcode) in cases {
        let mut server = server();
        (server.options.allow, server.options.deny) = (allow, deny);
        let reply = ask(&mut server, &with_opt("www.example.com.", "A", &[]), Transport::Udp);
        assert_eq!(reply.rcode, rcode, "{case}");
        assert_eq!(option(&reply, OPTION_EXTENDED_ERROR), (rcode == "REFUSED").then(|| vec![0, 18]), "{case}");
    }
}

#[test]
fn name_in_no_zone_of_ours_is_refused_and_says_so_rfc8914_4_21() {
    let reply = udp(&with_opt("www.example.net.", "A", &[]));
    assert_eq!((reply.rcode.as_str(), option(&reply, OPTION_EXTENDED_ERROR)), ("REFUSED", Some(vec![0, 20])));
}

#[test]
fn tsig_with_a_key_we_do_not_have_is_notauth_badkey_rfc8945_5_3_2() {
    let mut rdata = name("hmac-sha256.").to_vec();
    rdata.extend([0, 0, 0x65, 0x53, 0xf1, 0, 1, 44, 0, 4, 1, 2, 3, 4, 0xab, 0xcd, 0, 0, 0, 0]);
    let tsig = |mut message: Vec<u8>, rdata: &[u8]| {
        message[11] += 1;
        message.extend(name("key.example."));
        message.extend([0, 250, 0, 255, 0, 0, 0, 0]);
        message.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
        message.extend(rdata);
        message
    };
    for message in [tsig(request("www.example.com.", "A"), &rdata), tsig(with_opt("example.com.", "AXFR", &[]), &rdata)] {
        let reply = udp(&message);
        let record = format!("key.example. 0 TSIG {}{}", hex(&name("hmac-sha256.")), "00006553f100012c0000abcd00110000");
        assert_eq!((reply.rcode.as_str(), reply.additional, reply.answer.len()), ("NOTAUTH", vec![record], 0));
    }
    assert_eq!(udp(&tsig(request("www.example.com.", "A"), &rdata[..20])).rcode, "FORMERR");
    let mut not_last = tsig(request("www.example.com.", "A"), &rdata);
    add_opt(&mut not_last, 1232, 0, &[]);
    assert_eq!(udp(&not_last).rcode, "FORMERR");
}

#[test]
fn extra_records_and_octets_behind_a_good_question_are_ignored() {
    let mut message = request("www.example.com.", "A");
    message[7] = 1;
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1, 0xde, 0xad]);
    assert_eq!(udp(&message).answer, ["www.example.com. 300 A 192.0.2.10"]);
}

#[test]
fn steered_answers() {
    let reply = udp(&request("steered.example.com.", "A"));
    assert!(
        ["steered.example.com. 30 A 192.0.2.20", "steered.example.com. 30 A 192.0.2.21"].contains(&reply.answer[0].as_str()),
        "{reply:?}"
    );
    let reply = udp(&request("alias.example.com.", "A"));
    assert_eq!(reply.answer, ["alias.example.com. 30 CNAME www.example.com.", "www.example.com. 300 A 192.0.2.10"]);
    assert_eq!(udp(&request("alias.example.com.", "CNAME")).answer, ["alias.example.com. 30 CNAME www.example.com."]);
    let reply = udp(&request("steered.example.com.", "AAAA"));
    assert_eq!((reply.rcode.as_str(), reply.authority.len()), ("NOERROR", 1));
    let reply = udp(&request("empty.example.com.", "A"));
    assert_eq!((reply.rcode.as_str(), reply.answer.len(), reply.authority.len()), ("NOERROR", 0, 1));
    let reply = udp(&request("broken.example.com.", "A"));
    assert_eq!((reply.rcode.as_str(), reply.flags.len(), reply.answer.len(), reply.authority.len()), ("SERVFAIL", 0, 0, 0));
}

/// 60 addresses take 960 octets.
fn large_server() -> Server {
    let addresses: Vec<_> = (0..60).map(|last| format!("many.example.com. 60 A 192.0.2.{last}\n")).collect();
    let servers: Vec<_> =
        (0..13).map(|n| format!("cut.example.com. 60 NS ns{n}.cut.example.com.\nns{n}.cut.example.com. 60 AAAA 2001:db8::{n}\n")).collect();
    Server::new(&(ZONES.to_owned() + &addresses.concat() + &servers.concat()))
}

#[test]
fn what_does_not_fit_is_truncated_at_whole_rrsets_rfc2181_9() {
    let cases = [
        ("no EDNS", None, Transport::Udp, 0, true),
        ("EDNS with 512", Some(512), Transport::Udp, 0, true),
        ("EDNS with less than 512", Some(100), Transport::Udp, 0, true),
        ("EDNS with enough", Some(1232), Transport::Udp, 60, false),
        ("EDNS with more than we send", Some(65_535), Transport::Udp, 60, false),
        ("TCP", None, Transport::Tcp, 60, false),
    ];
    for (case, payload, transport, answers, truncated) in cases {
        let mut message = request("many.example.com.", "A");
        if let Some(payload) = payload {
            add_opt(&mut message, payload, 0, &[]);
        }
        let reply = ask(&mut large_server(), &message, transport);
        assert_eq!(
            (reply.answer.len(), reply.flags.contains(&"tc"), reply.opt.is_some()),
            (answers, truncated, payload.is_some()),
            "{case}"
        );
    }
}

#[test]
fn referral_without_room_for_its_glue_is_truncated_rfc9471_3_1() {
    let mut server = large_server();
    let small = ask(&mut server, &request("x.cut.example.com.", "A"), Transport::Udp);
    assert_eq!((small.authority.len(), small.flags.as_slice()), (13, &["tc"][..]));
    assert!(small.additional.len() < 13);
    let whole = ask(&mut server, &with_opt("x.cut.example.com.", "A", &[]), Transport::Udp);
    assert_eq!((whole.authority.len(), whole.additional.len(), whole.flags.len()), (13, 13, 0));
}

#[test]
fn referral_has_all_of_its_glue_and_an_answer_of_more_than_thirteen_hosts_no_addresses() {
    let head = "zone example.com.
example.com. 300 SOA ns1.example.com. host.example.com. 1 3600 600 604800 60
example.com. 300 NS ns1.example.com.
ns1.example.com. 300 A 192.0.2.53
";
    let servers: Vec<_> =
        (0..40).map(|n| format!("cut.example.com. 300 NS n{n}.cut.example.com.\nn{n}.cut.example.com. 300 A 192.0.2.{n}\n")).collect();
    let hosts: Vec<_> = (0..14).map(|n| format!("m{n}.example.com. 300 A 192.0.2.{n}\n")).collect();
    let exchanges = |owner: &str, count: u32| -> String {
        let records: Vec<_> = (0..count).map(|n| format!("{owner}.example.com. 300 MX {n} m{n}.example.com.\n")).collect();
        records.concat()
    };
    let zone = [head.to_owned(), servers.concat(), hosts.concat(), exchanges("few", 13), exchanges("many", 14)].concat();
    let mut server = Server::new(&zone);
    for (qname, rtype, additional) in [("x.cut.example.com.", "A", 40), ("few.example.com.", "MX", 13), ("many.example.com.", "MX", 0)] {
        assert_eq!(ask(&mut server, &request(qname, rtype), Transport::Tcp).additional.len(), additional, "{qname}");
    }
}

#[test]
fn payload_limit_is_the_lesser_of_both_sides() {
    let mut server = large_server();
    server.options.max_udp_payload = 700;
    let reply = ask(&mut server, &with_opt("many.example.com.", "A", &[]), Transport::Udp);
    assert_eq!((reply.flags.contains(&"tc"), reply.opt.unwrap().payload), (true, 700));
}
