"""What a model may say, in OpenAI's words: for the formats that it is told in."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Chunk, ClientFormat, Event
from sluice.actors.formats.sse import SseEvent

_CHUNK = msgspec.json.Decoder(Chunk)

USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 4},
}


BROKEN = Failure("provider_error", "streaming", "It broke.", status=502, code="provider_cut")


class Said(msgspec.Struct, frozen=True):
    """One thing said: reasoning or text, in pieces, or a call of a tool."""

    kind: str
    pieces: tuple[str, ...]
    name: str = ""

    @property
    def whole(self) -> str:
        return "".join(self.pieces)


_texts = st.lists(st.text(max_size=6), min_size=1, max_size=4).map(tuple)
_arguments = st.dictionaries(st.text(max_size=3), st.integers(0, 99), max_size=2).map(
    lambda value: msgspec.json.encode(value).decode()
)


def _cut(text: str) -> tuple[str, ...]:
    return tuple(text[at : at + 3] for at in range(0, len(text), 3))


things = st.lists(
    st.one_of(
        st.builds(Said, st.sampled_from(["thinking", "text"]), _texts),
        st.builds(
            Said,
            st.just("call"),
            _arguments.map(_cut),
            st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        ),
    ),
    max_size=6,
)
"""Anything that an answer may consist of."""


def merged(said: list[Said]) -> list[tuple[str, str, str]]:
    """``said`` as (kind, name, all of it): text that follows text is one with it."""
    parts: list[tuple[str, str, str]] = []
    for each in said:
        if each.kind != "call" and not each.whole:
            continue
        if each.kind != "call" and parts and parts[-1][0] == each.kind:
            parts[-1] = (each.kind, "", parts[-1][2] + each.whole)
        else:
            parts.append((each.kind, each.name, each.whole))
    return parts


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **more: Any) -> Chunk:
    """A chunk of a stream."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return _CHUNK.decode(msgspec.json.encode({"choices": [choice], **more}))


def chunks(said: list[Said], reason: str = "stop") -> list[Chunk]:
    """A whole stream: the role, what is ``said``, the reason for the end, the usage."""
    made = [chunk({"role": "assistant", "content": ""})]
    calls = 0
    for each in said:
        if each.kind == "call":
            made += _call(each, calls)
            calls += 1
        else:
            field = "content" if each.kind == "text" else "reasoning_content"
            made += [chunk({field: piece}) for piece in each.pieces]
    made.append(chunk(reason=reason))
    return [*made, _CHUNK.decode(msgspec.json.encode({"choices": [], "usage": USAGE}))]


def _call(said: Said, index: int) -> list[Chunk]:
    first = {"index": index, "id": f"call_{index}", "type": "function"}
    first |= {"function": {"name": said.name, "arguments": ""}}
    pieces = [{"index": index, "function": {"arguments": piece}} for piece in said.pieces]
    return [chunk({"tool_calls": [each]}) for each in (first, *pieces)]


def told(client: ClientFormat, stream: list[Chunk]) -> list[Event]:
    """The events that ``client`` gets of a stream of another format, to its end."""
    events: list[Event] = []
    for each in stream:
        made = client.compose(None, each)
        assert not isinstance(made, bytes)
        events += [Event(made.data, made.event)] if isinstance(made, SseEvent) else made
    return [*events, *client.end()]


def passed(client: ClientFormat, events: list[Event]) -> list[Event]:
    """The events that ``client`` gets of those of its own format."""
    made = [client.render(SseEvent(data, name), Chunk()) for data, name in events]
    assert all(isinstance(each, SseEvent) for each in made)
    return [Event(each.data, each.event) for each in made if isinstance(each, SseEvent)]


def datas(events: list[Event]) -> list[Any]:
    return [msgspec.json.decode(event.data) for event in events]


def whole_from(client: ClientFormat, message: dict[str, Any], reason: str = "stop") -> bytes:
    """The body of a whole answer for a client, made of a ``chat.completion``."""
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return client.whole(msgspec.json.encode({"id": "c", "choices": [choice], "usage": USAGE}))
