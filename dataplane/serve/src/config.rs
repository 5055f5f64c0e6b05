//! CONFIG: JSON to checked values (`docs/link-protocol.md` section 4). An unknown key is refused, so that a setting is never silently without effect.

use std::net::IpAddr;
use std::path::PathBuf;

use geodns_engine::acl::NetworkSet;
use geodns_engine::cookie::Secret;
use geodns_engine::rrl::{self, Limits, Pace};
use geodns_engine::spec::Prefix;
use geodns_engine::view::{ClientSubnets, Options};
use serde_json::{Map, Value};

use crate::tcp;

/// Client prefixes of `sticky` when CONFIG does not say: contract section 2.
pub const DEFAULT_STICKY_PREFIX: (u8, u8) = (24, 56);

/// Client prefixes of rate limiting: a network's usual shares of both families.
const DEFAULT_RATE_PREFIX: (u8, u8) = (24, 56);

/// Every second limited reply: half of a flood's volume at most comes back, and a client asks twice.
const DEFAULT_SLIP: u32 = 2;

/// RFC 5001: an NSID of any length would eat the room of answers.
const MAX_NSID: usize = 64;

/// Below 512 no client need listen (RFC 1035 §4.2.1); above 4096 fragments are certain.
const UDP_PAYLOADS: std::ops::RangeInclusive<u64> = 512..=4096;

/// A CONFIG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub options: Options,
    pub sticky_prefix: (u8, u8),
    /// Location databases, the most believed first.
    pub geo_databases: Vec<PathBuf>,
    /// A change makes us look at the same files again.
    pub geo_generation: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { options: options(), sticky_prefix: DEFAULT_STICKY_PREFIX, geo_databases: Vec::new(), geo_generation: 0 }
    }
}

/// The options before any CONFIG: what TCP announces is how TCP behaves.
fn options() -> Options {
    let units = tcp::IDLE_TIMEOUT.as_millis() / 100;
    Options { tcp_keepalive: u16::try_from(units).unwrap_or(u16::MAX), ..Options::default() }
}

impl Config {
    /// Reads the JSON of a CONFIG frame.
    ///
    /// # Errors
    /// One sentence that names the key.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let document = serde_json::from_slice(json).map_err(|error| format!("CONFIG is not JSON: {error}"))?;
        let Value::Object(keys) = document else { return Err("CONFIG is not an object".into()) };
        let mut config = Self::default();
        for (key, value) in &keys {
            config.take(key, value).map_err(|what| format!("CONFIG: {key} {what}"))?;
        }
        Ok(config)
    }

    fn take(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "geo_databases" => self.geo_databases = paths(value)?,
            "geo_generation" => self.geo_generation = value.as_i64().ok_or("is not an integer")?,
            "cookie_secrets" => self.options.cookie_secrets = list(value)?.iter().map(secret).collect::<Result<_, _>>()?,
            "nsid" => self.options.nsid = nsid(value)?,
            "sticky_prefix" => self.sticky_prefix = sticky_prefix(value)?,
            "max_udp_payload" => {
                let payload = value.as_u64().filter(|payload| UDP_PAYLOADS.contains(payload));
                self.options.max_udp_payload =
                    payload.and_then(|payload| u16::try_from(payload).ok()).ok_or("is not within 512 and 4096")?;
            }
            "ecs" => self.options.client_subnets = client_subnets(value)?,
            "allow" => self.options.allow = networks(value)?,
            "deny" => self.options.deny = networks(value)?,
            "rrl" => self.options.rate_limits = rate_limits(value)?,
            _ => return Err("is not known".into()),
        }
        Ok(())
    }
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| "is not a list".into())
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "is not a text".into())
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| "is not an object".into())
}

fn paths(value: &Value) -> Result<Vec<PathBuf>, String> {
    list(value)?
        .iter()
        .map(|path| {
            let path = PathBuf::from(text(path)?);
            if path.is_absolute() { Ok(path) } else { Err(format!("has {}, which is not an absolute path", path.display())) }
        })
        .collect()
}

fn secret(value: &Value) -> Result<Secret, String> {
    let wrong = || "has a secret that is not of 32 hex digits".to_owned();
    let digits = text(value)?;
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    u128::from_str_radix(digits, 16).map(u128::to_be_bytes).map_err(|_| wrong())
}

