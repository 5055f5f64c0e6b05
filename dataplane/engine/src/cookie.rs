//! DNS cookies (RFC 7873) in the interoperable form of RFC 9018, so that every node with the same secrets accepts what any of them made. Cookies only
//! ever show that a client is where it says: a missing or wrong one costs nothing but the exemption from rate limiting, and gets a good one.

use std::net::IpAddr;

use geodns_wire::edns::Cookie;

/// A server secret (RFC 9018 §4.4).
pub type Secret = [u8; 16];

/// RFC 9018 §4.3: no older than an hour.
const OLDEST_S: i32 = 3600;
/// RFC 9018 §4.3: no further in the future than five minutes, which clocks may differ by.
const NEWEST_S: i32 = -300;
/// RFC 9018 §4.3: from half an hour on a fresh one is made, so that a client in touch never holds an expired one.
const RENEW_AFTER_S: i32 = 1800;
/// RFC 9018 §4.1.
const VERSION: u8 = 1;

/// What a request's cookie shows, and the cookie of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieAnswer {
    /// The client has received an answer from us at this address within the hour.
    pub is_valid: bool,
    pub reply: [u8; 24],
}

/// Judges a request's cookie at unix time `now_s`; `None` when there is no secret to make one with.
pub fn answer_cookie(secrets: &[Secret], cookie: &Cookie<'_>, client: IpAddr, now_s: u32) -> Option<CookieAnswer> {
    let newest = secrets.first()?;
    let validity = judge(secrets, cookie, client, now_s);
    let server = match validity {
        Validity::Fresh(server) => server,
        Validity::Ageing | Validity::None => make(newest, cookie.client, client, head(now_s)),
    };
    let mut reply = [0; 24];
    fill(&mut reply, cookie.client.into_iter().chain(server));
    Some(CookieAnswer { is_valid: validity != Validity::None, reply })
}

/// What a server cookie is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    /// Made with the newest secret and not long ago: it goes back unchanged.
    Fresh([u8; 16]),
    /// Good, and to be renewed.
    Ageing,
    None,
}

fn judge(secrets: &[Secret], cookie: &Cookie<'_>, client: IpAddr, now_s: u32) -> Validity {
    let Ok(server) = <[u8; 16]>::try_from(cookie.server) else { return Validity::None };
    let [version, r0, r1, r2, t0, t1, t2, t3, ..] = server;
    // RFC 9018 §4.3: serial number arithmetic (RFC 1982), so that 2106 is a day like any other.
    let age = now_s.wrapping_sub(u32::from_be_bytes([t0, t1, t2, t3])).cast_signed();
    if version != VERSION || !(NEWEST_S..=OLDEST_S).contains(&age) {
        return Validity::None;
    }
    // The reserved octets count as received: another version of a peer may use them.
    let head = [version, r0, r1, r2, t0, t1, t2, t3];
    match secrets.iter().position(|secret| equal_in_constant_time(make(secret, cookie.client, client, head), server)) {
        None => Validity::None,
        Some(0) if age < RENEW_AFTER_S => Validity::Fresh(server),
        Some(_) => Validity::Ageing,
    }
}

fn equal_in_constant_time(left: [u8; 16], right: [u8; 16]) -> bool {
    left.iter().zip(right).fold(0, |difference, (l, r)| difference | (l ^ r)) == 0
}

/// Version, reserved octets and timestamp of a cookie made now (RFC 9018 §4.1 to §4.3).
fn head(now_s: u32) -> [u8; 8] {
    let [t0, t1, t2, t3] = now_s.to_be_bytes();
    [VERSION, 0, 0, 0, t0, t1, t2, t3]
}

/// RFC 9018 §4.4: SipHash-2-4 of client cookie, head and the client's address, in little-endian order as its reference code has it.
fn make(secret: &Secret, client_cookie: [u8; 8], client: IpAddr, head: [u8; 8]) -> [u8; 16] {
    let mut input = [0_u8; 32];
    let addr: &[u8] = match &client {
        IpAddr::V4(addr) => &addr.octets(),
        IpAddr::V6(addr) => &addr.octets(),
    };
    fill(&mut input, client_cookie.into_iter().chain(head).chain(addr.iter().copied()));
    let length = addr.len().wrapping_add(16);
    let hash = siphash_2_4(secret, input.get(..length).unwrap_or(&input));
    let mut server = [0; 16];
    fill(&mut server, head.into_iter().chain(hash.to_le_bytes()));
    server
}

