//! Tables of cases as text, in the words of the field:
//!
//! ```text
//! claim_that_is_checked
//!   ask www.example.com. A [tcp] [from 192.0.2.1]
//!   is NOERROR aa
//!   answer www.example.com. 300 A 192.0.2.1
//!   denied by example.com. 60          (the authority section is that SOA with that ttl, and nothing else)
//! ```
//!
//! Every section that is not mentioned must be empty. Records of a section are compared as sets, answers in order.

use std::fmt::Write as _;

use geodns_engine::answer::Transport;

use super::decode::{Reply, decode};
use super::{Server, request};

/// Asks all questions of the table and compares.
pub fn check(server: &mut Server, table: &str) {
    let mut failures = String::new();
    let mut count = 0;
    for case in Case::all(table) {
        count += 1;
        let found = case.found(server);
        let wanted = case.wanted.clone();
        if found != wanted {
            let _ = write!(failures, "\n{} ({})\n  wanted {wanted:#?}\n  found {found:#?}\n", case.claim, case.question);
        }
    }
    assert!(count > 0, "an empty table proves nothing");
    assert!(failures.is_empty(), "{failures}");
}

struct Case {
    claim: String,
    question: String,
    wanted: Vec<String>,
}

impl Case {
    fn all(table: &str) -> Vec<Self> {
        let mut cases: Vec<Self> = Vec::new();
        for line in table.lines().filter(|line| !line.trim().is_empty()) {
            let text = line.trim();
            match (line.starts_with(' '), cases.last_mut()) {
                (true, Some(case)) => match text.strip_prefix("ask ") {
                    Some(question) => question.clone_into(&mut case.question),
                    None => case.wanted.push(text.split_whitespace().collect::<Vec<_>>().join(" ")),
                },
                _ => cases.push(Self { claim: text.to_owned(), question: String::new(), wanted: Vec::new() }),
            }
        }
        for case in &mut cases {
            sort_unordered(&mut case.wanted);
        }
        cases
    }

    fn found(&self, server: &mut Server) -> Vec<String> {
        let words: Vec<&str> = self.question.split_whitespace().collect();
        let transport = if words.contains(&"tcp") { Transport::Tcp } else { Transport::Udp };
        let sender = words.iter().position(|word| *word == "from").map_or("192.0.2.53", |at| words[at + 1]);
        let source = std::net::SocketAddr::new(sender.parse().unwrap(), 5353).to_string();
        let reply = server.send(&request(words[0], words[1]), &source, transport).expect("a reply");
        let mut found = lines(&decode(&reply));
        sort_unordered(&mut found);
        found
    }
}

fn lines(reply: &Reply) -> Vec<String> {
    let mut lines = vec![format!("is {} {}", reply.rcode, reply.flags.join(" ")).trim().to_owned()];
    lines.extend(reply.answer.iter().map(|record| format!("answer {record}")));
    match reply.authority.as_slice() {
        [soa] if soa.contains(" SOA ") => {
            let words: Vec<&str> = soa.split_whitespace().collect();
            lines.push(format!("denied by {} {}", words[0], words[1]));
        }
        records => lines.extend(records.iter().map(|record| format!("authority {record}"))),
    }
    lines.extend(reply.additional.iter().map(|record| format!("additional {record}")));
    lines
}

/// Answers keep their order, because CNAME chains have one; the rest are sets.
fn sort_unordered(lines: &mut [String]) {
    lines.sort_by_key(|line| match line.split_whitespace().next() {
        Some("is") => (0, String::new()),
        Some("answer") => (1, String::new()),
        Some("denied" | "authority") => (2, line.clone()),
        _ => (3, line.clone()),
    });
}
