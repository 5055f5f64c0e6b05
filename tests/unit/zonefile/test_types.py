"""Every record type that Debian's BIND takes in a zone file, in presentation form."""

from __future__ import annotations

import pytest

from geodns.errors import Severity
from geodns.model import names, rdata
from geodns.zonefile import parse_zone_text, write_yaml, write_zone

APEX = names.parse_zone_name("types.example")
HEAD = "$TTL 300\n@ SOA ns1 host 1 3600 600 604800 60\n@ NS ns1\nns1 A 192.0.2.1\n"

# Examples after BIND's own tests; MD and MF are obsolete to BIND and were data once.
ZONE = """\
a6 A6 64 ::1 foo
afsdb AFSDB 1 ns1
amtrelay AMTRELAY 10 0 0 .
amtrelay2 AMTRELAY 10 1 1 192.0.2.1
apl APL 1:192.168.32.0/21 !1:192.168.38.0/28
atma ATMA +61200000000
avc AVC foo:bar
caa CAA 0 issue "ca.example.net"
cdnskey CDNSKEY 0 3 0 AA==
cds CDS 0 0 0 00
cert CERT 65534 65535 254 MxFcby9k/yvedMfQgKzhH5er0Mu/vILz45IkskceFGgi
csync CSYNC 0 0 A NS AAAA
dhcid DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=
dlv DLV 30795 1 1 310D27F4D82C1FC2400704EA9939FE6E1CEAA3B9
dnskey DNSKEY 512 3 1 AQMFD5raczCJHViKtLYhWGz8hMY9UGRuniJDBzC7w0aR
doa DOA 1234567890 1234567890 1 "image/gif" R0lGODlhKAAZAOMCAGZmZgBmmf///zOZzMz//5nM/zNmmWbM/5nMzMzMzA==
ds DS 30795 1 1 310D27F4D82C1FC2400704EA9939FE6E1CEAA3B9
eid EID 12 89 AB
eui48 EUI48 01-23-45-67-89-ab
eui64 EUI64 01-23-45-67-89-ab-cd-ef
gpos GPOS -22.6882 116.8652 250.0
hinfo HINFO "Generic PC clone" "NetBSD-1.4"
hip HIP ( 2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p rvs.example.com. )
https HTTPS 1 . alpn="h2"
ipseckey IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==
isdn ISDN "isdn-address" "subaddress"
isdn2 ISDN "isdn-address"
key KEY 512 3 1 AQMFD5raczCJHViKtLYhWGz8hMY9UGRuniJDBzC7w0aR
kx KX 10 kdc
l32 L32 10 1.2.3.4
l64 L64 10 0014:4fff:ff20:ee64
loc LOC 60 9 0.000 N 24 39 0.000 E 10.00m 20m 2000m 20m
loc2 LOC 60 9 N 24 39 E 10m
lp LP 10 example.net.
mb MB madname
md MD madname
mf MF madname
mg MG mgmname
minfo MINFO rmailbx emailbx
mr MR mrname
naptr NAPTR 0 0 "" "" "" .
nid NID 10 0014:4fff:ff20:ee64
nimloc NIMLOC 12 89 AB
ninfo NINFO "foo" "bar"
nsap NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000162.00
nsap-ptr NSAP-PTR foo.
nsec NSEC a.types.example. NSAP-PTR NSEC
nsec3 NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG
nsec3param NSEC3PARAM 1 0 12 aabbccdd
nxt NXT a.secure A NS
openpgpkey OPENPGPKEY AQMFD5raczCJHViKtLYhWGz8hMY9UGRuniJDBzC7w0aR
ptr PTR ns1
px PX 65535 foo. bar.
resinfo RESINFO qnamemin exterr=15,16,17 infourl=https://resolver.example.com/
rkey RKEY 0 255 1 AQMFD5raczCJHViKtLYhWGz8hMY9UGRuniJDBzC7w0aR
rp RP mbox-dname txt-dname
rrsig RRSIG NSEC 1 3 ( 3600 20000102030405 19961211100908 2143 foo.nil. MxFcby9k/yvedMfQgKzhH5er0Mu/vILz45IkskceFGgiWCn/GxHhai6VAuHAoNUz )
rt RT 0 intermediate-host
sig SIG NXT 1 3 ( 3600 20000102030405 19961211100908 2143 foo.nil. MxFcby9k/yvedMfQgKzhH5er0Mu/vILz45IkskceFGgiWCn/GxHhai6VAuHAoNUz )
sink SINK 1 0 0 AQMFD5raczCJHViKtLYhWGz8hMY9UGRuniJDBzC7w0aR
smimea SMIMEA 1 1 2 ( 92003ba34942dc74152e2f2c408d29eca5a520e7f2e06bb944f4dca346baf63c
 1b177615d466f6c4b71c216a50292bd58c9ebdd2f74e38fe51ffd48c43326cbc )
spf SPF "v=spf1 -all"
srv SRV 0 0 0 .
sshfp SSHFP 4 2 c76d8329954da2835751e371544e963efda099080d6c58dd2bfd9a31d6e162c8
svcb SVCB 1 . port=60 ipv4hint=192.0.2.1 key65333=ex1
ta TA 30795 1 1 310D27F4D82C1FC2400704EA9939FE6E1CEAA3B9
talink TALINK talink0 talink2
tlsa TLSA 3 1 1 92003ba34942dc74152e2f2c408d29eca5a520e7f2e06bb944f4dca346baf63c
txt TXT "foo" bar
txt2 TXT foo=bar;baz
uri URI 10 20 "https://www.isc.org/"
wallet WALLET foo bar
wks WKS 10.0.0.1 tcp telnet ftp 0 1 2
wks2 WKS 10.0.0.1 6 23
x25 X25 "123456789"
zonemd ZONEMD 2019020700 1 1 c220b8a6ed5728a971902f7e3d4fd93adeea88b0453c2e8e8c863d465ab06cf34eb95b266398c98b59124fa239cb7eeb
a IN TYPE1 \\# 4 0a000001
b CLASS1 TYPE731 \\# 6 abcd ( ef 01 23 45 )
uid UID \\# 2 1234
"""


