//! EDNS(0): the OPT record of a request (RFC 6891 §6.1) and the options in it that we know: NSID (RFC 5001), client subnet (RFC 7871),
//! cookies (RFC 7873), TCP keepalive (RFC 7828). Padding (RFC 7830) and everything unknown is stepped over (RFC 6891 §6.1.2).
//! Whether an option is honoured is the engine's decision; here it is only read and checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::reader::{Malformed, Reader};

pub const OPTION_NSID: u16 = 3;
pub const OPTION_CLIENT_SUBNET: u16 = 8;
pub const OPTION_COOKIE: u16 = 10;
pub const OPTION_KEEPALIVE: u16 = 11;
pub const OPTION_EXTENDED_ERROR: u16 = 15;

/// The DO bit (RFC 3225 §3).
pub const FLAG_DO: u16 = 0x8000;

/// A request's OPT record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns<'a> {
    /// As sent; below 512 counts as 512 (RFC 6891 §6.2.3).
    pub payload: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    pub nsid: bool,
    pub keepalive: bool,
    pub client_subnet: Option<ClientSubnet<'a>>,
    pub cookie: Option<Cookie<'a>>,
}

/// The client subnet option of a request (RFC 7871 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet<'a> {
    /// Address family number as sent: 0 without an address, 1 or 2.
    pub family: u16,
    pub source: u8,
    /// The address octets as sent, `source` bits rounded up.
    pub octets: &'a [u8],
}

/// The cookie option of a request (RFC 7873 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie<'a> {
    pub client: [u8; 8],
    /// Empty, or 8 to 32 octets.
    pub server: &'a [u8],
}

impl<'a> Edns<'a> {
    /// Reads the fixed fields and the options: `class` and `ttl` are those of the OPT record, `options` its rdata. Beside what was read stands
    /// whether all of it was well-formed, because a request with a malformed option is still a request with EDNS.
    pub fn read(class: u16, ttl: u32, options: &'a [u8]) -> (Self, Result<(), Malformed>) {
        let [_extended_rcode, version, flags @ ..] = ttl.to_be_bytes();
        let dnssec_ok = u16::from_be_bytes(flags) & FLAG_DO != 0;
        let mut edns = Self { payload: class, version, dnssec_ok, nsid: false, keepalive: false, client_subnet: None, cookie: None };
        // Another version may give the options another meaning: the version is answered, the options are not looked at (RFC 6891 §6.1.3).
        let read = if version == 0 { edns.read_options(options) } else { Ok(()) };
        (edns, read)
    }

