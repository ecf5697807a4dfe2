"""OpenAI's chat completions, as `openai.types.chat` has them, streamed and whole.

Reasoning comes as ``reasoning_content``, which OpenAI itself keeps to itself and everybody
who is compatible with it sends.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec

from .answers import Answer, Call, Tool, escape, plain
from .dialect import Asked, Identity, Problem, Refused, decoded
from .openai_errors import rendered
from .steps import Frames, Headers

_FINGERPRINT = "fp_51ce0e5a1f"
_PADDING = b"Jx8VbqT2mKcR5wYzN0pLhGdS7uFaEoIv"
"""What ``obfuscation`` is cut from: it evens out the sizes of the frames."""
_COMMENT = b": PROCESSING\n\n"
"""OpenAI itself is silent; what is compatible with it is not."""
_COMMON: Headers = [
    (b"openai-processing-ms", b"12"),
    (b"openai-version", b"2020-10-01"),
    (b"x-ratelimit-limit-requests", b"10000"),
    (b"x-ratelimit-remaining-requests", b"9999"),
    (b"x-ratelimit-reset-requests", b"6ms"),
]


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


_Limit = Annotated[int, msgspec.Meta(ge=1)] | None


class _Request(msgspec.Struct):
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    max_tokens: _Limit = None
    max_completion_tokens: _Limit = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    reasoning_effort: str | None = None


_decoder = msgspec.json.Decoder(_Request)


class OpenAI:
    """The dialect of ``POST /v1/chat/completions``."""

    name = "openai"
    id_prefix = "chatcmpl-"
    id_length = 24
    call_prefix = "call_"

    def parse(self, body: bytes, headers: Headers) -> Asked:
        """Read a request. Raises `Refused`."""
        del headers
        request = decoded(_decoder, body)
        _check(request)
        return _asked(request)

    def headers(self, identity: Identity) -> Headers:
        """Of every response, besides its content type."""
        return [(b"x-request-id", b"req_" + identity.id[9:].encode()), *_COMMON]

    def stream(self, asked: Asked, answers: list[Answer], identity: Identity) -> Frames:
        """``chat.completion.chunk`` events, and ``[DONE]``."""
        chunks = _Chunks(asked, identity)
        opening = [chunks.role(index, answer) for index, answer in enumerate(answers)]
        content = [chunks.content(index, answer) for index, answer in enumerate(answers)]
        closing = [chunks.finish(index, answer) for index, answer in enumerate(answers)]
        if asked.include_usage:
            closing.append(chunks.usage(answers))
        return Frames(
            opening=opening,
            content=content[0] if len(content) == 1 else _interleaved(content),
            closing=closing,
            end=b"data: [DONE]\n\n",
            comment=_COMMENT,
        )

    def whole(self, asked: Asked, answers: list[Answer], identity: Identity) -> bytes:
        """A ``chat.completion``."""
        body = {
            "id": identity.id,
            "object": "chat.completion",
            "created": identity.created,
            "model": asked.model,
            "choices": [_choice(index, a, asked) for index, a in enumerate(answers)],
            "usage": _usage(asked, answers),
            "service_tier": "default",
            "system_fingerprint": _FINGERPRINT,
        }
        return msgspec.json.encode(body)

    def problem(
        self, problem: Problem, asked: Asked | None, identity: Identity
    ) -> tuple[int, bytes]:
        """Status and body of an error."""
        del identity
        return rendered(problem, asked.model if asked else "")

    def error_event(self, asked: Asked, identity: Identity) -> bytes:
        """The event that says, in a stream, that the provider failed."""
        _, body = self.problem(Problem(kind="server_error"), asked, identity)
        return b"data: %b\n\n" % body

    def garbage_event(self) -> bytes:
        """An event where the format has JSON, and this has none."""
        return b'data: {"id":"chatcmpl-, "choices" upstream connect error\n\n'


class _Chunks:
    """Makes the chunks of one response: what is the same in all is put together once."""

    def __init__(self, asked: Asked, identity: Identity) -> None:
        fixed = {
            "id": identity.id,
            "object": "chat.completion.chunk",
            "created": identity.created,
            "model": asked.model,
            "service_tier": "default",
            "system_fingerprint": _FINGERPRINT,
        }
        self._asked = asked
        self._head = b"data: " + msgspec.json.encode(fixed)[:-1] + b',"choices":['
        self._usage = b',"usage":null' if asked.include_usage else b""

    def role(self, index: int, answer: Answer) -> bytes:
        """The first chunk of a choice."""
        content = "null" if answer.calls else '""'
        delta = f'{{"role":"assistant","content":{content},"refusal":null}}'
        return self._chunk(index, delta.encode())

    def content(self, index: int, answer: Answer) -> list[bytes]:
        """Its reasoning, text and tool calls."""
        frames: list[bytes] = []
        if answer.reasoning:
            frames += self._texts(index, b'{"reasoning_content":"', answer.reasoning)
        if answer.text and self._asked.logprobs is not None:
            frames += self._logged(index, answer.text, self._asked.logprobs)
        elif answer.text:
            frames += self._texts(index, b'{"content":"', answer.text)
        for number, call in enumerate(answer.calls):
            frames += [self._chunk(index, delta) for delta in _call_deltas(number, call)]
        return frames

    def finish(self, index: int, answer: Answer) -> bytes:
        """The last chunk of a choice: why it stopped."""
        return self._chunk(index, b"{}", finish=b'"%b"' % _finish(answer).encode())

    def usage(self, answers: list[Answer]) -> bytes:
        """The chunk without a choice that counts the tokens."""
        usage = msgspec.json.encode(_usage(self._asked, answers))
        return self._head + b'],"usage":' + usage + self._padding(0) + b"}\n\n"

    def _chunk(
        self, index: int, delta: bytes, *, logprobs: bytes = b"null", finish: bytes = b"null"
    ) -> bytes:
        choice = b'{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]' % (
            index,
            delta,
            logprobs,
            finish,
        )
        return self._head + choice + self._usage + self._padding(len(delta)) + b"}\n\n"

    def _texts(self, index: int, field: bytes, pieces: list[bytes]) -> list[bytes]:
        """The hot path of a benchmark: all but the ids of a frame is remembered."""
        head = self._head + b'{"index":%d,"delta":%b' % (index, field)
        usage, obfuscate = self._usage, self._asked.obfuscate
        return [head + _rest(piece, usage, obfuscate) for piece in pieces]

    def _logged(self, index: int, pieces: list[bytes], alternatives: int) -> list[bytes]:
        return [
            self._chunk(
                index,
                b'{"content":"%b"}' % piece,
                logprobs=msgspec.json.encode(_logprobs([piece], alternatives)),
            )
            for piece in pieces
        ]

    def _padding(self, length: int) -> bytes:
        if not self._asked.obfuscate:
            return b""
        return b',"obfuscation":"%b"' % _PADDING[length:]


@functools.lru_cache(maxsize=4096)
def _rest(piece: bytes, usage: bytes, obfuscate: bool) -> bytes:  # noqa: FBT001 -- a cache's key
    """A chunk from its text on."""
    padding = b',"obfuscation":"%b"' % _PADDING[len(piece) :] if obfuscate else b""
    tail = b'"},"logprobs":null,"finish_reason":null}]'
    return piece + tail + usage + padding + b"}\n\n"


def _asked(request: _Request) -> Asked:
    last = request.messages[-1]
    options = request.stream_options or _StreamOptions()
    streamed = bool(request.stream)
    return Asked(
        model=request.model,
        prompt=_prompt(request.messages),
        prompt_tokens=sum(4 + len(message.text) // 4 for message in request.messages),
        stream=streamed,
        prefill=last.text if last.role == "assistant" else None,
        tools=[Tool(t.function.name, t.function.parameters or {}) for t in request.tools or ()],
        must_call=request.tool_choice == "required" or isinstance(request.tool_choice, dict),
        may_call=request.tool_choice != "none" and last.role not in {"tool", "function"},
        n=request.n or 1,
        limit=request.max_completion_tokens or request.max_tokens,
        reasoning=request.reasoning_effort not in {None, "none", "minimal"},
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        include_usage=streamed and bool(options.include_usage),
        obfuscate=streamed and options.include_obfuscation is not False,
    )


def _check(request: _Request) -> None:
    """What no single field's type says."""
    if request.stream_options is not None and not request.stream:
        detail = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(Problem(kind="invalid_request", detail=detail, param="stream_options"))
    if request.top_logprobs is not None and not request.logprobs:
        detail = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        raise Refused(Problem(kind="invalid_request", detail=detail, param="top_logprobs"))


