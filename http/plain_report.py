"""Reports of requests that no stream was made of: refused, left, or answered by a small route.

They hold nothing that a client sent, but for a request's own id if that is safe to repeat.
"""

from __future__ import annotations

import re
from typing import Final

from sluice.actors.failures import ErrorType, Stage
from sluice.actors.ids import new_id
from sluice.actors.metrics.reports import RequestReport

from .asgi import Headers, Scope, find
from .http1.refusals import Refused
from .routes import OTHER, route_of

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_INVALID: Final[tuple[ErrorType, Stage]] = ("validation_error", "validation")


def request_id(headers: Headers) -> str:
    """The client's own ``X-Request-Id`` if it can be repeated safely, else a new one."""
    given = find(headers, b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return new_id()


def plain_report(
    identity: str,
    route: str,
    status: int,
    end: str,
    duration: float,
    error: tuple[ErrorType, Stage] | None = None,
) -> RequestReport:
    """The report of a request that asked no provider; it is no request of the metrics'."""
    return RequestReport(
        request_id=identity,
        stream_id="",
        route=route,
        streamed=False,
        outcome=None,
        http_status=status,
        provider=OTHER,
        model=OTHER,
        duration=duration,
        stages=(("validation", duration),),
        error=error,
        end=end,
    )


def refusal_report(
    refused: Refused, scope: Scope | None, *, answered: bool = True
) -> RequestReport:
    """The report of a request that the edge refused; ``scope`` is its, if it came so far.

    The client's mistakes are validation errors (``decision 5``). What was not ``answered`` has
    the status 0.
    """
    about = scope or refused.about
    return plain_report(
        new_id() if about is None else request_id(about["headers"]),
        OTHER if about is None else route_of(about["path"]),
        refused.status if answered else 0,
        refused.code,
        refused.after,
        _INVALID if refused.status < 500 else None,
    )
