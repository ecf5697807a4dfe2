"""Requests that the edge itself refuses: a status, a stable word, a sentence.

Whoever is refused gets a small JSON body in the style of the route that was called, or in OpenAI's
where that is not known yet, and a closed connection, because its framing is not either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sluice.actors.failures import ErrorType, Failure, Stage
from sluice.http.errors import anthropic_body, cohere_body, openai_body, sluice_body
from sluice.http.routes import canonical

_BODIES: Final[dict[str, Callable[[Failure], bytes]]] = {
    "/v1/messages": anthropic_body,
    "/v2/chat": cohere_body,
    "/stream": sluice_body,
}
"""By route; OpenAI's is that of all others."""

_FAULTS: Final[dict[int, tuple[ErrorType, Stage]]] = {
    500: ("serialization_error", "provider_call"),
    503: ("connection_pool_exhausted", "admission"),
}
"""By status, what is not the client's own mistake."""

COME_BACK: Final = 1.0
"""Seconds after which one who is told 503 may try again."""


class Refused(Exception):  # noqa: N818 -- what happened to the request; it is no error of ours
    """A request that goes no further. ``code`` is for programs, ``message`` for people.

    ``after``: seconds that its client let us wait for it, as far as it had begun to come.
    ``about``: its headers and path, like an ASGI scope's, if its head was read and made sense.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.after = 0.0
        self.about: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Refused({self.status}, {self.code}: {self.message})"

    def body(self, path: str = "") -> bytes:
        """The JSON that tells the client; ``path``: what it asked for, if that is known."""
        return _BODIES.get(canonical(path), openai_body)(self.failure())

    def failure(self) -> Failure:
        """It, as those know it who tell clients."""
        error_type, stage = _FAULTS.get(self.status, ("validation_error", "validation"))
        again = COME_BACK if self.status == 503 else None
        return Failure(
            error_type, stage, self.message, status=self.status, code=self.code, retry_after=again
        )


def bad_request(message: str) -> Refused:
    """400: what came is not HTTP/1.1, or is not safe to read as such."""
    return Refused(400, "bad_request", message)


def too_slow(part: str) -> Refused:
    """408: ``part`` of the request did not arrive in time."""
    return Refused(408, "request_timeout", f"The request's {part} did not arrive in time.")


def body_too_large(limit: int) -> Refused:
    """413: the body is, or says that it is, over the limit."""
    return Refused(413, "body_too_large", f"The request's body is over {limit} bytes.")


def url_too_long(limit: int) -> Refused:
    """414: the request's target is over the limit."""
    return Refused(414, "url_too_long", f"The request's URL is over {limit} bytes.")


def expectation_failed() -> Refused:
    """417: something other than 100-continue is expected of us (RFC 9110, 10.1.1)."""
    return Refused(417, "expectation_failed", "Only 'Expect: 100-continue' can be met.")


def head_too_large(message: str) -> Refused:
    """431: the head is over a limit."""
    return Refused(431, "head_too_large", message)


def not_implemented(message: str) -> Refused:
    """501: a method or coding that no route of ours has."""
    return Refused(501, "not_implemented", message)


def wrong_version() -> Refused:
    """505: neither HTTP/1.1 nor HTTP/1.0."""
    return Refused(505, "http_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")


def application_failed() -> Refused:
    """500: the application ended without an answer."""
    return Refused(500, "internal_error", "The service failed to answer this request.")


def too_many_connections() -> Refused:
    """503: as many connections are open as may be."""
    return Refused(503, "too_many_connections", "Too many connections are open. Try again.")
