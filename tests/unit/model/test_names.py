"""Names as authors write them (contract section 1, "Names")."""

from __future__ import annotations

import dns.name
import pytest

from geodns.errors import InvalidInput
from geodns.model import names

APEX = names.parse_zone_name("example.com")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", "example.com."),
        ("@", "example.com."),
        ("example.com", "example.com."),
        ("example.com.", "example.com."),
        ("WWW", "www.example.com."),
        ("a.b", "a.b.example.com."),
        ("www.example.com.", "www.example.com."),
        ("www.example.com", "www.example.com.example.com."),
        (r"a\.b", r"a\.b.example.com."),
        (r"\065\066", "ab.example.com."),
        (r"a\000b", r"a\000b.example.com."),
        ("bücher", "xn--bcher-kva.example.com."),
        ("*.x", "*.x.example.com."),
        ("_sip._tcp", "_sip._tcp.example.com."),
    ],
)
def test_a_text_means_one_owner_name(text: str, meant: str) -> None:
    assert names.parse_name(text, APEX).to_text() == meant


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a..b", "empty-label"),
        (".a", "empty-label"),
        ("x" * 64, "label-too-long"),
        (".".join(["x" * 60] * 4), "name-too-long"),
        ("a b", "bad-name"),
        ("a\tb", "bad-name"),
        (r"a\300", "bad-escape"),
        (r"a\1", "bad-escape"),
        ("a\\", "bad-escape"),
        ("\\ü", "bad-idn"),
        ("xn--\ud800", "bad-idn"),
        ("www.example.net.", "outside-zone"),
        ("com.", "outside-zone"),
    ],
)
def test_what_is_no_owner_name_is_told_by_its_code(text: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        names.parse_name(text, APEX)
    assert [problem.code for problem in refused.value.problems] == [code]


@pytest.mark.parametrize(
    "absolute",
    ["example.com.", "www.example.com.", r"a\.b.example.com.", r"\@.example.com.", r"\032x.example.com.", "example.com.example.com."],
)
def test_a_shown_name_is_read_back_as_itself(absolute: str) -> None:
    name = names.parse_name(absolute, None)
    assert names.parse_name(names.to_text(name, APEX), APEX) == name


def test_the_root_zone_is_at_and_its_names_have_no_final_dot() -> None:
    root = names.parse_zone_name("@")
    assert names.zone_text(root) == "@"
    assert names.to_text(names.parse_name("com", root), root) == "com"
    assert names.to_text(root, root) == "@"


def test_zones_with_a_slash_have_files() -> None:
    zone = names.parse_zone_name("0/25.2.0.192.in-addr.arpa.")
    assert names.zone_file_stem(zone) == "0%2F25.2.0.192.in-addr.arpa"
    assert names.parse_zone_file_stem(names.zone_file_stem(zone)) == zone


def test_sort_keys_order_names_as_rfc4034_6_1() -> None:
    ordered = [
        "example.",
        "a.example.",
        "yljkjljk.a.example.",
        "z.a.example.",
        "zabc.a.example.",
        "z.example.",
        r"\001.z.example.",
        "*.z.example.",
        r"\200.z.example.",
    ]
    keys = [names.sort_key(names.parse_name(text, None)) for text in ordered]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_names_in_rdata_keep_their_case_and_end_in_the_origin() -> None:
    assert names.to_wire("WwW", APEX) == b"\3WwW\7example\3com\0"
    assert names.wire_to_text(names.to_wire("WwW.Example.NET.", APEX)) == ("WwW.Example.NET.", 17)


@pytest.mark.parametrize("text", [".", "example.com.", "*.EXAMPLE.com.", "a\\.b.example.", "\\000\\255.example."])
def test_a_name_of_trusted_labels_is_the_name_that_dnspython_makes(text: str) -> None:
    made = dns.name.from_text(text)
    ours = names.of_labels(list(made.labels))
    assert ours == made
    assert hash(ours) == hash(made)
    assert (ours.to_text(), ours.labels, ours.is_absolute()) == (made.to_text(), made.labels, True)
    with pytest.raises(TypeError):
        ours.labels = ()
