"""A table of what a provider can do to us, and what the client is told of it. Pure.

Statuses follow RFC 9110: 502 for a provider that broke its word, 504 for one that was too slow.
A provider's own 4xx about the request is passed on, because only the client can mend it; one
about our credentials is ours, not the client's, and is a 502.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sluice.actors.failures import Failure, Stage, Told, UpstreamFault
from sluice.actors.formats.provider_errors import CONTENT_POLICY, CONTEXT_LENGTH, told_in

_SLOW: Final = {
    "connect": "The provider could not be reached in time.",
    "first_chunk": "The provider did not start to answer in time.",
    "idle": "The provider stopped in the middle of its answer.",
    "total": "The answer took longer than is allowed.",
}

_BROKEN: Final = {
    "refused": "The provider refused the connection.",
    "unreachable": "The provider could not be reached.",
    "tls": "No trusted connection to the provider could be made.",
    "reset": "The provider broke the connection.",
    "cut": "The provider's answer was cut off.",
    "protocol": "The provider did not answer in HTTP.",
    "too_large": "The provider's answer is larger than is allowed.",
}

DIFFERS: Final = "answer_differs"
"""The code of `differs`: nothing that its provider did wrong."""

_CLIENT_CAN_MEND: Final = frozenset({400, 404, 409, 413, 415, 422})


_BUSY: Final = {
    429: (429, "provider_rate_limited", "The provider takes no more requests for now."),
    503: (503, "provider_unavailable", "The provider is not available."),
    529: (503, "provider_overloaded", "The provider is overloaded."),
}
"""What passes by itself. 529 is Anthropic's, and known to nobody else: clients are told 503."""

_REASONS: Final = {
    None: ("provider_refused_request", "The provider refused the request."),
    CONTEXT_LENGTH: (CONTEXT_LENGTH, "The prompt is longer than the model takes."),
    CONTENT_POLICY: (CONTENT_POLICY, "The provider's policy does not allow the request."),
}

_IN_BAND: Final = (
    "provider_error_in_stream",
    "The provider reported an error while it was answering.",
)

_IN_BAND_STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "BadRequestError": 400,
    "NotFoundError": 404,
}
"""What no second call would mend, by the words of OpenAI and Anthropic, and of vLLM."""
_ABOUT_OUR_KEY: Final = re.compile(rb"api.?key", re.IGNORECASE)


class _ErrorBody(msgspec.Struct):
    error: msgspec.Raw


def too_slow(what: str, *, streaming: bool | None = None) -> Failure:
    """One of the timeouts passed: ``connect``, ``first_chunk``, ``idle``, ``total``."""
    in_stream = what == "idle" if streaming is None else streaming
    return Failure(
        "timeout_error",
        "streaming" if in_stream else "provider_call",
        _SLOW[what],
        status=504,
        code=f"{what}_timeout",
    )


def broken(fault: UpstreamFault, *, streaming: bool = True) -> Failure:
    """The connection failed."""
    if fault.reason == "connect_timeout":
        return too_slow("connect")
    return Failure(
        "provider_error",
        "streaming" if streaming else "provider_call",
        _BROKEN.get(fault.reason, "The provider's connection failed."),
        status=502,
        code=f"provider_{fault.reason}",
    )


def no_end_marker() -> Failure:
    """The body ended well, the answer did not."""
    return Failure(
        "provider_error",
        "streaming",
        "The provider's answer ended without its end marker.",
        status=502,
        code="provider_no_end",
    )


def differs() -> Failure:
    """A second answer does not begin as the first one did. Told to no client: the first is."""
    return Failure(
        "provider_error",
        "streaming",
        "Another answer to the same request differs.",
        status=409,
        code=DIFFERS,
    )


def too_large() -> Failure:
    """One frame was larger than we keep."""
    return Failure(
        "serialization_error",
        "streaming",
        "The provider sent a frame that is larger than is allowed.",
        status=502,
        code="provider_frame_too_large",
    )


def wrong_content_type() -> Failure:
    """A 200 that is no answer: a login page, a proxy's error."""
    return Failure(
        "provider_error",
        "provider_call",
        "The provider answered in another content type than was asked for.",
        status=502,
        code="provider_content_type",
    )


def internal(stage: Stage) -> Failure:
    """A mistake of ours; the log has its traceback."""
    return Failure(
        "serialization_error",
        stage,
        "Something went wrong here, and not with the request.",
        status=500,
        code="internal_error",
    )


def stopped() -> Failure:
    """We end it ourselves: the service stops, or an operator asked for it."""
    return Failure(
        "connection_pool_exhausted",
        "streaming",
        "The service is stopping; the answer is not complete.",
        status=503,
        code="stopping",
        retry_after=1.0,
    )


def refused(
    status: int, retry_after: float | None, body: bytes, provider_format: str = "openai"
) -> Failure:
    """The provider answered with an error, or with a status that is no answer at all.

    Args:
        status: the provider's.
        retry_after: seconds, if it said so.
        body: its error body, as far as it was read; passed on only where the client can mend it.
        provider_format: in which it is.
    """
    failure = _refusal(status, retry_after, body, provider_format)
    failure.provider_status = status
    return failure


def _refusal(status: int, retry_after: float | None, body: bytes, provider_format: str) -> Failure:
    if status in _CLIENT_CAN_MEND:
        return _clients_mistake(status, retry_after, body, provider_format)
    if status in _BUSY:
        status, code, message = _BUSY[status]
    elif status in {401, 403}:
        status, code, message = 502, "provider_credentials", "The provider refused our credentials."
    else:
        message = f"The provider answered with status {status}."
        status, code = 502, "provider_status"
    return Failure(
        "provider_error",
        "provider_call",
        message,
        status=status,
        code=code,
        retry_after=retry_after,
    )


def _clients_mistake(
    status: int, retry_after: float | None, body: bytes, provider_format: str
) -> Failure:
    told = told_in(body, provider_format)
    if told is None:
        passed_on = body if _is_error_body(body) else None
        told = Told(None, body=passed_on, format=provider_format)
    code, message = _REASONS[told.reason]
    return Failure(
        "provider_error",
        "provider_call",
        message,
        status=status,
        code=code,
        param=told.param,
        retry_after=retry_after,
        told=told,
    )


def in_band(told: Told | None = None) -> Failure:
    """The provider told an error in the middle of its answer.

    One of a kind that a status would have told, had it been found earlier, is what that status is:
    else the same model would be asked again, and its breaker count the client's own mistake.
    """
    reason = told.reason if told is not None else None
    status = _IN_BAND_STATUSES.get(told.kind or "") if told is not None else None
    if told is not None and status is not None and reason is None:
        body = told.body or b""
        if _ABOUT_OUR_KEY.search(body):  # OpenAI has no kind of its own for that
            status = 401
        failure = refused(status, None, body, told.format or "")
        failure.stage = "streaming"
        return failure
    code, message = _REASONS[reason] if reason is not None else _IN_BAND
    return Failure(
        "provider_error",
        "streaming",
        message,
        status=502 if reason is None else 400,
        code=code,
        told=told if reason is not None else None,
    )


def _is_error_body(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
