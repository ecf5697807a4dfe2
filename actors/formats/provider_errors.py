"""What a provider says when it refuses a request, in each of the three formats. Pure.

The two reasons that decide what may be tried next are told apart: a prompt that is too long may
suit a larger model, what a provider's policy forbids is to be passed on. Only OpenAI has codes
for them; of the others (and of those who merely speak like OpenAI) their sentences are known.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sluice.actors.failures import Told

CONTEXT_LENGTH: Final = "context_length_exceeded"
CONTENT_POLICY: Final = "content_policy"

_POLICY_CODES: Final = frozenset({
    "content_filter", "content_policy_violation", "content_policy", "invalid_prompt",
    "responsible_ai_policy_violation",
})  # fmt: skip
_TOO_LONG: Final = re.compile(
    r"maximum context length|context length exceeded|exceeds? (the )?(model's )?context"
    r"|prompt is too long|exceed context limit|too many tokens",
    re.IGNORECASE,
)
"""OpenAI, vLLM and others; Anthropic (two ways); Cohere."""
_FORBIDDEN: Final = re.compile(
    r"content filter|content management policy|our safety system|usage policies"
    r"|blocked (input|output)",
    re.IGNORECASE,
)
"""Anthropic and Azure; OpenAI; Cohere."""


class _OpenAIError(msgspec.Struct):
    message: str
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _OpenAIBody(msgspec.Struct):
    error: _OpenAIError


class _AnthropicError(msgspec.Struct):
    message: str
    type: str


class _AnthropicBody(msgspec.Struct):
    error: _AnthropicError


class _CohereBody(msgspec.Struct):
    message: str


_openai: Final = msgspec.json.Decoder(_OpenAIBody)
_anthropic: Final = msgspec.json.Decoder(_AnthropicBody)
_cohere: Final = msgspec.json.Decoder(_CohereBody)


def told_in(body: bytes, provider_format: str) -> Told | None:
    """What an error's ``body`` says; None: it is none in that format."""
    try:
        told = _READERS[provider_format](body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return told._replace(body=body, format=provider_format)


def told(message: str, kind: str | None = None) -> Told:
    """What a sentence of a provider's, alone, says."""
    return Told(message, kind=kind, reason=_reason_of(message))


def _told_by_openai(body: bytes) -> Told:
    error = _openai.decode(body).error
    code = None if error.code is None else str(error.code)
    if CONTEXT_LENGTH in {code, error.type}:
        reason: str | None = CONTEXT_LENGTH
    elif code in _POLICY_CODES:
        reason = CONTENT_POLICY
    else:
        reason = _reason_of(error.message)
    return Told(error.message, param=error.param, kind=error.type, reason=reason)


def _told_by_anthropic(body: bytes) -> Told:
    error = _anthropic.decode(body).error
    return told(error.message, error.type)


def _told_by_cohere(body: bytes) -> Told:
    return told(_cohere.decode(body).message)


_READERS: Final = {
    "openai": _told_by_openai,
    "anthropic": _told_by_anthropic,
    "cohere": _told_by_cohere,
}


def _reason_of(message: str) -> str | None:
    if _TOO_LONG.search(message):
        return CONTEXT_LENGTH
    return CONTENT_POLICY if _FORBIDDEN.search(message) else None
