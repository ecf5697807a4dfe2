"""What counts against a provider, and what does not (``seed 4.1``): one table. Pure.

A circuit breaker asks one question: would the next call fail as well? So it counts what says that
the *provider* is not well. What a client brought upon itself, what we did, and an answer that
nobody waited for say nothing of it.
"""

from __future__ import annotations

from typing import Final

from sluice.actors.failures import Failure

COUNTS: Final[dict[str, bool]] = {
    # Timeouts. The provider is not there, is silent, or has fallen silent.
    "connect_timeout": True,
    "first_chunk_timeout": True,
    "idle_timeout": True,
    "total_timeout": True,  # if nothing was said: see `counts`
    # Connections.
    "provider_refused": True,
    "provider_unreachable": True,
    "provider_tls": True,
    "provider_reset": True,
    # Broken streams.
    "provider_cut": True,
    "provider_no_end": True,
    "provider_error_in_stream": True,
    # Garbage: what answers there is not the provider, or not well.
    "provider_protocol": True,
    "provider_too_large": True,
    "provider_frame_too_large": True,
    "provider_content_type": True,
    "malformed_chunk": True,
    "malformed_answer": True,
    # Statuses.
    "provider_unavailable": True,  # 503
    "provider_overloaded": True,  # 529, which is Anthropic's
    "provider_status": True,  # any other 5xx, and what is no answer: a redirect. 4xx: see `counts`
    "provider_rate_limited": True,  # 429: more calls make it worse
    "provider_refused_request": False,  # 400, 404, 409, 413, 415, 422: the client's own
    "context_length_exceeded": False,
    "content_policy": False,
    "provider_credentials": False,  # 401, 403: our key, which no waiting mends; the error says so
    # Ours.
    "untranslatable": False,
    "answer_differs": False,  # a second answer need not be the first
    "internal_error": False,
    "stopping": False,
    "breaker_open": False,  # nobody was called
}
"""By `Failure.code`."""

_ABOUT_THE_REQUEST: Final = frozenset(range(400, 500)) - {408}


def counts(failure: Failure, *, answered: bool) -> bool:
    """Whether ``failure`` counts; ``answered``: the first content had come.

    The total timeout is our own bound on the length of an answer. It counts against a provider
    that has said nothing until then, not against one that says much.

    Of the 4xx that nobody else speaks for, 408 alone is the provider's: the others are about one
    request (Cohere's 498: its text is not allowed) or about our account (402). If they counted, one
    client could have the provider closed to all.
    """
    if failure.provider_status in _ABOUT_THE_REQUEST and failure.code == "provider_status":
        return False
    if failure.code == "total_timeout":
        return not answered
    known = COUNTS.get(failure.code)
    return _looks_grave(failure) if known is None else known


def _looks_grave(failure: Failure) -> bool:
    """Of a code that is not in the table: by its type and status."""
    if failure.error_type == "provider_error":
        return failure.status >= 500 or failure.status == 429
    return failure.error_type == "timeout_error"
