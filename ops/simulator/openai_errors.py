"""OpenAI's errors: status, and ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from .dialect import Problem, ProblemKind

_BAD = "invalid_request_error"
_OVERLOADED = "The engine is currently overloaded, please try again later."


class _Error(NamedTuple):
    status: int
    type: str
    code: str | None
    message: str
    param: str | None = None


_ERRORS: dict[ProblemKind, _Error] = {
    "invalid_json": _Error(
        400,
        _BAD,
        None,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't "
        "using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was "
        "sent was not valid JSON.)",
    ),
    "unauthorized": _Error(401, _BAD, "invalid_api_key", "Incorrect API key provided."),
    "not_found": _Error(404, _BAD, "unknown_url", "Unknown request URL: {detail}."),
    "model_not_found": _Error(
        404,
        _BAD,
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    "rate_limit": _Error(
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, Requested 1. "
        "Please try again in 20s.",
    ),
    "server_error": _Error(
        500,
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    "unavailable": _Error(503, "server_error", None, _OVERLOADED),
    "overloaded": _Error(503, "server_error", None, _OVERLOADED),
    "context_length": _Error(
        400,
        _BAD,
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in "
        "9001 tokens. Please reduce the length of the messages.",
        "messages",
    ),
    "content_policy": _Error(
        400,
        _BAD,
        "content_policy_violation",
        "Your request was rejected as a result of our safety system. Your request may contain "
        "text that is not allowed by our safety system.",
    ),
    "no_prefill": _Error(
        400,
        _BAD,
        "invalid_value",
        "This model does not continue an assistant message: the last message must not have the "
        "role 'assistant'.",
        "messages",
    ),
}


def rendered(problem: Problem, model: str) -> tuple[int, bytes]:
    """Status and body of the error that ``problem`` is, for a request to ``model``."""
    found = _ERRORS.get(problem.kind) or _request_error(problem)
    message = found.message.replace("{model}", model).replace("{detail}", problem.detail)
    error = {"message": message, "type": found.type, "param": found.param, "code": found.code}
    return found.status, msgspec.json.encode({"error": error})


def _request_error(problem: Problem) -> _Error:
    """An error in one parameter of the request."""
    param, detail = problem.param, problem.detail
    if detail != "missing":
        code = "invalid_type" if detail.startswith("Expected") else None
        message = f"Invalid type for '{param}': {detail}." if code else detail
        return _Error(400, _BAD, code, message, param)
    if param == "model":
        return _Error(400, _BAD, None, "you must provide a model parameter")
    message = f"Missing required parameter: '{param}'."
    return _Error(400, _BAD, "missing_required_parameter", message, param)
