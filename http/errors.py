"""Error bodies, in the style of the route that was called.

OpenAI's style is that of ``openai.types.shared.ErrorObject``: its SDKs show ``message`` and
choose their exception by the status. Ours says the same and more, for ``/stream``:
``{"error": {"message", "type", "stage", "code", "param", "retry_after"}}``, where ``type``
and ``stage`` are those of ``sse_errors_total`` (``seed 6.1``).
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from sluice.actors.failures import Failure

_encode: Final = msgspec.json.Encoder().encode
_OPENAI_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


class _ProviderError(msgspec.Struct):
    message: str
    param: str | None = None
    code: str | int | None = None


class _ProviderBody(msgspec.Struct):
    error: _ProviderError


_provider_body: Final = msgspec.json.Decoder(_ProviderBody)


def openai_error(failure: Failure) -> dict[str, Any]:
    """``failure`` as OpenAI's API would tell it."""
    return {
        "error": {
            "message": failure.message,
            "type": openai_type(failure.status),
            "param": failure.param,
            "code": failure.code,
        }
    }


def openai_type(status: int) -> str:
    """OpenAI's word for the kind of error that has ``status``."""
    if status >= 500:
        return "server_error"
    return _OPENAI_TYPES.get(status, "invalid_request_error")


def openai_body(failure: Failure) -> bytes:
    """The body of an answer that failed, as OpenAI would send it.

    A provider's own words about the client's mistake go out as they are.
    """
    if failure.provider_body is not None:
        return failure.provider_body
    return _encode(openai_error(failure))


def openai_frame(failure: Failure) -> bytes:
    """The data of an event that tells of ``failure``. One line."""
    return _encode(openai_error(failure))


def sluice_error(failure: Failure) -> dict[str, Any]:
    """``failure`` in our own style. What a provider found wrong is told in its words."""
    told = _told_by_provider(failure)
    error: dict[str, Any] = {
        "message": told.message if told is not None else failure.message,
        "type": failure.error_type,
        "stage": failure.stage,
        "code": failure.code,
        "param": told.param if told is not None else failure.param,
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


def _told_by_provider(failure: Failure) -> _ProviderError | None:
    if failure.provider_body is None:
        return None
    try:
        return _provider_body.decode(failure.provider_body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