def _prompt(messages: list[_Message]) -> bytes:
    return next((m.text.encode() for m in reversed(messages) if m.role == "user"), b"")


def _finish(answer: Answer) -> str:
    if answer.shortened:
        return "length"
    return "tool_calls" if answer.calls else "stop"


def _usage(asked: Asked, answers: list[Answer]) -> dict[str, object]:
    reasoning = sum(answer.reasoning_tokens for answer in answers)
    completion = sum(answer.tokens for answer in answers) + reasoning
    return {
        "prompt_tokens": asked.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": asked.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _choice(index: int, answer: Answer, asked: Asked) -> dict[str, object]:
    text = plain(b"".join(answer.text))
    message: dict[str, object] = {
        "role": "assistant",
        "content": None if answer.calls and not text else text,
        "refusal": None,
        "annotations": [],
    }
    if answer.reasoning:
        message["reasoning_content"] = plain(b"".join(answer.reasoning))
    if answer.calls:
        message["tool_calls"] = [_whole_call(call) for call in answer.calls]
    wanted = asked.logprobs is not None
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(answer.text, asked.logprobs or 0) if wanted else None,
        "finish_reason": _finish(answer),
    }


def _whole_call(call: Call) -> dict[str, object]:
    function = {"name": call.name, "arguments": "".join(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _call_deltas(number: int, call: Call) -> Iterator[bytes]:
    """The call's name with its id, then its arguments, piece by piece."""
    first = {
        "index": number,
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    yield b'{"tool_calls":[%b]}' % msgspec.json.encode(first)
    for piece in call.arguments:
        arguments = b'"%b"' % escape(piece)
        yield b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (number, arguments)


def _logprobs(pieces: list[bytes], alternatives: int) -> dict[str, object]:
    return {"content": [_logprob(plain(p), alternatives) for p in pieces], "refusal": None}


def _logprob(token: str, alternatives: int) -> dict[str, object]:
    others = [token, *(f" {word}" for word in ("a", "the", "so", "and", "but"))]
    top = itertools.islice(itertools.cycle(others), alternatives)
    return _scored(token, 0) | {"top_logprobs": [_scored(t, rank) for rank, t in enumerate(top)]}


def _scored(token: str, rank: int) -> dict[str, object]:
    return {"token": token, "logprob": -0.125 - rank, "bytes": list(token.encode())}


def _interleaved(choices: Iterable[list[bytes]]) -> list[bytes]:
    """The frames of several choices, taking turns."""
    rows = itertools.zip_longest(*choices)
    return [frame for row in rows for frame in row if frame is not None]