def test_every_type_is_read_and_written_in_both_forms() -> None:
    read = parse_zone_text(HEAD + ZONE, APEX, "zone")
    assert [str(problem) for problem in read.problems if problem.severity is Severity.ERROR] == []
    assert read.contents
    assert len({rrset.rtype for rrset in read.contents.rrsets}) == 75
    master = parse_zone_text("".join(write_zone(read.contents, 1)), APEX, "zone").contents
    yaml = parse_zone_text("".join(write_yaml(read.contents)), APEX, "yaml").contents
    assert master
    assert yaml
    assert tuple(master.rrsets) == tuple(yaml.rrsets) == tuple(read.contents.rrsets)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A6 0 2001:db8::1", "0 2001:db8::1"),
        ("A6 128 foo", "128 foo.types.example."),
        ("A6 60 2001:db8:0:f::1 foo.", "60 ::f:0:0:0:1 foo."),
        ("ATMA 47.0005.80", "47000580"),
        ("L64 10 14:4fff:ff20:ee64", "10 0014:4fff:ff20:ee64"),
        ("NXT a.secure A NS NXT", "a.secure.types.example. A NS NXT"),
        ("SRV 1 2 3 sip", "1 2 3 sip.types.example."),
    ],
)
def test_a_type_is_shown_in_its_canonical_form(text: str, shown: str) -> None:
    rtype, _, values = text.partition(" ")
    number = rdata.rtype_from_text(rtype)
    assert rdata.to_text(number, rdata.from_text(number, values, APEX)) == shown


@pytest.mark.parametrize(
    "text",
    ["A6 129 ::", "A6 x", "A6 64 zz foo", "A6 64 ::1", "ATMA +12x", "ATMA zz", "L64 1 ::1", "NID 1 14:4fff:ff20",
     "NXT a TYPE300", "NXT a FOO", "SINK 1 2"],
)  # fmt: skip
def test_broken_rdata_is_refused(text: str) -> None:
    read = parse_zone_text(f"{HEAD}x {text}\n", APEX, "zone")
    assert read.contents is None
