"""What a client of each format makes of a stream, which it checks to be one valid answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from sluice.actors.formats.format import ClientFormat
from sluice.actors.formats.sse import SseDecoder, SseEvent
from sluice.http.formats.anthropic_format import AnthropicClient
from sluice.http.formats.cohere_format import CohereClient
from sluice.http.formats.openai_format import OpenAIClient
from sluice.http.formats.sluice_format import SluiceClient


class Heard(NamedTuple):
    """One whole answer."""

    text: str
    thought: str
    tokens: tuple[int, int] | None
    """Of the prompt and of the answer, in all; None: nobody said."""
    finisher: Any = None
    """Who gave the rest, as the usage says."""


def events_in(received: bytes) -> list[SseEvent]:
    """The events of a stream, whose ids count them."""
    decoder = SseDecoder()
    events = decoder.feed(received)
    assert not decoder.pending
    numbers = [int((event.id or b"").rpartition(b"-")[2]) for event in events]
    assert numbers == list(range(1, len(events) + 1))
    return events


def by_openai(received: bytes) -> Heard:
    """One id, model and time, one role, one reason, at most one usage, one end marker."""
    *events, last = events_in(received)
    assert last.data == b"[DONE]"
    chunks: list[Any] = [json.loads(event.data) for event in events]
    for key in ("id", "object", "created", "model"):
        assert len({chunk[key] for chunk in chunks}) == 1, key
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    deltas = [choice["delta"] for choice in choices]
    assert [bool(delta.get("role")) for delta in deltas] == [True] + [False] * (len(deltas) - 1)
    reasons = [choice["finish_reason"] for choice in choices]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert len(usages) <= 1
    usage = usages[0] if usages else None
    return Heard(
        "".join(delta.get("content") or "" for delta in deltas),
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
        None if usage is None else (usage["prompt_tokens"], usage["completion_tokens"]),
        None if usage is None else usage.get("finished_by"),
    )


DELTAS = {"text": {"text_delta"}, "thinking": {"thinking_delta", "signature_delta"}}


def by_anthropic(received: bytes) -> Heard:
    """One beginning, blocks one after the other, one reason, one end."""
    datas = _datas(received, skipped="ping")
    start, *middle, delta, stop = datas
    assert [start["type"], delta["type"], stop["type"]] == [
        "message_start", "message_delta", "message_stop",
    ]  # fmt: skip
    assert delta["delta"]["stop_reason"] == "end_turn"
    found = {"text": "", "thinking": ""}
    kind, count = "", 0
    for each in middle:
        if each["type"] == "content_block_start":
            assert (kind, each["index"]) == ("", count)
            kind = each["content_block"]["type"]
            continue
        assert each["index"] == count
        assert kind
        if each["type"] == "content_block_stop":
            kind, count = "", count + 1
            continue
        assert each["type"] == "content_block_delta"
        said = each["delta"]
        assert said["type"] in DELTAS[kind]
        found[kind] += said.get(kind, "")
    assert not kind
    usage = start["message"]["usage"] | delta["usage"]
    tokens = (usage["input_tokens"], usage["output_tokens"])
    return Heard(found["text"], found["thinking"], tokens, usage.get("finished_by"))


def by_cohere(received: bytes) -> Heard:
    """Likewise."""
    start, *middle, end = _datas(received)
    assert [start["type"], end["type"]] == ["message-start", "message-end"]
    assert end["delta"]["finish_reason"] == "COMPLETE"
    found = {"text": "", "thinking": ""}
    kind, count = "", 0
    for each in middle:
        assert each["index"] == count
        if each["type"] == "content-start":
            assert not kind
            kind = each["delta"]["message"]["content"]["type"]
        elif each["type"] == "content-end":
            assert kind
            kind, count = "", count + 1
        else:
            assert each["type"] == "content-delta"
            found[kind] += each["delta"]["message"]["content"][kind]
    assert not kind
    usage = end["delta"]["usage"]
    tokens = (usage["tokens"]["input_tokens"], usage["tokens"]["output_tokens"])
    return Heard(found["text"], found["thinking"], tokens, usage.get("finished_by"))


def by_ours(received: bytes) -> Heard:
    """Text, at most one usage, one end."""
    *events, last = events_in(received)
    assert (last.event, json.loads(last.data)) == (b"done", {"finish_reason": "stop"})
    usages = [json.loads(event.data) for event in events if event.event == b"usage"]
    assert len(usages) <= 1
    usage = usages[0] if usages else None
    return Heard(
        "".join(json.loads(event.data)["text"] for event in events if not event.event),
        "",
        None if usage is None else (usage["prompt_tokens"], usage["completion_tokens"]),
        None if usage is None else usage.get("finished_by"),
    )


def _datas(received: bytes, skipped: str = "") -> list[Any]:
    events = events_in(received)
    datas: list[Any] = [json.loads(event.data) for event in events]
    assert [event.event.decode() for event in events] == [data["type"] for data in datas]
    return [data for data in datas if data["type"] != skipped]


CLIENTS: dict[str, tuple[Callable[[], ClientFormat], Callable[[bytes], Heard]]] = {
    "openai": (lambda: OpenAIClient(usage=True, model="asked"), by_openai),
    "anthropic": (lambda: AnthropicClient("asked"), by_anthropic),
    "cohere": (CohereClient, by_cohere),
    "ours": (SluiceClient, by_ours),
}
