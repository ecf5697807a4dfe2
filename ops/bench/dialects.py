"""The three formats as `sluice bench` speaks them: what is asked, what the upstream streams.

An answer in each is the same text in as many pieces: what opens it, one event a piece, what
closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from . import chunks, load
from .contestants import ROUTE

Json = dict[str, Any]

_TOKENS: Final = 21
_MOST_TOKENS: Final = 4096
_TAIL: Final = 400
"""Bytes at the end of a whole answer, within which its mark stands."""


class Dialect(msgspec.Struct, frozen=True):
    """One format."""

    name: str
    """As a provider's ``format`` is configured."""
    route: str
    base: str
    """Of a provider's address, what has to stand behind its path."""
    opening: Sequence[str]
    """Events, in SSE."""
    closing: Sequence[str]
    piece: Callable[[str], str]
    """The event of one piece of text."""
    text_in: Callable[[Json], str]
    """What an event adds to the text, from its JSON."""
    mark: str
    """Stands in the last event of an answer that is whole."""
    extra: Json
    """What a request has beyond the model and the messages."""

    def asking(self, model: str) -> load.Asking:
        """A request for ``model``."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "What does a chunk cost?"}],
            "stream": True,
            **self.extra,
        }
        return load.Asking(msgspec.json.encode(body), self.mark, _TAIL)

    def check(self, answer: bytes, pieces: int) -> None:
        """Raise `chunks.BrokenAnswerError` unless ``answer`` is whole, in so many pieces."""
        data = [line[6:] for line in answer.decode().splitlines() if line.startswith("data: ")]
        if self.mark not in answer[-_TAIL:].decode(errors="replace"):
            raise chunks.BrokenAnswerError(f"the answer does not end as {self.name}'s do")
        events = [msgspec.json.decode(each) for each in data if each != chunks.DONE]
        texts = [text for event in events if (text := self.text_in(event))]
        if texts != [chunks.piece(number) for number in range(pieces)]:
            raise chunks.BrokenAnswerError("the answer's text is not the upstream's")


def _sse(data: Json, name: str = "") -> str:
    """An event; in OpenAI's format they have no name."""
    event = f"event: {name}\n" if name else ""
    return f"{event}data: {msgspec.json.encode(data).decode()}\n\n"


# -- OpenAI ------------------------------------------------------------------------------------


def _openai(choices: list[Json], usage: Json | None = None) -> str:
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1767225600}
    rest = {"model": "bench", "system_fingerprint": "fp_bench"}
    return _sse({**head, **rest, "choices": choices, "usage": usage})


def _openai_choice(delta: Json, reason: str | None = None) -> str:
    return _openai([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}])


def _openai_text(event: Json) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


OPENAI: Final = Dialect(
    name="openai",
    route=ROUTE,
    base="/v1",
    opening=[_openai_choice({"role": "assistant", "content": ""})],
    closing=[
        _openai_choice({}, "stop"),
        _openai(
            [],
            {"prompt_tokens": _TOKENS, "completion_tokens": _TOKENS, "total_tokens": 2 * _TOKENS},
        ),
        f"data: {chunks.DONE}\n\n",
    ],
    piece=lambda text: _openai_choice({"content": text}),
    text_in=_openai_text,
    mark=f"data: {chunks.DONE}",
    extra={"stream_options": {"include_usage": True}},
)


# -- Anthropic ---------------------------------------------------------------------------------


def _anthropic(kind: str, **fields: Any) -> str:
    return _sse({"type": kind, **fields}, kind)


def _anthropic_delta(text: str) -> str:
    return _anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def _anthropic_text(event: Json) -> str:
    text: str = event["delta"]["text"] if event["type"] == "content_block_delta" else ""
    return text


_MESSAGE: Final[Json] = {
    "id": "msg_bench",
    "type": "message",
    "role": "assistant",
    "model": "bench",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": _TOKENS, "output_tokens": 1},
}

ANTHROPIC: Final = Dialect(
    name="anthropic",
    route="/v1/messages",
    base="",
    opening=[
        _anthropic("message_start", message=_MESSAGE),
        _anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ],
    closing=[
        _anthropic("content_block_stop", index=0),
        _anthropic(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": _TOKENS},
        ),
        _anthropic("message_stop"),
    ],
    piece=_anthropic_delta,
    text_in=_anthropic_text,
    mark='data: {"type":"message_stop"}',
    extra={"max_tokens": _MOST_TOKENS},
)


# -- Cohere ------------------------------------------------------------------------------------


def _cohere(kind: str, **fields: Any) -> str:
    return _sse({"type": kind, **fields}, kind)


def _cohere_content(kind: str, content: Json) -> str:
    return _cohere(kind, index=0, delta={"message": {"content": content}})


def _cohere_text(event: Json) -> str:
    if event["type"] != "content-delta":
        return ""
    text: str = event["delta"]["message"]["content"]["text"]
    return text


_USAGE: Final[Json] = {"tokens": {"input_tokens": _TOKENS, "output_tokens": _TOKENS}}

COHERE: Final = Dialect(
    name="cohere",
    route="/v2/chat",
    base="",
    opening=[
        _cohere(
            "message-start",
            id="bench",
            delta={"message": {"role": "assistant", "content": [], "tool_calls": []}},
        ),
        _cohere_content("content-start", {"type": "text", "text": ""}),
    ],
    closing=[
        _cohere("content-end", index=0),
        _cohere("message-end", delta={"finish_reason": "COMPLETE", "usage": _USAGE}),
    ],
    piece=lambda text: _cohere_content("content-delta", {"text": text}),
    text_in=_cohere_text,
    mark='"finish_reason":"COMPLETE"',
    extra={},
)

DIALECTS: Final = (OPENAI, ANTHROPIC, COHERE)