    fn read_options(&mut self, options: &'a [u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(options);
        while !reader.is_empty() {
            let code = reader.u16()?;
            let length = reader.u16()?;
            let data = reader.take(usize::from(length))?;
            match code {
                OPTION_NSID => self.nsid = true, // RFC 5001 §2.1 leaves a payload undefined; it is not looked at
                OPTION_KEEPALIVE => {
                    self.keepalive = data.is_empty(); // RFC 7828 §3.1: clients send no timeout; one that does is not answered
                }
                // RFC 7873 §5.2: of several cookies only the first counts. The same is done for client subnets, where RFC 7871 is silent.
                OPTION_CLIENT_SUBNET => {
                    let subnet = ClientSubnet::read(data)?;
                    self.client_subnet.get_or_insert(subnet);
                }
                OPTION_COOKIE => {
                    let cookie = Cookie::read(data)?;
                    self.cookie.get_or_insert(cookie);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> ClientSubnet<'a> {
    /// Reads the option data. RFC 7871 §7.1.2: scope is 0 in a request; §6: exactly the octets that the source prefix needs, no bit set
    /// beyond it. A family without a meaning can be neither used nor echoed with one, so it is malformed too, but for family 0
    /// with prefix 0, with which a resolver says "no subnet".
    ///
    /// # Errors
    /// When one of these does not hold.
    pub fn read(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data);
        let family = reader.u16()?;
        let source = reader.u8()?;
        let scope = reader.u8()?;
        let octets = reader.take(data.len().saturating_sub(4))?;
        let longest = match family {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(Malformed),
        };
        if scope != 0 || source > longest || octets.len() != usize::from(source).div_ceil(8) || has_bits_beyond(octets, source) {
            return Err(Malformed);
        }
        Ok(Self { family, source, octets })
    }

    /// The address with zero host bits; `None` for family 0.
    pub fn addr(&self) -> Option<IpAddr> {
        match self.family {
            1 => Some(IpAddr::V4(Ipv4Addr::from(padded::<4>(self.octets)))),
            2 => Some(IpAddr::V6(Ipv6Addr::from(padded::<16>(self.octets)))),
            _ => None,
        }
    }
}

/// Whether a bit after the first `prefix` bits is set; `octets` are as many as the prefix needs.
fn has_bits_beyond(octets: &[u8], prefix: u8) -> bool {
    let used = u32::from(prefix % 8);
    let host_bits = 0xff_u8.checked_shr(used).unwrap_or(0);
    used != 0 && octets.last().is_some_and(|&last| last & host_bits != 0)
}

fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    for (slot, octet) in all.iter_mut().zip(octets) {
        *slot = *octet;
    }
    all
}

impl<'a> Cookie<'a> {
    /// Reads the option data: 8 octets, or 16 to 40 (RFC 7873 §5.2.2).
    ///
    /// # Errors
    /// When the length is another.
    pub fn read(data: &'a [u8]) -> Result<Self, Malformed> {
        let (client, server) = data.split_first_chunk().ok_or(Malformed)?;
        if matches!(server.len(), 0 | 8..=32) { Ok(Self { client: *client, server }) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_subnet_cases() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("v4 /24", &[0, 1, 24, 0, 192, 0, 2], true),
            ("v4 /0", &[0, 1, 0, 0], true),
            ("v4 /32", &[0, 1, 32, 0, 192, 0, 2, 1], true),
            ("v4 /33", &[0, 1, 33, 0, 192, 0, 2, 1, 0], false),
            ("v4 /23 with a host bit", &[0, 1, 23, 0, 192, 0, 1], false),
            ("v4 /20 without", &[0, 1, 20, 0, 192, 0, 0xf0], true),
            ("v4 /24 with four octets", &[0, 1, 24, 0, 192, 0, 2, 0], false),
            ("v4 /24 with two octets", &[0, 1, 24, 0, 192, 0], false),
            ("scope set in a request", &[0, 1, 24, 24, 192, 0, 2], false),
            ("v6 /56", &[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0], true),
            ("v6 /129", &[0, 2, 129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false),
            ("family 0, prefix 0", &[0, 0, 0, 0], true),
            ("family 0, prefix 8", &[0, 0, 8, 0, 1], false),
            ("family 3", &[0, 3, 8, 0, 1], false),
            ("three octets", &[0, 1, 24], false),
            ("nothing", &[], false),
        ];
        for (case, data, good) in cases {
            assert_eq!(ClientSubnet::read(data).is_ok(), *good, "{case}");
        }
    }

    #[test]
    fn cookie_lengths_rfc7873_5_2_2() {
        for length in 0..64_usize {
            let good = length == 8 || (16..=40).contains(&length);
            assert_eq!(Cookie::read(&vec![7; length]).is_ok(), good, "{length}");
        }
    }

    #[test]
    fn unknown_options_are_stepped_over_and_short_ones_are_a_fault() {
        let (edns, read) = Edns::read(4096, 0x0000_8000, &[0xff, 0xf0, 0, 2, 1, 2, 0, 3, 0, 0]);
        assert!(edns.dnssec_ok && edns.nsid && read.is_ok());
        assert_eq!(Edns::read(4096, 0, &[0, 3, 0, 1]).1, Err(Malformed));
        assert_eq!(Edns::read(4096, 0, &[0, 3, 0]).1, Err(Malformed));
    }

    #[test]
    fn options_of_another_version_are_not_judged() {
        let (edns, read) = Edns::read(4096, 0x0001_0000, &[0, 8, 0, 1, 9]);
        assert_eq!((edns.version, read), (1, Ok(())));
    }
}
