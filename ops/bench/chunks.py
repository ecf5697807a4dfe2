"""The answer that the upstream streams: 20 chunks in OpenAI's format, and whether one is whole."""

from __future__ import annotations

from typing import Any

import msgspec

CHUNKS = 20
"""Events of an answer that carry JSON; its end marker leaves with the last of them."""

DONE = "[DONE]"

_TEXT = "Every stream has its own task and the pump moves all of their bytes, at once. "
WORDS = _TEXT.split(" ")
"""Of which the pieces of an answer are made."""

_PIECES = CHUNKS - 2


class BrokenAnswerError(Exception):
    """An answer that is not the upstream's answer, and what is wrong with it."""


def request_body(model: str) -> bytes:
    """A request for ``model``. It asks for usage, so that every contestant passes on as much."""
    return msgspec.json.encode(
        {
            "model": model,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "What does a stream cost?"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )


def text() -> str:
    """What the content of all chunks of an answer adds up to."""
    return "".join(_pieces())


def frames() -> list[str]:
    """The answer as SSE, a string a chunk, each about 220 bytes.

    The first says something already: a proxy may wait for that, as long as another provider could
    still be asked, and the time to the first chunk is the time to the first text.
    """
    first, *others = _pieces()
    deltas = [_choice({"role": "assistant", "content": first})]
    deltas += [_choice({"content": piece}) for piece in others]
    deltas += [_choice({}, finish="stop"), _usage()]
    events = [f"data: {msgspec.json.encode(_chunk(part)).decode()}\n\n" for part in deltas]
    events[-1] += f"data: {DONE}\n\n"
    return events


def check_answer(body: bytes) -> None:
    """Raise `BrokenAnswerError` unless ``body`` (SSE) is the whole answer of `frames`."""
    data = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    if data[-1:] != [DONE]:
        raise BrokenAnswerError("the answer does not end in [DONE]")
    if len(data) != CHUNKS + 1:
        raise BrokenAnswerError(f"the answer has {len(data) - 1} chunks instead of {CHUNKS}")
    if "".join(_content(event) for event in data[:-1]) != text():
        raise BrokenAnswerError("the answer's text is not the upstream's")


def _content(event: str) -> str:
    choices = msgspec.json.decode(event)["choices"]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def piece(number: int) -> str:
    """The text of one piece of an answer: a word, and again from the first after the last."""
    return WORDS[number % len(WORDS)] + " "


def _pieces() -> list[str]:
    return [piece(number) for number in range(_PIECES)]


def _chunk(part: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "bench",
        "system_fingerprint": "fp_bench",
        **part,
    }


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"choices": [choice], "usage": None}


def _usage() -> dict[str, Any]:
    counts = {"prompt_tokens": 21, "completion_tokens": _PIECES, "total_tokens": 21 + _PIECES}
    return {"choices": [], "usage": counts}
