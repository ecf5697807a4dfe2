"""A request in OpenAI's words, made into a body for a provider that speaks another format. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .anthropic_request import anthropic_request
from .cohere_request import cohere_request


def translated(
    fields: Mapping[str, msgspec.Raw],
    provider_format: str,
    upstream_model: str | None,
    *,
    streamed: bool,
    max_tokens: int,
) -> bytes:
    """The body for ``provider_format``, which is not OpenAI's: see `.format.Asked`.

    ``fields`` is OpenAI's request object, field by field.
    """
    if provider_format == "anthropic":
        return anthropic_request(fields, upstream_model, max_tokens, streamed=streamed)
    return cohere_request(fields, upstream_model, streamed=streamed)
