"""Error bodies, in the style of the route that was called.

OpenAI's style is that of ``openai.types.shared.ErrorObject``: its SDKs show ``message`` and
choose their exception by the status. Anthropic's is ``anthropic.types.ErrorResponse``, whose
kinds follow the status too; Cohere's has a message only, and in a stream it is the event
``message-end`` with the finish reason ``ERROR``. Ours says more, for ``/stream``:
``{"error": {"message", "type", "stage", "code", "param", "retry_after"}}``, where ``type``
and ``stage`` are those of ``sse_errors_total`` (``seed 6.1``).
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.provider_errors import CONTENT_POLICY

_encode: Final = msgspec.json.Encoder().encode
_OPENAI_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_OPENAI_CODES: Final = {CONTENT_POLICY: "content_policy_violation"}
_ANTHROPIC_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def openai_error(failure: Failure) -> dict[str, Any]:
    """``failure`` as OpenAI's API would tell it."""
    return {
        "error": {
            "message": failure.words,
            "type": openai_type(failure.status),
            "param": failure.param,
            "code": openai_code(failure),
        }
    }


def openai_code(failure: Failure) -> str:
    """OpenAI's word for what another provider refused, where it has one; else ours."""
    if failure.code == "provider_refused_request" and failure.status == 404:
        return "model_not_found"
    return _OPENAI_CODES.get(failure.code, failure.code)


def openai_type(status: int) -> str:
    """OpenAI's word for the kind of error that has ``status``."""
    if status >= 500:
        return "server_error"
    return _OPENAI_TYPES.get(status, "invalid_request_error")


def openai_body(failure: Failure) -> bytes:
    """The body of an answer that failed, as OpenAI would send it.

    What a provider of this format wrote about the client's mistake goes out as it is.
    """
    body = failure.body_in("openai")
    return _encode(openai_error(failure)) if body is None else body


def openai_frame(failure: Failure) -> bytes:
    """The data of an event that tells of ``failure``. One line."""
    return _encode(openai_error(failure))


def anthropic_type(status: int) -> str:
    """Anthropic's word for the kind of error that has ``status``."""
    return _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def anthropic_body(failure: Failure) -> bytes:
    """The body of an answer that failed, as Anthropic would send it."""
    body = failure.body_in("anthropic")
    return anthropic_frame(failure) if body is None else body


def anthropic_frame(failure: Failure) -> bytes:
    """The data of the event ``error``, which tells of ``failure``. One line."""
    error = {"type": anthropic_type(failure.status), "message": failure.words}
    return _encode({"type": "error", "error": error})


def cohere_body(failure: Failure) -> bytes:
    """The body of an answer that failed, as Cohere would send it."""
    body = failure.body_in("cohere")
    return _encode({"message": failure.words}) if body is None else body


def cohere_frame(failure: Failure) -> bytes:
    """The data of the event ``message-end`` of an answer that failed. One line."""
    delta = {"error": failure.words, "finish_reason": "ERROR"}
    return _encode({"type": "message-end", "delta": delta})


def sluice_error(failure: Failure) -> dict[str, Any]:
    """``failure`` in our own style. What a provider found wrong is told in its words."""
    error: dict[str, Any] = {
        "message": failure.words,
        "type": failure.error_type,
        "stage": failure.stage,
        "code": failure.code,
        "param": failure.param,
    }
    if failure.retry_after is not None:
        error["retry_after"] = retry_after(failure.retry_after)
    return {"error": error}


def sluice_body(failure: Failure) -> bytes:
    """The body of an answer that failed, and the data of a ``failure`` event. One line."""
    return _encode(sluice_error(failure))


def retry_after(seconds: float) -> int:
    """``seconds`` as ``Retry-After`` has them: whole, and at least one (RFC 9110, 10.2.3)."""
    return max(1, math.ceil(seconds))
