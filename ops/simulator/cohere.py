"""Cohere's chat v2, as `cohere.types` has it, streamed and whole."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

import msgspec

from .answers import Answer, Call, Tool, escape, plain
from .dialect import Asked, Identity, Problem, ProblemKind, decoded
from .steps import Frames, Headers

_COMMON: Headers = [
    (b"x-endpoint-monthly-call-limit", b"1000"),
    (b"x-trial-endpoint-call-limit", b"40"),
]
_PLAN = ("I", " will", " ask", " the", " tool", ".")


class _Block(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system", "tool"]
    content: str | list[_Block] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(block.text for block in self.content)
        return self.content or ""


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    function: _Function


class _Thinking(msgspec.Struct):
    type: Literal["enabled", "disabled"]


class _Request(msgspec.Struct):
    model: str
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool = False
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0)] | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    thinking: _Thinking | None = None
    logprobs: bool | None = None


_decoder = msgspec.json.Decoder(_Request)


class Cohere:
    """The dialect of ``POST /v2/chat``."""

    name = "cohere"
    id_prefix = ""
    id_length = 32
    call_prefix = "call_"

    def parse(self, body: bytes, headers: Headers) -> Asked:
        """Read a request. Raises `Refused`."""
        del headers
        return _asked(decoded(_decoder, body))

    def headers(self, identity: Identity) -> Headers:
        """Of every response, besides its content type."""
        return [(b"x-debug-trace-id", identity.id.encode()), *_COMMON]

    def stream(self, asked: Asked, answers: list[Answer], identity: Identity) -> Frames:
        """From ``message-start`` to ``message-end``."""
        (answer,) = answers
        empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        message = {"message": empty | {"citations": []}}
        content = _plan(answer) + _contents(asked, answer) + _calls(answer)
        closing = [content.pop()] if content else []
        end = {"finish_reason": _finish(answer), "usage": _usage(asked, answer)}
        start = {"id": _uuid(identity), "type": "message-start", "delta": message}
        return Frames(
            opening=[_event("message-start", start)],
            content=content,
            closing=closing,
            end=_event("message-end", {"type": "message-end", "delta": end}),
            comment=b": ping\n\n",
        )

    def whole(self, asked: Asked, answers: list[Answer], identity: Identity) -> bytes:
        """The response to a chat that is not streamed."""
        (answer,) = answers
        message: dict[str, object] = {"role": "assistant"}
        if answer.calls:
            message["tool_plan"] = "".join(_PLAN)
            message["tool_calls"] = [_call(c, "".join(c.arguments)) for c in answer.calls]
        if answer.text or answer.reasoning:
            message["content"] = _whole_content(answer)
        body: dict[str, object] = {
            "id": _uuid(identity),
            "finish_reason": _finish(answer),
            "message": message,
            "usage": _usage(asked, answer),
        }
        if asked.logprobs is not None:
            body["logprobs"] = [_logprob(piece) for piece in answer.text]
        return msgspec.json.encode(body)

    def problem(
        self, problem: Problem, asked: Asked | None, identity: Identity
    ) -> tuple[int, bytes]:
        """Status and body of an error."""
        status, message = _ERRORS.get(problem.kind) or (400, _request_message(problem))
        model = asked.model if asked else ""
        message = message.replace("{model}", model)
        return status, msgspec.json.encode({"id": _uuid(identity), "message": message})

    def error_event(self, asked: Asked, identity: Identity) -> bytes:
        """The event that says, in a stream, that the provider failed."""
        del identity
        usage = _usage(asked, Answer())
        delta = {"error": "internal server error", "finish_reason": "ERROR", "usage": usage}
        return _event("message-end", {"type": "message-end", "delta": delta})

    def garbage_event(self) -> bytes:
        """An event where the format has JSON, and this has none."""
        return b'event: content-delta\ndata: {"type":"content-del upstream error\n\n'


def _asked(request: _Request) -> Asked:
    last = request.messages[-1]
    prompts = [message.text for message in request.messages if message.role == "user"]
    return Asked(
        model=request.model,
        prompt=prompts[-1].encode() if prompts else b"",
        prompt_tokens=sum(4 + len(message.text) // 4 for message in request.messages),
        stream=request.stream,
        prefill=last.text if last.role == "assistant" else None,
        tools=[Tool(t.function.name, t.function.parameters or {}) for t in request.tools or ()],
        must_call=request.tool_choice == "REQUIRED",
        may_call=request.tool_choice != "NONE" and last.role != "tool",
        limit=request.max_tokens,
        reasoning=request.thinking is not None and request.thinking.type == "enabled",
        logprobs=0 if request.logprobs else None,
    )


def _uuid(identity: Identity) -> str:
    return str(uuid.UUID(identity.id))


def _finish(answer: Answer) -> str:
    if answer.shortened:
        return "MAX_TOKENS"
    return "TOOL_CALL" if answer.calls else "COMPLETE"


def _usage(asked: Asked, answer: Answer) -> dict[str, object]:
    """Billed are the tokens of the texts; the model also sees those of its template."""
    spoken = answer.tokens + answer.reasoning_tokens
    return {
        "billed_units": {"input_tokens": asked.prompt_tokens, "output_tokens": spoken},
        "tokens": {"input_tokens": asked.prompt_tokens + 66, "output_tokens": spoken},
    }


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


def _plan(answer: Answer) -> list[bytes]:
    if not answer.calls:
        return []
    messages = [{"message": {"tool_plan": token}} for token in _PLAN]
    return [
        _event("tool-plan-delta", {"type": "tool-plan-delta", "delta": delta}) for delta in messages
    ]


def _contents(asked: Asked, answer: Answer) -> list[bytes]:
    """The blocks of content: a start goes with the first delta, an end with what follows."""
    blocks = [("thinking", answer.reasoning), ("text", answer.text)]
    pieces: list[bytes] = []
    pending = b""
    for index, (kind, texts) in enumerate((k, t) for k, t in blocks if t):
        content = {"message": {"content": {"type": kind, kind: ""}}}
        start = {"type": "content-start", "index": index, "delta": content}
        wanted = asked.logprobs is not None and kind == "text"
        deltas = _deltas(index, kind.encode(), texts, logprobs=wanted)
        pieces += [pending + _event("content-start", start) + deltas[0], *deltas[1:]]
        pending = _event("content-end", {"type": "content-end", "index": index})
    return [*pieces, pending] if pieces else []


def _deltas(index: int, kind: bytes, texts: list[bytes], *, logprobs: bool) -> list[bytes]:
    head = b'event: content-delta\ndata: {"type":"content-delta","index":%d,' % index
    head += b'"delta":{"message":{"content":{"%b":"' % kind
    if not logprobs:
        return [head + text + b'"}}}}\n\n' for text in texts]
    told = [msgspec.json.encode(_logprob(text)) for text in texts]
    pairs = zip(texts, told, strict=True)
    return [head + text + b'"}}},"logprobs":' + item + b"}\n\n" for text, item in pairs]


def _logprob(piece: bytes) -> dict[str, object]:
    text = plain(piece)
    return {"text": text, "token_ids": [sum(piece)], "logprobs": [-0.125]}


def _calls(answer: Answer) -> list[bytes]:
    pieces: list[bytes] = []
    pending = b""
    for index, call in enumerate(answer.calls):
        delta = {"message": {"tool_calls": _call(call, "")}}
        start = {"type": "tool-call-start", "index": index, "delta": delta}
        pieces.append(pending + _event("tool-call-start", start))
        head = b'event: tool-call-delta\ndata: {"type":"tool-call-delta","index":%d,' % index
        head += b'"delta":{"message":{"tool_calls":{"function":{"arguments":"'
        pieces += [head + escape(text) + b'"}}}}}\n\n' for text in call.arguments]
        pending = _event("tool-call-end", {"type": "tool-call-end", "index": index})
    return [*pieces, pending] if pieces else []


def _call(call: Call, arguments: str) -> dict[str, object]:
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _whole_content(answer: Answer) -> list[dict[str, str]]:
    blocks = [("thinking", answer.reasoning), ("text", answer.text)]
    return [{"type": kind, kind: plain(b"".join(texts))} for kind, texts in blocks if texts]


def _request_message(problem: Problem) -> str:
    detail = "field is required" if problem.detail == "missing" else problem.detail
    where = f"{problem.param}: " if problem.param else ""
    return f"invalid request: {where}{detail}"


_ERRORS: dict[ProblemKind, tuple[int, str]] = {
    "invalid_json": (400, "invalid json syntax in the request body"),
    "unauthorized": (401, "invalid api token"),
    "not_found": (404, "page not found"),
    "model_not_found": (
        404,
        (
            "model '{model}' not found, make sure the correct model ID was used and that you have "
            "access to the model."
        ),
    ),
    "rate_limit": (
        429,
        "You are using a Trial key, which is limited to 40 API calls / minute.",
    ),
    "server_error": (500, "internal server error"),
    "unavailable": (503, "service unavailable"),
    "overloaded": (503, "service unavailable"),
    "context_length": (
        400,
        "too many tokens: total number of tokens in the prompt cannot exceed 128000.",
    ),
    "content_policy": (400, "blocked input: please revise the message."),
    "no_prefill": (400, "invalid request: the last message must not be from the assistant."),
}