fn nsid(value: &Value) -> Result<Box<[u8]>, String> {
    let nsid = text(value)?;
    if nsid.len() > MAX_NSID { Err(format!("is over {MAX_NSID} bytes")) } else { Ok(nsid.as_bytes().into()) }
}

fn sticky_prefix(value: &Value) -> Result<(u8, u8), String> {
    let mut lengths = DEFAULT_STICKY_PREFIX;
    for (key, length) in object(value)? {
        match key.as_str() {
            "ipv4" => lengths.0 = prefix_length(length, 32)?,
            "ipv6" => lengths.1 = prefix_length(length, 128)?,
            _ => return Err(format!("has {key}, which is not known")),
        }
    }
    Ok(lengths)
}

fn prefix_length(value: &Value, most: u8) -> Result<u8, String> {
    let length = value.as_u64().and_then(|length| u8::try_from(length).ok()).filter(|length| *length <= most);
    length.ok_or_else(|| format!("has a prefix length that is not within 0 and {most}"))
}

fn client_subnets(value: &Value) -> Result<ClientSubnets, String> {
    match value {
        Value::Bool(true) => Ok(ClientSubnets::FromAll),
        Value::Bool(false) => Ok(ClientSubnets::FromNobody),
        Value::Array(_) => Ok(ClientSubnets::From(networks(value)?)),
        _ => Err("is neither true, false nor a list".into()),
    }
}

fn networks(value: &Value) -> Result<NetworkSet, String> {
    let prefixes = list(value)?.iter().map(|network| prefix(text(network)?)).collect::<Result<Vec<_>, _>>()?;
    Ok(NetworkSet::new(&prefixes))
}

/// A network, or an address as one; the error goes after the name of what has it.
pub(crate) fn prefix(text: &str) -> Result<Prefix, String> {
    let wrong = || format!("has {text:?}, which is not a network");
    let (addr, length) = text.split_once('/').map_or((text, None), |(addr, length)| (addr, Some(length)));
    let addr: IpAddr = addr.parse().map_err(|_| wrong())?;
    let bits: u8 = if addr.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Ok(bits), |length| length.parse().map_err(|_| wrong()))?;
    if length > bits {
        return Err(wrong());
    }
    let has_host_bits = match addr {
        IpAddr::V4(addr) => addr.to_bits().checked_shl(length.into()).unwrap_or(0) != 0,
        IpAddr::V6(addr) => addr.to_bits().checked_shl(length.into()).unwrap_or(0) != 0,
    };
    if has_host_bits { Err(format!("has {text:?}, which has host bits")) } else { Ok(Prefix { addr, length }) }
}

/// `None` at rate 0. The other keys are checked at any rate.
fn rate_limits(value: &Value) -> Result<Option<Limits>, String> {
    let (mut rate, mut slip, mut prefix) = (0, DEFAULT_SLIP, DEFAULT_RATE_PREFIX);
    let (mut allow, mut dry_run) = (NetworkSet::default(), false);
    for (key, setting) in object(value)? {
        match key.as_str() {
            "rate" => rate = whole_number(setting, rrl::MAX_RATE)?,
            "slip" => slip = whole_number(setting, rrl::MAX_SLIP.into())?,
            "ipv4" => prefix.0 = prefix_length(setting, 32)?,
            "ipv6" => prefix.1 = prefix_length(setting, 128)?,
            "allow" => allow = networks(setting)?,
            "dry_run" => dry_run = setting.as_bool().ok_or("has a dry_run that is neither true nor false")?,
            _ => return Err(format!("has {key}, which is not known")),
        }
    }
    let (ipv4_prefix, ipv6_prefix) = prefix;
    let slip = u8::try_from(slip).unwrap_or(rrl::MAX_SLIP);
    Ok(Pace::new(rate).map(|pace| Limits { pace, slip, ipv4_prefix, ipv6_prefix, allow, dry_run }))
}

