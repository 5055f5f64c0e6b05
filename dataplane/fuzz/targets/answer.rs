//! Any bytes as a message: silence, or a reply that is well-formed, has QR set and carries the request's id and opcode.
//!
//! The first byte picks the transport and the size of the reply buffer's use; the rest is the message.
#![no_main]

#[path = "../../engine/tests/support/mod.rs"]
mod support;

use std::cell::RefCell;

use geodns_engine::answer::Transport;
use libfuzzer_sys::fuzz_target;

const ZONES: &str = "
zone example.com.
example.com. 300 SOA ns1.example.com. host.example.com. 1 3600 600 604800 60
example.com. 300 NS ns1.example.com.
example.com. 300 MX 10 mail.example.com.
ns1.example.com. 300 A 192.0.2.53
mail.example.com. 300 A 192.0.2.25
a.b.c.example.com. 300 A 192.0.2.1
*.w.example.com. 300 CNAME www.example.com.
www.example.com. 30 A steered 192.0.2.10 192.0.2.11
c1.example.com. 30 CNAME c2.example.com.
c2.example.com. 30 CNAME c1.example.com.
d.example.com. 30 DNAME a-rather-long-label-to-overflow-names-with.example.com.
sub.example.com. 300 NS ns.sub.example.com.
ns.sub.example.com. 300 A 192.0.2.54
zone child.example.com.
child.example.com. 300 SOA ns1.example.com. host.example.com. 1 3600 600 604800 60
child.example.com. 300 NS ns1.example.com.
";

thread_local! {
    static SERVER: RefCell<support::Server> = RefCell::new(support::Server::new(ZONES));
}

fuzz_target!(|data: &[u8]| {
    let Some((&knob, request)) = data.split_first() else { return };
    let transport = if knob & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let source = if knob & 2 == 0 { "192.0.2.99:4242" } else { "[2001:db8::99]:4242" };
    SERVER.with_borrow_mut(|server| {
        let Some(reply) = server.send(request, source, transport) else { return };
        assert!(reply.len() >= 12);
        assert_eq!(reply.get(..2), request.get(..2), "the id is echoed");
        assert_eq!(reply[2] & 0x80, 0x80, "QR is set");
        assert_eq!(reply[2] & 0x78, request[2] & 0x78, "the opcode is echoed");
        let again = server.send(&reply, source, transport);
        assert!(again.is_none(), "a reply is never answered");
        support::decode::decode(&reply);
    });
});
