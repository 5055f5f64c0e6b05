"""Request bodies as a stranger sends them: bounded in size and depth, plain UTF-8 JSON, and nothing that a database could not store.

Request bodies are never decompressed (a few bytes could become gigabytes); a Content-Encoding is refused by name.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, NoReturn

from aiohttp import web

from geodns.api.problems import ErrorReply
from geodns.errors import InvalidInput, Problem

JSON_LIMIT = 1024 * 1024
"""Bytes. The largest changeset in use, a thousand rrsets with pools, is a third of it."""

IMPORT_LIMIT = 16 * 1024 * 1024
"""Bytes. A zone file of 400,000 lines; larger ones go through `geodns apply`, which sends JSON lines."""

LINES_LIMIT = 1024 * 1024 * 1024
"""Bytes of JSON lines, which are read while they arrive and kept on disk: some ten million records."""

LIST_LIMIT = 32 * 1024 * 1024
"""Bytes. A CIDR list of a million prefixes as text, one a line."""

MAX_DEPTH = 32
"""Levels. A steered record inside a changeset has eleven."""

READ_SIZE = 64 * 1024

READ_S = 60.0
"""For a whole body: sixteen megabytes over a poor line; one that drips for longer holds a connection for nothing."""

JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})


async def read_bytes(request: web.Request, limit: int) -> bytes:
    """The body, at most `limit` bytes; a longer one is refused before it is read where it says its length, else as soon as it is too
    long."""
    body = bytearray()
    try:
        async with asyncio.timeout(READ_S):
            async for piece in read_pieces(request, limit):
                body += piece
    except TimeoutError:
        raise ErrorReply(HTTPStatus.REQUEST_TIMEOUT, "too-slow", f"the body did not arrive within {READ_S:.0f} s") from None
    return bytes(body)


async def read_pieces(request: web.Request, limit: int) -> AsyncIterator[bytes]:
    """The same as it arrives; the client is held back while the caller works on a piece. What takes the time of a whole body for a piece
    is refused too."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        # RFC 9110 §15.5.16: the server says in Accept-Encoding what it would have taken.
        raise ErrorReply(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "content-encoding",
            "request bodies are taken uncompressed only",
            {"Accept-Encoding": "identity"},
        )
    if request.content_length is not None and request.content_length > limit:
        _refuse_size(limit)
    size = 0
    while True:
        try:
            async with asyncio.timeout(READ_S):
                piece = await request.content.read(READ_SIZE)
        except TimeoutError:
            raise ErrorReply(HTTPStatus.REQUEST_TIMEOUT, "too-slow", f"nothing arrived for {READ_S:.0f} s") from None
        if not piece:
            return
        size += len(piece)
        if size > limit:
            _refuse_size(limit)
        yield piece


async def read_json(request: web.Request) -> bytes:
    """A body that is JSON and was looked through; ErrorReply 415, 413 or 400, InvalidInput for strings that nothing can store."""
    check_media_type(request, JSON_TYPES)
    raw = await read_bytes(request, JSON_LIMIT)
    parse_json(raw)
    return raw


def check_media_type(request: web.Request, allowed: frozenset[str]) -> None:
    """A body without a type is taken for what the route wants; any other type is refused."""
    if "Content-Type" in request.headers and request.content_type.lower() not in allowed:
        names = ", ".join(sorted(allowed))
        raise ErrorReply(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", f"this route takes {names}", {"Accept": names})


def parse_json(body: bytes) -> Any:
    """Strict JSON: no NaN, no infinite number, no key twice, no depth past MAX_DEPTH."""
    try:
        document = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise _malformed("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"the body is not JSON: {error.msg.lower()} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise _malformed("the body is nested too deeply") from None
    except ValueError as error:  # our own hooks, and Python's refusal of integers past 4300 digits
        raise _malformed(f"the body is not JSON that we take: {error}") from None
    # Without an escape no string can have what is not storable, and without so many brackets nothing nests too deeply.
    if b"\\u" in body or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_tree(document)
    return document


def _check_tree(document: Any) -> None:
    """Depth, and strings without NUL (PostgreSQL stores none) or lone surrogates (UTF-8 has none); with a stack, not by recursion."""
    problems: list[Problem] = []
    stack: list[tuple[Any, str, int]] = [(document, "", 1)]
    while stack:
        node, pointer, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise _malformed(f"the body is nested deeper than {MAX_DEPTH} levels")
        match node:
            case str():
                if not _is_storable(node):
                    problems.append(Problem(pointer, "bad-text", "text with a NUL or half a surrogate pair cannot be stored"))
            case dict():
                if not all(_is_storable(key) for key in node):
                    problems.append(Problem(pointer, "bad-text", "a key with a NUL or half a surrogate pair cannot be stored"))
                stack.extend((value, f"{pointer}/{escape_pointer(key)}", depth + 1) for key, value in node.items())
            case list():
                stack.extend((value, f"{pointer}/{index}", depth + 1) for index, value in enumerate(node))
    if problems:
        raise InvalidInput(problems)


def escape_pointer(part: str) -> str:
    """One reference token of RFC 6901 §3, safe to print whatever the key was."""
    return part.encode("utf-8", "replace").decode().replace("\0", "?").replace("~", "~0").replace("/", "~1")


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {escape_pointer(twice)!r} stands twice in one object")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:32]} is out of range")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant, parse_float=_parse_finite)


def _malformed(detail: str) -> ErrorReply:
    return ErrorReply(HTTPStatus.BAD_REQUEST, "malformed-json", detail)


def _refuse_size(limit: int) -> NoReturn:
    raise ErrorReply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"the body is larger than {limit} bytes")
