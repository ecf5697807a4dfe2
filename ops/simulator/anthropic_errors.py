"""Anthropic's errors: status, and ``{"type": "error", "error": {...}, "request_id"}``."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from .dialect import Identity, Problem, ProblemKind

_BAD = "invalid_request_error"


class _Error(NamedTuple):
    status: int
    type: str
    message: str


_ERRORS: dict[ProblemKind, _Error] = {
    "invalid_json": _Error(400, _BAD, "The request body is not valid JSON: {detail}"),
    "unauthorized": _Error(401, "authentication_error", "invalid x-api-key"),
    "not_found": _Error(404, "not_found_error", "Not Found"),
    "model_not_found": _Error(404, "not_found_error", "model: {model}"),
    "rate_limit": _Error(
        429,
        "rate_limit_error",
        "This request would exceed your organization's rate limit of 50 requests per minute.",
    ),
    "server_error": _Error(500, "api_error", "Internal server error"),
    "unavailable": _Error(503, "api_error", "Service Unavailable"),
    "overloaded": _Error(529, "overloaded_error", "Overloaded"),
    "context_length": _Error(400, _BAD, "prompt is too long: 200118 tokens > 200000 maximum"),
    "content_policy": _Error(400, _BAD, "Output blocked by content filtering policy"),
    "no_prefill": _Error(
        400,
        _BAD,
        "This model does not support assistant message prefill. The conversation must end with a "
        "user message.",
    ),
}


def rendered(problem: Problem, model: str, identity: Identity) -> tuple[int, bytes]:
    """Status and body of the error that ``problem`` is, for a request to ``model``."""
    found = _ERRORS.get(problem.kind) or _Error(400, _BAD, _request_message(problem))
    message = found.message.replace("{model}", model).replace("{detail}", problem.detail)
    body = {
        "type": "error",
        "error": {"type": found.type, "message": message},
        "request_id": "req_" + identity.id[4:],
    }
    return found.status, msgspec.json.encode(body)


def _request_message(problem: Problem) -> str:
    """An error in one parameter: ``messages.0.role: Field required``."""
    detail = "Field required" if problem.detail == "missing" else problem.detail
    if problem.param is None:
        return detail
    where = problem.param.replace("[", ".").replace("]", "")
    return f"{where}: {detail}"
