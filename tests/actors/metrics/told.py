"""Reports of requests, as a service tells them to its metrics and its log."""

from __future__ import annotations

from typing import Any

import msgspec

from sluice.actors.metrics.reports import Attempt, RequestReport

_ONE = RequestReport(
    request_id="r",
    stream_id="s",
    route="/v1/chat/completions",
    streamed=True,
    outcome="success",
    http_status=200,
    provider="openai",
    model="gpt-4",
    duration=3.0,
    first_chunk=0.5,
    stream_duration=2.5,
    chunks=7,
    attempts=(Attempt("openai", "success", 0.4),),
)


def a_report(**changes: Any) -> RequestReport:
    """One of a stream of seven chunks that succeeded, but for ``changes``."""
    return msgspec.structs.replace(_ONE, **changes)
