"""Bodies as a stranger sends them: what is taken, what is refused, and that neither costs more than it should."""

from __future__ import annotations

import json
import time

import pytest

from geodns.api.body import MAX_DEPTH, parse_json
from geodns.api.problems import ErrorReply
from geodns.errors import InvalidInput


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[NaN]", "NaN is not a JSON number"),
        (b"[Infinity]", "Infinity is not"),
        (b"[1e999]", "out of range"),
        (b"[" + b"9" * 5000 + b"]", "not JSON that we take"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
    ],
)
def test_malformed_json_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(ErrorReply) as refused:
        parse_json(body)
    assert refused.value.status == 400
    assert reason in refused.value.detail


def test_depth_up_to_the_limit_is_taken() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@pytest.mark.parametrize(("document", "pointer"), [({"a/b": ["\0"]}, "/a~1b/0"), ({"x": "\ud800"}, "/x"), ({"\0": 1}, "")])
def test_text_that_no_database_stores_is_named_with_its_place(document: object, pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_json(json.dumps(document).encode())
    assert [problem.pointer for problem in refused.value.problems] == [pointer]


def test_a_megabyte_of_hostile_json_costs_less_than_a_second() -> None:
    keys = ",".join(f'"{number}":0' for number in range(90_000))
    bodies = [f'{{{keys},"0":1}}', "[" + "0," * 500_000 + "0]", json.dumps(["\0"] * 150_000)]
    start_s = time.process_time()
    for body in bodies:
        with pytest.raises((ErrorReply, InvalidInput)):
            parse_json(body.encode()) if "\\u0000" in body or '"0":1' in body else _refuse(parse_json(body.encode()))
    assert time.process_time() - start_s < 5


def _refuse(document: object) -> None:
    raise InvalidInput([])
