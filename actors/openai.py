"""OpenAI chat completions, the provider's side: reading chunks, whole answers and errors.

Source: the types of the official SDK (``openai.types.chat.ChatCompletionChunk``).
"""

from __future__ import annotations

from typing import Final

import msgspec

from .failures import Failure
from .formats import Chunk


class WholeAnswer(msgspec.Struct):
    """What makes a JSON object a chat completion."""

    choices: list[msgspec.Raw]


_chunk = msgspec.json.Decoder(Chunk)
_whole = msgspec.json.Decoder(WholeAnswer)


class OpenAIProvider:
    """Speaks with everything that calls itself OpenAI-compatible."""

    name: Final = "openai"

    def read(self, data: bytes) -> Chunk | None:
        """The chunk in ``data``; None for ``[DONE]``, with or without blanks around it."""
        try:
            chunk = _chunk.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if data.strip() == b"[DONE]":
                return None
            raise malformed("chunk", "streaming") from error
        if chunk.error is not None:
            raise Failure(
                "provider_error",
                "streaming",
                "The provider reported an error while it was answering.",
                status=502,
                code="provider_error_in_stream",
            )
        return chunk

    def check_whole(self, body: bytes) -> bytes:
        """``body``, if it is a chat completion."""
        try:
            _whole.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise malformed("answer", "provider_call") from error
        return body


def malformed(what: str, stage: str) -> Failure:
    """What the provider sent is not what its format says."""
    return Failure(
        "serialization_error",
        "streaming" if stage == "streaming" else "provider_call",
        f"The provider sent a malformed {what}.",
        status=502,
        code="malformed_" + what,
    )
