"""What a request to our own route, ``/stream``, may say: a prompt, or messages."""

from __future__ import annotations

from typing import Final

import msgspec

from .formats.openai_request import Message, Options
from .json_body import invalid
from .validation import Fields, check_messages, check_model, encoded, read_request


class StreamRequest(Options, kw_only=True):
    """The body of ``POST /stream``: ``prompt`` or ``messages``, and OpenAI's other fields."""

    prompt: str | None = None
    messages: list[Message] | None = None


_stream: Final = msgspec.json.Decoder(StreamRequest)


def read_stream(body: bytes, depth: int) -> tuple[StreamRequest, Fields]:
    """`read_request`, of our own. Exactly one of ``prompt`` and ``messages`` is there after it."""
    return read_request(body, depth, _stream, check_stream)


def check_stream(request: StreamRequest) -> None:
    """Raise a 400 `Failure` for what `read_stream` cannot take, whatever the types say."""
    check_model(request.model)
    if request.prompt is None and request.messages is None:
        raise invalid("prompt is required (or messages).", code="missing_required_parameter")
    if request.prompt is not None and request.messages is not None:
        raise invalid("Give prompt or messages, not both.", code="invalid_value", param="prompt")
    if request.prompt == "":
        raise invalid("prompt must not be empty.", code="invalid_value", param="prompt")
    if request.messages is not None:
        check_messages(request.messages)
    if request.stream is False:
        raise invalid("This route always streams.", code="unsupported_value", param="stream")
    if request.n is not None and request.n > 1:
        raise _only_text("n")
    if request.tools:
        raise _only_text("tools")


def _only_text(param: str) -> Exception:
    return invalid(
        f"This route streams the text of one answer; for {param} use /v1/chat/completions.",
        code="unsupported_value",
        param=param,
    )


def as_messages(fields: Fields, prompt: str) -> Fields:
    """``fields`` of our own route in OpenAI's words: ``prompt`` as a message of the user's."""
    messages = encoded([{"role": "user", "content": prompt}])
    rest = {name: raw for name, raw in fields.items() if name not in {"prompt", "messages"}}
    return {**rest, "messages": messages}
