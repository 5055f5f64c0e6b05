//! Numbers of the record types, query types and classes that the dataplane treats by name (IANA "Domain Name System Parameters").
//! All others pass through as plain data (RFC 3597 §3).

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const MD: u16 = 3;
pub const MF: u16 = 4;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const MB: u16 = 7;
pub const MG: u16 = 8;
pub const MR: u16 = 9;
pub const WKS: u16 = 11;
pub const PTR: u16 = 12;
pub const HINFO: u16 = 13;
pub const MINFO: u16 = 14;
pub const MX: u16 = 15;
pub const TXT: u16 = 16;
pub const RP: u16 = 17;
pub const AFSDB: u16 = 18;
pub const X25: u16 = 19;
pub const ISDN: u16 = 20;
pub const RT: u16 = 21;
pub const SIG: u16 = 24;
pub const KEY: u16 = 25;
pub const PX: u16 = 26;
pub const AAAA: u16 = 28;
pub const LOC: u16 = 29;
pub const NXT: u16 = 30;
pub const SRV: u16 = 33;
pub const NAPTR: u16 = 35;
pub const KX: u16 = 36;
pub const CERT: u16 = 37;
pub const DNAME: u16 = 39;
pub const OPT: u16 = 41;
pub const DS: u16 = 43;
pub const SSHFP: u16 = 44;
pub const RRSIG: u16 = 46;
pub const NSEC: u16 = 47;
pub const DNSKEY: u16 = 48;
pub const NSEC3: u16 = 50;
pub const NSEC3PARAM: u16 = 51;
pub const TLSA: u16 = 52;
pub const SMIMEA: u16 = 53;
pub const CDS: u16 = 59;
pub const CDNSKEY: u16 = 60;
pub const OPENPGPKEY: u16 = 61;
pub const CSYNC: u16 = 62;
pub const ZONEMD: u16 = 63;
pub const SVCB: u16 = 64;
pub const HTTPS: u16 = 65;
pub const SPF: u16 = 99;
pub const NID: u16 = 104;
pub const L32: u16 = 105;
pub const L64: u16 = 106;
pub const LP: u16 = 107;
pub const EUI48: u16 = 108;
pub const EUI64: u16 = 109;
pub const TKEY: u16 = 249;
pub const TSIG: u16 = 250;
pub const IXFR: u16 = 251;
pub const AXFR: u16 = 252;
pub const MAILB: u16 = 253;
pub const MAILA: u16 = 254;
pub const ANY: u16 = 255;
pub const URI: u16 = 256;
pub const CAA: u16 = 257;
pub const DLV: u16 = 32769;

/// Class IN.
pub const CLASS_IN: u16 = 1;
/// Class ANY, in TSIG records (RFC 8945 §4.2).
pub const CLASS_ANY: u16 = 255;

/// Types that exist in questions and messages only and can never be zone data: OPT (RFC 6891 §6.1.1), the meta and query types 128 to
/// 255 (RFC 6895 §3.1), and the reserved 0 and 65535.
pub fn is_meta(rtype: u16) -> bool {
    matches!(rtype, 0 | OPT | 128..=255)
}