fn fill(slots: &mut [u8], octets: impl Iterator<Item = u8>) {
    slots.iter_mut().zip(octets).for_each(|(slot, octet)| *slot = octet);
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012).
fn siphash_2_4(key: &Secret, message: &[u8]) -> u64 {
    let (k0, k1) = halves(key);
    let mut state = [k0 ^ 0x736f_6d65_7073_6575, k1 ^ 0x646f_7261_6e64_6f6d, k0 ^ 0x6c79_6765_6e65_7261, k1 ^ 0x7465_6462_7974_6573];
    let (words, tail) = message.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (slot, octet) in last.iter_mut().zip(tail) {
        *slot = *octet;
    }
    absorb(&mut state, u64::from_le_bytes(last) | (message.len() as u64) << 56);
    let [v0, v1, v2, v3] = state;
    state = [v0, v1, v2 ^ 0xff, v3];
    (0..4).for_each(|_| round(&mut state));
    state.iter().fold(0, |hash, word| hash ^ word)
}

fn halves(key: &Secret) -> (u64, u64) {
    let number = u128::from_le_bytes(*key);
    let [low, high] = [number, number >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
    (low, high)
}

fn absorb(state: &mut [u64; 4], word: u64) {
    let [v0, v1, v2, v3] = *state;
    *state = [v0, v1, v2, v3 ^ word];
    round(state);
    round(state);
    let [v0, v1, v2, v3] = *state;
    *state = [v0 ^ word, v1, v2, v3];
}

fn round(state: &mut [u64; 4]) {
    let [mut v0, mut v1, mut v2, mut v3] = *state;
    v0 = v0.wrapping_add(v1);
    v1 = v1.rotate_left(13) ^ v0;
    v0 = v0.rotate_left(32);
    v2 = v2.wrapping_add(v3);
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.wrapping_add(v3);
    v3 = v3.rotate_left(21) ^ v0;
    v2 = v2.wrapping_add(v1);
    v1 = v1.rotate_left(17) ^ v2;
    v2 = v2.rotate_left(32);
    *state = [v0, v1, v2, v3];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let octets: Vec<u8> = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
        octets.try_into().unwrap()
    }

    #[test]
    fn siphash_matches_the_paper() {
        let key: Secret = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(siphash_2_4(&key, &message), 0xa129_ca61_49be_45e5);
    }

    /// RFC 9018 appendix A.1: learning a new server cookie.
    #[test]
    fn new_cookie_rfc9018_a_1() {
        let secret: Secret = hex("e5e973e5a6b2a43f48e7dc849e37bfcf");
        let cookie = Cookie { client: hex("2464c4abcf10c957"), server: &[] };
        let answer = answer_cookie(&[secret], &cookie, "198.51.100.100".parse().unwrap(), 1_559_731_985).unwrap();
        assert_eq!(answer.reply, hex("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        assert!(!answer.is_valid);
    }

    /// RFC 9018 appendix A.2: a cookie of forty minutes is good, and renewed.
    #[test]
    fn renewed_cookie_rfc9018_a_2() {
        let secret: Secret = hex("e5e973e5a6b2a43f48e7dc849e37bfcf");
        let server: [u8; 16] = hex("010000005cf79f111f8130c3eee29480");
        let cookie = Cookie { client: hex("2464c4abcf10c957"), server: &server };
        let judged = |now_s| answer_cookie(&[secret], &cookie, "198.51.100.100".parse().unwrap(), now_s).unwrap();
        assert_eq!(judged(1_559_734_385).reply[8..], hex::<16>("010000005cf7a871d4a564a1442aca77"));
        assert!(judged(1_559_734_385).is_valid);
        assert_eq!(judged(1_559_731_985 + 1_799).reply[8..], server);
    }

    /// RFC 9018 appendix A.4: an IPv6 client, and a secret that was rolled over.
    #[test]
    fn rolled_over_secret_rfc9018_a_4() {
        let old: Secret = hex("dd3bdf9344b678b185a6f5cb60fca715");
        let new: Secret = hex("445536bcd2513298075a5d379663c962");
        let server: [u8; 16] = hex("010000005cf7c57926556bd0934c72f8");
        let cookie = Cookie { client: hex("22681ab97d52c298"), server: &server };
        let client = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().unwrap();
        let answer = answer_cookie(&[new, old], &cookie, client, 1_559_741_961).unwrap();
        assert!(answer.is_valid);
        assert_eq!(answer.reply, hex("22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
    }

    #[test]
    fn cookies_of_others_and_old_ones_are_not_valid() {
        let secret: Secret = [7; 16];
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let fresh = answer_cookie(&[secret], &Cookie { client: [1; 8], server: &[] }, client, 10_000).unwrap().reply;
        let judged = |client: &str, now_s| {
            let cookie = Cookie { client: [1; 8], server: &fresh[8..] };
            answer_cookie(&[secret], &cookie, client.parse().unwrap(), now_s).unwrap().is_valid
        };
        assert!(judged("192.0.2.1", 10_000 + 3_600));
        assert!(judged("192.0.2.1", 10_000 - 300));
        assert!(!judged("192.0.2.1", 10_000 + 3_601));
        assert!(!judged("192.0.2.1", 10_000 - 301));
        assert!(!judged("192.0.2.2", 10_000));
        assert_eq!(answer_cookie(&[], &Cookie { client: [1; 8], server: &[] }, client, 0), None);
    }
}
