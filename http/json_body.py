"""The body of a request: read within a limit, checked to be JSON we can pass on, decoded.

Everything that can be wrong with a body becomes a `Failure` of type ``validation_error``
here, which says what is wrong and where. Nothing here knows what the JSON should mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import msgspec

from sluice.actors.failures import ClientLeft, Failure

from .asgi import Receive

T = TypeVar("T")

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""JSON strings. The closing quote is optional, so that a missing one costs one scan, not n."""
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_EXPECTED = re.compile(r"Expected `(?P<expected>[^`]*)`, got `(?P<got>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_WHERE = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
MOST_STRINGS = 250_000
"""Strings in a body, names of fields among them. A million tokens in short messages need half of
that; each costs a microsecond of everybody's time and some hundred bytes, and 16 MiB could hold
five million."""
MOST_BRACKETS = 2 * MOST_STRINGS
"""Brackets outside strings: each is looked at."""
MESSAGE_LIMIT = 500
"""Characters of an error's message: what a client sent can be quoted in it, within reason."""


def invalid(message: str, *, code: str, param: str | None = None, status: int = 400) -> Failure:
    """A `Failure` for a mistake of the client's, found before anything was done for it."""
    return Failure(
        "validation_error",
        "validation",
        message[:MESSAGE_LIMIT],
        status=status,
        code=code,
        param=param,
    )


def missing(name: str) -> Failure:
    """A `Failure` for a field that must be there."""
    return invalid(f"{name} is required.", code="missing_required_parameter", param=name)


def check_headers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise a 415 `Failure` for a body that is compressed or says that it is not JSON.

    A missing ``Content-Type`` is taken as JSON, and so is any ``+json`` type.
    """
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise invalid(
                "This Content-Encoding is not read; send the body as it is (identity).",
                code="unsupported_content_encoding",
                status=415,
            )
        if name == b"content-type" and not _is_json(value):
            raise invalid(
                "The Content-Type must be application/json.",
                code="unsupported_content_type",
                status=415,
            )


def _is_json(value: bytes) -> bool:
    media_type = value.partition(b";")[0].strip().lower()
    return media_type in {b"application/json", b"text/json", b""} or media_type.endswith(b"+json")


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body of an ASGI request.

    Raises `ClientLeft` if the client goes before it is complete, and a 413 `Failure` past
    ``limit`` bytes (our own edge stops earlier; this holds on any ASGI server).
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientLeft
        pieces.append(event.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise _too_large(limit)
        if not event.get("more_body", False):
            return b"".join(pieces)


def _too_large(limit: int) -> Failure:
    return invalid(f"The body is larger than {limit} bytes.", code="request_too_large", status=413)


def check_text(body: bytes) -> None:
    """Raise a 400 `Failure` unless ``body`` is UTF-8 throughout (RFC 8259, 8.1)."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise invalid(f"The body is not UTF-8 (byte {error.start}).", code="invalid_json") from None


def check_shape(body: bytes, limit: int) -> None:
    """Raise a 400 `Failure` for JSON that would hold everybody else up while it is read.

    It may have `MOST_STRINGS` and `MOST_BRACKETS`, and arrays and objects that nest ``limit`` deep.

    Counting the openers decides for nearly every request; only a body with more of them than
    ``limit`` is looked at bracket by bracket, those inside strings left out.
    """
    _check_strings(body)
    if body.count(b"[") + body.count(b"{") <= limit:
        return
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    if len(brackets) > MOST_BRACKETS:
        raise _too_many("arrays and objects")
    _check_depth(brackets, limit)


def _check_depth(brackets: bytes, limit: int) -> None:
    depth = 0
    for bracket in brackets:
        if bracket in b"[{":
            depth += 1
            if depth > limit:
                raise invalid(f"The JSON nests deeper than {limit} levels.", code="json_too_deep")
        else:
            depth -= 1


def _check_strings(body: bytes) -> None:
    """In valid JSON no string begins behind a backslash: at least that quote of it is counted."""
    if body.count(b'"') - body.count(b'\\"') > 2 * MOST_STRINGS:
        raise _too_many("strings")


def _too_many(what: str) -> Failure:
    return invalid(f"The JSON has more {what} than are read at once.", code="json_too_complex")


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """``body`` as ``decoder``'s type. Raises a 400 `Failure` that names the byte or the field."""
    if not body or body.isspace():
        raise invalid("The body is empty; a JSON object was expected.", code="invalid_json")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from None
    except msgspec.DecodeError as error:
        raise invalid(_malformed(str(error), body), code="invalid_json") from None


def _malformed(detail: str, body: bytes) -> str:
    if detail.startswith("JSON is malformed"):
        return f"The body is not valid JSON: {detail.partition(': ')[2]}."
    return f"The body is not valid JSON: it ends too early (byte {len(body)})."


class Place(NamedTuple):
    """Where msgspec found what. ``field`` is the name that is missing or unknown there."""

    path: str
    what: str
    field: str | None

    @property
    def param(self) -> str:
        """The whole way to it; empty for the body itself."""
        return ".".join(part for part in (self.path, self.field) if part)


def place_of(detail: str) -> Place:
    """What is said in ``detail``, a `msgspec.ValidationError`'s text."""
    parts = _WHERE.fullmatch(detail)
    what = parts["what"] if parts is not None else detail
    path = ((parts["path"] if parts is not None else None) or "").lstrip(".")
    field = _MISSING.fullmatch(what) or _UNKNOWN.fullmatch(what)
    return Place(path, what, field["field"] if field is not None else None)


def _wrong_field(detail: str) -> Failure:
    """What msgspec says about a field, in our words: ``n must be an integer, not ...``."""
    place = place_of(detail)
    path, what = place.path, place.what
    if place.field is not None:
        return missing(place.param)
    name = path or "The body"
    expected = _EXPECTED.fullmatch(what)
    if expected is not None:
        text = f"{name} must be {_say(expected['expected'])}, not {_say(expected['got'])}."
        return invalid(text, code="invalid_type", param=path or None)
    return invalid(f"{name}: {what}.", code="invalid_value", param=path or None)


def _say(types: str) -> str:
    return " or ".join(_WORDS.get(word.strip(), word.strip()) for word in types.split("|"))
