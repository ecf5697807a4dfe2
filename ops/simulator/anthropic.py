"""Anthropic's messages, as `anthropic.types` has them, streamed and whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from . import anthropic_errors
from .answers import Answer, Call, Tool, escape, plain
from .dialect import Asked, Identity, Problem, Refused, decoded
from .steps import Frames, Headers

_COMMON: Headers = [
    (b"anthropic-organization-id", b"5c1a8e0e-7f0e-4d3b-9a39-51f3c64aa7b2"),
    (b"anthropic-ratelimit-requests-limit", b"4000"),
    (b"anthropic-ratelimit-requests-remaining", b"3999"),
]
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_SIGNATURE = "EqQBCkYIAxgCIkDzq2Vx7Zt4mYk0sSimulated"


class _Block(msgspec.Struct):
    type: str
    text: str = ""


_Content = str | list[_Block]


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: _Content


class _Tool(msgspec.Struct):
    name: str
    input_schema: dict[str, Any] = {}


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]


class _Thinking(msgspec.Struct):
    type: Literal["enabled", "disabled", "adaptive"]


class _Request(msgspec.Struct):
    model: str
    max_tokens: Annotated[int, msgspec.Meta(ge=1)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool = False
    system: _Content = ""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    tools: list[_Tool] = []
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None


_decoder = msgspec.json.Decoder(_Request)


class Anthropic:
    """The dialect of ``POST /v1/messages``."""

    name = "anthropic"
    id_prefix = "msg_"
    id_length = 24
    call_prefix = "toolu_"

    def parse(self, body: bytes, headers: Headers) -> Asked:
        """Read a request. Raises `Refused`."""
        if not any(name == b"anthropic-version" for name, _ in headers):
            detail = "anthropic-version: header is required"
            raise Refused(Problem(kind="invalid_request", detail=detail))
        request = decoded(_decoder, body)
        last = request.messages[-1]
        prefill = _text(last.content) if last.role == "assistant" else None
        if prefill is not None and prefill != prefill.rstrip():
            raise Refused(Problem(kind="invalid_request", detail=_TRAILING))
        return _asked(request, prefill)

    def headers(self, identity: Identity) -> Headers:
        """Of every response, besides its content type."""
        return [(b"request-id", b"req_" + identity.id[4:].encode()), *_COMMON]

    def stream(self, asked: Asked, answers: list[Answer], identity: Identity) -> Frames:
        """From ``message_start`` to ``message_stop``."""
        (answer,) = answers
        message = _message(asked, answer, identity)
        usage = message["usage"] | {"output_tokens": 1}
        begun = message | {"content": [], "stop_reason": None, "usage": usage}
        start = _event(b"message_start", {"type": "message_start", "message": begun})
        stop = {
            "type": "message_delta",
            "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": message["usage"]["output_tokens"]},
        }
        content = _blocks(answer)
        closing = [content.pop()] if content else []
        return Frames(
            opening=[start, _PING],
            content=content,
            closing=[*closing, _event(b"message_delta", stop)],
            end=_event(b"message_stop", {"type": "message_stop"}),
            comment=_PING,
        )

    def whole(self, asked: Asked, answers: list[Answer], identity: Identity) -> bytes:
        """A ``message``."""
        (answer,) = answers
        return msgspec.json.encode(_message(asked, answer, identity))

    def problem(
        self, problem: Problem, asked: Asked | None, identity: Identity
    ) -> tuple[int, bytes]:
        """Status and body of an error."""
        return anthropic_errors.rendered(problem, asked.model if asked else "", identity)

    def error_event(self, asked: Asked, identity: Identity) -> bytes:
        """The event that says, in a stream, that the provider failed."""
        _, body = self.problem(Problem(kind="overloaded"), asked, identity)
        return b"event: error\ndata: %b\n\n" % body

    def garbage_event(self) -> bytes:
        """An event where the format has JSON, and this has none."""
        return b'event: content_block_delta\ndata: {"type":"content_blo upstream error\n\n'


def _text(content: _Content) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.text for block in content)


def _asked(request: _Request, prefill: str | None) -> Asked:
    texts = [_text(message.content) for message in request.messages]
    prompts = [t for m, t in zip(request.messages, texts, strict=True) if m.role == "user"]
    choice = request.tool_choice.type if request.tool_choice else "auto"
    last = request.messages[-1].content
    answered = isinstance(last, list) and any(block.type == "tool_result" for block in last)
    return Asked(
        model=request.model,
        prompt=prompts[-1].encode() if prompts else b"",
        prompt_tokens=sum(4 + len(t) // 4 for t in [_text(request.system), *texts]),
        stream=request.stream,
        prefill=prefill,
        tools=[Tool(tool.name, tool.input_schema) for tool in request.tools],
        must_call=choice in {"any", "tool"},
        may_call=choice != "none" and not answered,
        limit=request.max_tokens,
        reasoning=request.thinking is not None and request.thinking.type != "disabled",
    )


def _message(asked: Asked, answer: Answer, identity: Identity) -> dict[str, Any]:
    return {
        "id": identity.id,
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": _content(answer),
        "stop_reason": _stop_reason(answer),
        "stop_sequence": None,
        "usage": {
            "input_tokens": asked.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": answer.tokens + answer.reasoning_tokens,
            "service_tier": "standard",
        },
    }


def _content(answer: Answer) -> list[dict[str, object]]:
    blocks: list[dict[str, object]] = []
    if answer.reasoning:
        thinking = plain(b"".join(answer.reasoning))
        blocks.append({"type": "thinking", "thinking": thinking, "signature": _SIGNATURE})
    if answer.text:
        blocks.append({"type": "text", "text": plain(b"".join(answer.text))})
    blocks += [
        _tool_use(call) | {"input": msgspec.json.decode("".join(call.arguments))}
        for call in answer.calls
    ]
    return blocks


def _tool_use(call: Call) -> dict[str, object]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}


def _stop_reason(answer: Answer) -> str:
    if answer.shortened:
        return "max_tokens"
    return "tool_use" if answer.calls else "end_turn"


def _blocks(answer: Answer) -> list[bytes]:
    """The events of all blocks; the last piece is the end of the last block.

    A block's start is in one piece with its first delta, and its end with the next one's start.
    """
    pieces: list[bytes] = []
    pending = b""
    for index, (block, deltas, last) in enumerate(_parts(answer)):
        start = {"type": "content_block_start", "index": index, "content_block": block}
        pending += _event(b"content_block_start", start)
        head = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,' % index
        )
        events = [head + delta + b"}\n\n" for delta in deltas]
        pieces += [pending + events[0], *events[1:]]
        pending = head + last + b"}\n\n" if last else b""
        pending += _event(b"content_block_stop", {"type": "content_block_stop", "index": index})
    return [*pieces, pending] if pieces else []


def _parts(answer: Answer) -> list[tuple[dict[str, object], list[bytes], bytes]]:
    """Of each block: how it starts, its deltas, and a delta that comes right before its end."""
    parts: list[tuple[dict[str, object], list[bytes], bytes]] = []
    if answer.reasoning:
        block: dict[str, object] = {"type": "thinking", "thinking": "", "signature": ""}
        signature = b'"delta":{"type":"signature_delta","signature":"%b"}' % _SIGNATURE.encode()
        deltas = _deltas(b"thinking_delta", b"thinking", answer.reasoning)
        parts.append((block, deltas, signature))
    if answer.text:
        deltas = _deltas(b"text_delta", b"text", answer.text)
        parts.append(({"type": "text", "text": ""}, deltas, b""))
    for call in answer.calls:
        pieces = [b"", *map(escape, call.arguments)]
        deltas = _deltas(b"input_json_delta", b"partial_json", pieces)
        parts.append((_tool_use(call), deltas, b""))
    return parts


def _deltas(kind: bytes, field: bytes, pieces: list[bytes]) -> list[bytes]:
    head = b'"delta":{"type":"%b","%b":"' % (kind, field)
    return [head + piece + b'"}' for piece in pieces]


def _event(name: bytes, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, msgspec.json.encode(data))


_TRAILING = "messages: final assistant content cannot end with trailing whitespace"
