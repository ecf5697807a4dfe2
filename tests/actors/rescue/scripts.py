"""The same answer, as a provider of each format streams it: event by event, with their oddities."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.formats.cohere import CohereProvider
from sluice.actors.formats.format import ProviderFormat
from sluice.actors.formats.openai import OpenAIProvider

PROMPT, ANSWER = 3, 7
"""Tokens that every answer takes."""

Script = Callable[[str, list[str], list[str]], list[bytes]]
"""The events of an answer, of its id, its reasoning and its text, both in pieces."""

FORMATS: dict[str, ProviderFormat] = {
    "openai": OpenAIProvider(),
    "anthropic": AnthropicProvider(),
    "cohere": CohereProvider(),
}


def _named(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def openai(name: str, thoughts: list[str], texts: list[str]) -> list[bytes]:
    """Chunks; among them one that says nothing."""

    def frame(choices: list[Any], **more: Any) -> bytes:
        head = {"id": name, "object": "chat.completion.chunk", "created": len(name), "model": name}
        return f"data: {json.dumps({**head, 'choices': choices, **more})}\n\n".encode()

    def said(delta: dict[str, Any], reason: str | None = None) -> bytes:
        return frame([{"index": 0, "delta": delta, "finish_reason": reason}])

    usage = {
        "prompt_tokens": PROMPT,
        "completion_tokens": ANSWER,
        "total_tokens": PROMPT + ANSWER,
    }
    return [
        said({"role": "assistant", "content": ""}),
        *(said({"reasoning_content": each}) for each in thoughts),
        said({"content": ""}),
        *(said({"content": each}) for each in texts),
        said({}, "stop"),
        frame([], usage=usage),
        b"data: [DONE]\n\n",
    ]


def anthropic(name: str, thoughts: list[str], texts: list[str]) -> list[bytes]:
    """A block for each piece of reasoning; an empty one, and then one of text for each two."""
    usage = {"input_tokens": PROMPT, "output_tokens": 1}
    message = {"id": name, "type": "message", "role": "assistant", "content": [], "model": name}
    events = [
        _named("message_start", message={**message, "stop_reason": None, "usage": usage}),
        _named("ping"),
    ]
    index = 0

    def block(start: dict[str, Any], deltas: list[dict[str, Any]]) -> None:
        nonlocal index
        events.append(_named("content_block_start", index=index, content_block=start))
        events.extend(_named("content_block_delta", index=index, delta=each) for each in deltas)
        events.append(_named("content_block_stop", index=index))
        index += 1

    for each in thoughts:
        thought = {"type": "thinking_delta", "thinking": each}
        proof = {"type": "signature_delta", "signature": "s" + each}
        block({"type": "thinking", "thinking": "", "signature": ""}, [thought, proof])
    for at in range(-2, len(texts), 2):
        said = [{"type": "text_delta", "text": each} for each in texts[max(at, 0) : at + 2]]
        block({"type": "text", "text": ""}, said)
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    events.append(_named("message_delta", delta=delta, usage={"output_tokens": ANSWER}))
    return [*events, _named("message_stop")]


def cohere(name: str, thoughts: list[str], texts: list[str]) -> list[bytes]:
    """A part for each piece of reasoning and of text, of which the first is an empty one."""
    tokens = {"input_tokens": PROMPT, "output_tokens": ANSWER}
    begun = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
    events = [_named("message-start", id=name, delta={"message": begun})]
    parts = [("thinking", each) for each in thoughts] + [("text", each) for each in ("", *texts)]
    for index, (kind, text) in enumerate(parts):
        start = {"message": {"content": {"type": kind, kind: ""}}}
        events.append(_named("content-start", index=index, delta=start))
        if text:
            delta = {"message": {"content": {kind: text}}}
            events.append(_named("content-delta", index=index, delta=delta))
        events.append(_named("content-end", index=index))
    end = {"finish_reason": "COMPLETE", "usage": {"tokens": tokens, "billed_units": tokens}}
    return [*events, _named("message-end", delta=end)]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
ARGUMENTS = ['{"path":', ' "src/us', "er/important", '"}']


def openai_call() -> list[bytes]:
    """Text, and a call in pieces."""
    head, _, *_ = openai("one", [], [])
    texts = openai("one", [], ["Let ", "me."])
    pieces = [{"index": 0, **CALL}]
    pieces += [{"index": 0, "function": {"arguments": each}} for each in ARGUMENTS]

    def frame(delta: dict[str, Any], reason: str | None = None) -> bytes:
        chunk = json.loads(head[6:])
        chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return f"data: {json.dumps(chunk)}\n\n".encode()

    calls = [frame({"tool_calls": [each]}) for each in pieces]
    return [*texts[:-3], *calls, frame({}, "tool_calls"), *texts[-2:]]


def anthropic_call() -> list[bytes]:
    """Likewise."""
    *texts, _, stop = anthropic("one", [], ["Let ", "me."])
    block = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    delta = {"stop_reason": "tool_use", "stop_sequence": None}
    return [
        *texts,
        _named("content_block_start", index=2, content_block=block),
        *(
            _named(
                "content_block_delta",
                index=2,
                delta={"type": "input_json_delta", "partial_json": each},
            )
            for each in ARGUMENTS
        ),
        _named("content_block_stop", index=2),
        _named("message_delta", delta=delta, usage={"output_tokens": ANSWER}),
        stop,
    ]


def cohere_call() -> list[bytes]:
    """Likewise."""
    *texts, _ = cohere("one", [], ["Let ", "me."])

    def more(arguments: str) -> dict[str, Any]:
        return {"message": {"tool_calls": {"function": {"arguments": arguments}}}}

    return [
        *texts,
        _named("tool-call-start", index=0, delta={"message": {"tool_calls": CALL}}),
        *(_named("tool-call-delta", index=0, delta=more(each)) for each in ARGUMENTS),
        _named("tool-call-end", index=0),
        _named("message-end", delta={"finish_reason": "TOOL_CALL"}),
    ]


CALLS = {"openai": openai_call, "anthropic": anthropic_call, "cohere": cohere_call}


def _once_made(make: Script) -> Script:
    """The same answers are asked for thousands of times."""
    made: dict[tuple[str, ...], list[bytes]] = {}

    def script(name: str, thoughts: list[str], texts: list[str]) -> list[bytes]:
        asked = (name, *thoughts, "", *texts)
        if asked not in made:
            made[asked] = make(name, thoughts, texts)
        return list(made[asked])

    return script


SCRIPTS: dict[str, Script] = {
    make.__name__: _once_made(make) for make in (openai, anthropic, cohere)
}
