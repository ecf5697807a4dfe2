"""What an answer tells its client, read by a parser of our own and by nothing of the product's."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.http.edge_world import Answer


class Event(msgspec.Struct, frozen=True):
    """One dispatched event."""

    id: str
    data: str
    name: str = "message"

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.data)


def events_of(answer: Answer) -> list[Event]:
    """The events of a stream, as an ``EventSource`` would dispatch them."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8", answer
    return [event for block in _blocks(answer.body) if (event := event_of(block)) is not None]


def _blocks(body: bytes) -> list[str]:
    text = body.decode()
    assert "\r" not in text
    *blocks, rest = text.split("\n\n")
    assert all(line.startswith(":") for line in rest.split("\n") if line), rest
    return blocks


def event_of(block: str) -> Event | None:
    """The event that the lines of ``block`` make; None if they have no data."""
    fields: dict[str, list[str]] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    if "data" not in fields:
        return None
    last_id = fields.get("id", [""])[-1]
    return Event(last_id, "\n".join(fields["data"]), fields.get("event", ["message"])[-1])


def outcome_of(answer: Answer) -> str:
    """``whole``, or the code of the one error. Raises AssertionError if it is neither."""
    assert answer.complete, answer
    if answer.status != 200:
        return _code(msgspec.json.decode(answer.body))
    if answer.headers["content-type"].startswith("application/json"):
        assert msgspec.json.decode(answer.body)["choices"]
        return "whole"
    events = events_of(answer)
    stream = answer.headers["x-stream-id"]
    numbers = range(1, len(events) + 1)
    assert [event.id for event in events] == [f"{stream}-{number}" for number in numbers]
    *others, last = events
    assert not any(_is_end(event) or _is_error(event) for event in others), events
    if _is_end(last):
        return "whole"
    assert _is_error(last), last
    return _code(last.json)


def _is_end(event: Event) -> bool:
    return event.data == "[DONE]" or event.name == "done"


def _is_error(event: Event) -> bool:
    return not _is_end(event) and "error" in event.json


def _code(body: Any) -> str:
    """The word for programs; a provider's own error may have none."""
    error = body["error"]
    assert error["message"]
    code = error["code"]
    return code if isinstance(code, str) else f"provider_{error['type']}"


def text_of(answer: Answer) -> str:
    """The text of a chat completion, streamed or whole, of its first choice."""
    if answer.headers["content-type"].startswith("application/json"):
        text: str = msgspec.json.decode(answer.body)["choices"][0]["message"]["content"]
        return text
    return "".join(
        choice["delta"].get("content") or ""
        for event in events_of(answer)
        if event.data != "[DONE]"
        for choice in event.json.get("choices", ())
        if choice["index"] == 0
    )