fn whole_number(value: &Value, most: u32) -> Result<u32, String> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= most);
    number.ok_or_else(|| format!("has {value}, which is not a number within 0 and {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_config_is_the_defaults() {
        let config = Config::read(b"{}").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.options.max_udp_payload, 1232);
        assert_eq!(config.options.tcp_keepalive, 100);
    }

    #[test]
    fn every_key_is_taken() {
        let json = br#"{
            "geo_databases": ["/data/country.mmdb"], "geo_generation": 3,
            "cookie_secrets": ["000102030405060708090a0b0c0d0e0f"], "nsid": "fra1",
            "sticky_prefix": {"ipv4": 20, "ipv6": 48}, "max_udp_payload": 1400,
            "ecs": ["192.0.2.0/24"], "allow": [], "deny": ["2001:db8::/32", "198.51.100.7"],
            "rrl": {"rate": 20, "slip": 3, "ipv4": 25, "ipv6": 48, "allow": ["192.0.2.0/24"], "dry_run": true}
        }"#;
        let config = Config::read(json).unwrap();
        assert_eq!(config.geo_databases, [PathBuf::from("/data/country.mmdb")]);
        assert_eq!((config.geo_generation, config.sticky_prefix), (3, (20, 48)));
        assert_eq!(config.options.cookie_secrets, [core::array::from_fn(|octet| u8::try_from(octet).unwrap())]);
        assert_eq!((&*config.options.nsid, config.options.max_udp_payload), (b"fra1".as_slice(), 1400));
        assert!(config.options.deny.contains("198.51.100.7".parse().unwrap()));
        assert!(!config.options.deny.contains("198.51.100.8".parse().unwrap()));
        assert!(matches!(config.options.client_subnets, ClientSubnets::From(_)));
        let limits = config.options.rate_limits.unwrap();
        assert_eq!((limits.pace, limits.slip, limits.dry_run), (Pace::new(20).unwrap(), 3, true));
        assert_eq!((limits.ipv4_prefix, limits.ipv6_prefix), (25, 48));
        assert!(limits.allow.contains("192.0.2.9".parse().unwrap()));
    }

    #[test]
    fn without_a_rate_nothing_is_limited() {
        for json in ["{}", r#"{"rrl": {}}"#, r#"{"rrl": {"rate": 0, "slip": 5, "dry_run": true}}"#] {
            assert_eq!(Config::read(json.as_bytes()).unwrap().options.rate_limits, None, "{json}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, named) in [
            ("", "JSON"),
            ("[]", "object"),
            (r#"{"unheard": 1}"#, "unheard"),
            (r#"{"geo_databases": ["relative.mmdb"]}"#, "relative.mmdb"),
            (r#"{"geo_databases": "one"}"#, "geo_databases"),
            (r#"{"geo_generation": "1"}"#, "geo_generation"),
            (r#"{"cookie_secrets": ["+0112233445566778899aabbccddeeff"]}"#, "cookie_secrets"),
            (r#"{"cookie_secrets": ["00"]}"#, "cookie_secrets"),
            (r#"{"sticky_prefix": {"ipv4": 33}}"#, "sticky_prefix"),
            (r#"{"sticky_prefix": {"ipv5": 3}}"#, "ipv5"),
            (r#"{"max_udp_payload": 511}"#, "max_udp_payload"),
            (r#"{"max_udp_payload": 4097}"#, "max_udp_payload"),
            (r#"{"ecs": "yes"}"#, "ecs"),
            (r#"{"allow": ["192.0.2.1/24"]}"#, "host bits"),
            (r#"{"deny": ["192.0.2.0/33"]}"#, "192.0.2.0/33"),
            (r#"{"deny": ["example"]}"#, "example"),
            (r#"{"rrl": {"rate": 100001}}"#, "within 0 and 100000"),
            (r#"{"rrl": {"rate": -1}}"#, "rrl"),
            (r#"{"rrl": {"rate": 5, "slip": 101}}"#, "within 0 and 100"),
            (r#"{"rrl": {"ipv4": 33}}"#, "prefix length"),
            (r#"{"rrl": {"ipv6": 129}}"#, "prefix length"),
            (r#"{"rrl": {"dry_run": 1}}"#, "dry_run"),
            (r#"{"rrl": {"allow": ["example"]}}"#, "example"),
            (r#"{"rrl": {"speed": 5}}"#, "speed"),
        ] {
            let refused = Config::read(json.as_bytes()).unwrap_err();
            assert!(refused.contains(named), "{json}: {refused}");
        }
        let long = format!(r#"{{"nsid": "{}"}}"#, "x".repeat(65));
        assert!(Config::read(long.as_bytes()).unwrap_err().contains("nsid"));
    }
}
