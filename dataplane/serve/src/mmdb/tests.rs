//! Every schema in use, every size of record, and files that are damaged in every way that a byte can be.

use std::net::IpAddr;

use geodns_engine::location::{LocationSet, NamedTable};
use geodns_engine::spec::Coordinates;

use super::writer::{Data, Writer, map};
use super::*;

fn text(text: &'static str) -> Data {
    Data::Text(text)
}

fn coded(code: &'static str) -> Data {
    map([("names", map([("en", text("a name"))])), ("iso_code", text(code))])
}

/// What a table says of an address: country, database's continent, subdivisions, system, coordinates.
fn say(table: &LocationTable, addr: &str) -> (String, String, String, u32, Option<(i32, i32)>) {
    let location = *table.look_up(addr.parse().unwrap()).unwrap().location;
    (
        location.country.map(|country| country.to_string()).unwrap_or_default(),
        location.continent.map(|continent| continent.code().to_owned()).unwrap_or_default(),
        location.subdivisions().map(|code| code.to_string()).collect::<Vec<_>>().join(" "),
        location.asn.unwrap_or(0),
        location.coordinates.map(|Coordinates { latitude, longitude }| (latitude, longitude)),
    )
}

fn compile_one(record: &Data) -> Result<LocationTable, MmdbFault> {
    let mut writer = Writer::new(6, 24);
    writer.put("192.0.2.0/24", record);
    compile(&writer.finish("Test"))
}

#[test]
fn a_file_without_a_description_is_read() {
    let mut writer = Writer::new(6, 24);
    writer.put("192.0.2.0/24", &map([("country_code", text("DE"))]));
    let file = writer.finish("Test");
    let described = b"\xe1\x42en\x4emade by a test";
    let at = file.windows(described.len()).position(|window| window == described).unwrap();
    let bare = [&file[..at], b"\xe0", &file[at + described.len()..]].concat();
    assert!(bare.windows(NO_DESCRIPTION.len()).any(|window| window == NO_DESCRIPTION));
    assert_eq!(compile(&bare).unwrap(), compile(&file).unwrap());
    assert!(compile(&[&bare[..at], b"\xe0"].concat()).is_err());
}

#[test]
fn every_schema_is_read() {
    let maxmind = map([
        ("city", map([("geoname_id", Data::U32(1))])),
        ("continent", map([("code", text("NA")), ("geoname_id", Data::U32(2))])),
        ("country", coded("US")),
        (
            "location",
            map([("accuracy_radius", Data::U16(20)), ("latitude", Data::Double(37.7749)), ("longitude", Data::Double(-122.4194))]),
        ),
        ("registered_country", coded("CA")),
        ("subdivisions", Data::List(vec![coded("CA"), coded("SF")])),
        ("traits", map([("is_anycast", Data::Bool(true)), ("autonomous_system_number", Data::U32(64500))])),
    ]);
    let db_ip = map([
        ("continent", map([("code", text("EU"))])),
        ("country", map([("is_in_european_union", Data::Bool(true)), ("iso_code", text("DE"))])),
    ]);
    let unknown = map([("country", coded("ZZ")), ("registered_country", coded("FR"))]);
    let ipinfo = map([
        ("asn", text("AS174")),
        ("continent", text("North America")),
        ("continent_code", text("NA")),
        ("country", text("United States")),
        ("country_code", text("US")),
        ("region_code", text("CA")),
        ("latitude", text("37.5")),
        ("longitude", text("-122")),
    ]);
    let old_ipinfo = map([("asn", text("AS3320")), ("continent", text("EU")), ("country", text("DE")), ("country_name", text("Germany"))]);
    let plain = map([("country_code", text("JP")), ("latitude", Data::Double(35.0)), ("longitude", Data::Double(139.0))]);
    let nothing = |record: &Data| (record.clone(), ("", "", "", 0, None));
    let cases = [
        (maxmind, ("US", "NA", "CA SF", 64500, Some((37_774_900, -122_419_400)))),
        (db_ip, ("DE", "EU", "", 0, None)),
        (unknown, ("FR", "", "", 0, None)),
        (map([("registered_country", coded("FR"))]), ("FR", "", "", 0, None)),
        (ipinfo, ("US", "NA", "CA", 174, Some((37_500_000, -122_000_000)))),
        (old_ipinfo, ("DE", "EU", "", 3320, None)),
        (plain, ("JP", "", "", 0, Some((35_000_000, 139_000_000)))),
        (map([("autonomous_system_number", Data::U32(64501)), ("autonomous_system_organization", text("x"))]), ("", "", "", 64501, None)),
        (map([("country_code", text("JP")), ("latitude", Data::Double(95.0)), ("longitude", Data::Double(1.0))]), ("JP", "", "", 0, None)),
        (map([("country_code", text("JP")), ("location", map([("latitude", Data::Double(f64::NAN))]))]), ("JP", "", "", 0, None)),
        // Known keys with values of another shape.
        (
            map([("country_code", text("JP")), ("asn", map([("asn", Data::U32(1))])), ("continent", Data::List(vec![]))]),
            ("JP", "", "", 0, None),
        ),
        (map([("country_code", text("JP")), ("subdivisions", text("CA")), ("country", Data::U64(7))]), ("JP", "", "", 0, None)),
        (
            map([("country_code", text("JP")), ("subdivisions", Data::List(vec![Data::List(vec![Data::U16(1)]), coded("13")]))]),
            ("JP", "", "13", 0, None),
        ),
        nothing(&map([("country", text("Germany"))])),
    ];
    for (record, (country, continent, subdivisions, asn, coordinates)) in cases {
        let expected = (country.to_owned(), continent.to_owned(), subdivisions.to_owned(), asn, coordinates);
        match compile_one(&record) {
            Ok(table) => assert_eq!(say(&table, "192.0.2.1"), expected, "{record:?}"),
            Err(fault) => assert!(matches!(fault, MmdbFault::NoFacts { networks: 1 }) && country.is_empty(), "{record:?}: {fault}"),
        }
    }
}

