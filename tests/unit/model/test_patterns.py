"""Regular expressions of checks: what is taken, what is refused, and that none of them stands still."""

from __future__ import annotations

import time

import pytest

from geodns.model.patterns import MAX_PROGRAM, Pattern

READ_OF_A_BODY = 5 * 1024


@pytest.mark.parametrize(
    ("expression", "text", "is_there"),
    [
        (r"queue=\d\d? ok$", "queue=17 ok", True),
        (r"queue=\d\d? ok$", "queue=170 ok", False),
        (r"(?i)\"status\"\s*:\s*\"(ok|up)\"", '{"Status": "UP"}', True),
        (r"(?m)^ready$", "a\nready\nb", True),
        (r"gr\w?.n", "grün", True),
        ("", "", True),
    ],
)
def test_it_is_found_where_it_is(expression: str, text: str, is_there: bool) -> None:
    assert Pattern(expression).is_in(text) is is_there


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(", "missing"),
        (r"(a)\1", "invalid escape"),
        ("(?=a)b", "invalid perl operator"),
        ("a{1001}", "repetition"),
        ("a{900}b{900}", "too large"),
        (r"((((a{30}){30}){30}){30})", "repetition"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Pattern(expression)


@pytest.mark.timing
@pytest.mark.parametrize(
    "expression",
    [
        "(a+)+$",
        "(a|aa)+$",
        "(x+x+)+y",
        r"^(\w+\s?)*$",
        "(.*){25}z",
        "(a|b)*a(a|b){60}z",
        "(?:a?){80}a{80}b",
        "(.*a){20}z",
        "((a{1,10}){1,10})b",
    ],
)
def test_no_expression_stands_still(expression: str) -> None:
    """Python's own engine needs more than an hour for most of these; the ceiling is ten times what the slowest takes."""
    pattern = Pattern(expression)
    started_s = time.process_time()
    for text in ("a" * READ_OF_A_BODY, "ab" * (READ_OF_A_BODY // 2), "a" * (READ_OF_A_BODY - 1) + "!"):
        pattern.is_in(text)
    assert time.process_time() - started_s < 1.5


def test_the_ceiling_leaves_room_for_ordinary_expressions() -> None:
    Pattern(r"(?i)^(status|state): *(ok|up|healthy|green|ready|serving)[\s,;]+uptime[=: ]+[0-9]+[smhd]?$")
    assert MAX_PROGRAM >= 256