#[test]
fn a_file_without_any_fact_is_refused() {
    assert!(matches!(compile_one(&map([("city", text("Berlin"))])), Err(MmdbFault::NoFacts { networks: 1 })));
    assert!(matches!(compile(&Writer::new(4, 24).finish("Empty")), Err(MmdbFault::NoFacts { networks: 0 })));
}

#[test]
fn a_record_that_is_no_map_is_refused() {
    assert!(matches!(compile_one(&text("DE")), Err(MmdbFault::Format(_))));
}

#[test]
fn networks_of_both_families_and_every_record_size() {
    for record_size in [24, 28, 32] {
        for ip_version in [4, 6] {
            let mut writer = Writer::new(ip_version, record_size);
            let germany = writer.record(&map([("country_code", text("DE"))]));
            let france = writer.record(&map([("country_code", text("FR"))]));
            writer.insert("192.0.2.0/25", germany);
            writer.insert("192.0.2.128/32", france);
            writer.insert("203.0.113.0/24", germany);
            if ip_version == 6 {
                writer.insert("2001:db8::/32", france);
            }
            let table = compile(&writer.finish("Test-Country")).unwrap();
            for (addr, country, network) in [
                ("192.0.2.127", "DE", 25),
                ("192.0.2.128", "FR", 32),
                ("192.0.2.129", "", 32),
                ("203.0.113.9", "DE", 24),
                ("2001:db8:1::", if ip_version == 6 { "FR" } else { "" }, if ip_version == 6 { 32 } else { 0 }),
            ] {
                let addr: IpAddr = addr.parse().unwrap();
                let found = table.look_up(addr).unwrap();
                let code = found.location.country.map(|country| country.to_string()).unwrap_or_default();
                assert_eq!((code.as_str(), found.network), (country, network), "{addr} {record_size} {ip_version}");
            }
            assert_eq!((table.origin().database_type.as_str(), table.origin().build_epoch), ("Test-Country", 1_700_000_000));
        }
    }
}

#[test]
fn a_record_above_all_of_ipv4_holds_for_it() {
    let mut writer = Writer::new(6, 24);
    writer.put("::/1", &map([("country_code", text("DE"))]));
    let table = compile(&writer.finish("Test")).unwrap();
    for (addr, country) in [("192.0.2.1", "DE"), ("2001:db8::", "DE"), ("8000::", "")] {
        assert_eq!(say(&table, addr).0, country, "{addr}");
    }
}

#[test]
fn aliases_of_ipv4_are_not_taken_over() {
    let mut writer = Writer::new(6, 24);
    writer.put("192.0.2.0/24", &map([("country_code", text("DE"))]));
    let table = compile(&writer.finish("Test")).unwrap();
    assert_eq!((say(&table, "192.0.2.1").0.as_str(), say(&table, "2002:c000:201::1").0.as_str()), ("DE", ""));
}

#[test]
fn files_side_by_side() {
    let country = compile_one(&map([("country", coded("CY"))])).unwrap();
    let system = compile_one(&map([("asn", text("AS64500"))])).unwrap();
    let named = |name: &str, table| NamedTable { name: name.into(), table: std::sync::Arc::new(table) };
    let facts = LocationSet::new(vec![named("asn.mmdb", system), named("country.mmdb", country)]).locate("192.0.2.1".parse().unwrap());
    let continent = facts.continent.map(geodns_engine::location::Continent::code);
    assert_eq!((facts.country.unwrap().to_string().as_str(), continent, facts.asn), ("CY", Some("AS"), Some(64500)));
}

fn sample() -> Vec<u8> {
    let mut writer = Writer::new(6, 24);
    let germany = map([
        ("continent", map([("code", text("EU"))])),
        ("country", coded("DE")),
        ("location", map([("latitude", Data::Double(50.0)), ("longitude", Data::Double(8.0))])),
        ("subdivisions", Data::List(vec![coded("HE")])),
    ]);
    writer.put("192.0.2.0/25", &germany);
    writer.put("198.51.100.0/24", &map([("country_code", text("FR")), ("asn", text("AS64500"))]));
    writer.put("2001:db8::/32", &germany);
    writer.finish("Test-City")
}

/// A table or a reason, and never a panic or a long wait: the whole test takes a second or two.
#[test]
fn damaged_files_are_refused_or_read() {
    let bytes = sample();
    compile(&bytes).unwrap();
    for place in 0..bytes.len() {
        for flip in [0x01, 0x10, 0x20, 0x40, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            if let Err(fault) = compile(&damaged) {
                assert!(!fault.to_string().is_empty());
            }
        }
        assert!(compile(&bytes[..place]).is_err(), "cut off at {place}");
    }
    for bytes in [&b""[..], b"no database at all", &[0; 4096]] {
        assert!(compile(bytes).is_err());
    }
}
