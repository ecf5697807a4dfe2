"""Pieces of text as providers of each format send them, and what differs from them a little."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st

Json = dict[str, Any]
Path = tuple[str | int, ...]

ABSENT = object()
"""In place of a value: the field is not there."""

_TEXTS = st.one_of(
    st.sampled_from(["its ", "é", "\u2028", "%b %d %", '"\\', "\0", "\n\r", "😀", ""]),
    st.text(max_size=4),
)
_ODD = [ABSENT, None, "", "odd", 0, -1, 1.5, True, [], {}, [None], {"type": "odd"}]
"""What may stand anywhere."""


def _openai(text: str) -> Json:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    return {"id": "chatcmpl-1", "choices": [choice], "usage": None}


_CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
_OPENAI: dict[Path, list[Any]] = {
    ("unknown",): ["é"],
    ("usage",): [{"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}],
    ("error",): [{"message": "overloaded"}],
    ("choices",): [[{"delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]],
    ("choices", 0): [],
    ("choices", 0, "index"): [1],
    ("choices", 0, "finish_reason"): ["stop", "length"],
    ("choices", 0, "logprobs"): [{"content": []}],
    ("choices", 0, "delta"): [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"tool_calls": [_CALL]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "[1]"}}]},
        {"refusal": "no"},
    ],
    ("choices", 0, "delta", "role"): ["assistant"],
    ("choices", 0, "delta", "content"): [],
    ("choices", 0, "delta", "reasoning_content"): ["hm"],
    ("choices", 0, "delta", "reasoning_signature"): ["sig"],
    ("choices", 0, "delta", "reasoning"): ["hm"],
    ("choices", 0, "delta", "refusal"): ["no"],
    ("choices", 0, "delta", "tool_calls"): [[_CALL]],
    ("choices", 0, "delta", "function_call"): [{"name": "f"}],
    ("choices", 0, "delta", "audio"): [{"data": "AAAA"}],
}


def _anthropic(text: str) -> Json:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


_ANTHROPIC: dict[Path, list[Any]] = {
    (): [
        {"type": "message_start", "message": {"usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        },
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
        {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}},
    ],
    ("type",): ["ping", "content_block_stop"],
    ("index",): [1],
    ("delta",): [{"thinking": "hm"}, {"partial_json": "[1]"}, {"signature": "sig"}],
    ("delta", "type"): ["input_json_delta"],
    ("delta", "text"): [],
    ("delta", "thinking"): ["hm"],
    ("delta", "partial_json"): ["[1]"],
    ("delta", "signature"): ["sig"],
    ("delta", "stop_reason"): ["end_turn"],
    ("delta", "stop_details"): [{"explanation": "no"}],
    ("delta", "citation"): ["é"],
    ("content_block",): [{"type": "text", "text": "x"}],
    ("message",): [{"usage": {"input_tokens": 3}}],
    ("usage",): [{"output_tokens": 4}],
}


def _cohere(text: str) -> Json:
    delta = {"message": {"content": {"text": text}}}
    return {"type": "content-delta", "index": 0, "delta": delta}


_CALLED = {"id": "c1", "function": {"name": "f", "arguments": ""}}
_ARGUED = {"function": {"arguments": "[1]"}}
_COHERE: dict[Path, list[Any]] = {
    (): [
        {"type": "message-start"},
        {"type": "content-start", "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "hm"}}},
        {"type": "tool-call-start", "delta": {"message": {"tool_calls": _CALLED}}},
        {"type": "tool-call-delta", "delta": {"message": {"tool_calls": _ARGUED}}},
        {"type": "tool-call-end"},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
        {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "no"}},
    ],
    ("type",): ["content-start", "citation-start", "content-end"],
    ("index",): [1],
    ("logprobs",): ["é"],
    ("delta",): [],
    ("delta", "finish_reason"): ["COMPLETE"],
    ("delta", "usage"): [{"tokens": {"input_tokens": 3, "output_tokens": 4}}],
    ("delta", "error"): ["no"],
    ("delta", "message"): [],
    ("delta", "message", "tool_plan"): ["hm"],
    ("delta", "message", "tool_calls"): [_CALLED, [_CALLED]],
    ("delta", "message", "content"): [{"thinking": "hm"}, [{"text": "a"}]],
    ("delta", "message", "content", "type"): ["text", "thinking"],
    ("delta", "message", "content", "text"): [],
    ("delta", "message", "content", "thinking"): ["hm"],
}


def _changed(data: Json, path: Path, value: Any) -> Json:
    """``data`` with ``value`` at ``path``, if there is such a place in it."""
    if not path:
        return value if isinstance(value, dict) else data
    *way, last = path
    at: Any = data
    for step in way:
        at = at.get(step) if isinstance(at, dict) else at[:1][0] if at and step == 0 else None
        if not isinstance(at, dict | list):
            return data
    if isinstance(at, dict):
        at.pop(last, None)
        if value is not ABSENT:
            at[last] = copy.deepcopy(value)
    elif at and value is not ABSENT:
        at[0] = copy.deepcopy(value)
    return data


def _twice(data: Json) -> bytes:
    """It says each of its names twice, the first time what is wrong."""
    wrong = msgspec.json.encode(dict.fromkeys(data, 7))
    return wrong[:-1] + b"," + msgspec.json.encode(data)[1:] if data else b"{}"


def _escaped(data: Json) -> bytes:
    """All but ASCII as escapes; some of them are half a character's."""
    said = msgspec.json.encode(data).decode()
    return "".join(
        each if each < "\x80" else f"\\u{ord(each) & 0xFFFF:04x}" for each in said
    ).encode()


def _cut(data: Json) -> bytes:
    """What is not ASCII is no UTF-8 either."""
    return msgspec.json.encode(data).replace("é".encode(), b"\xe9")


_PLAIN = msgspec.json.encode
_WRITERS: list[Callable[[Json], bytes]] = [_PLAIN, _PLAIN, _PLAIN, _PLAIN, _twice, _escaped, _cut]
_GARBAGE = [b"{nonsense", b"", b" [DONE] ", b"[DONE]", b"null", b'"\xff"', b"[" * 3000, b'{"a":1}']


Places = dict[Path, list[Any]]
_PLACES: dict[str, tuple[Callable[[str], Json], Places]] = {
    "openai": (_openai, _OPENAI),
    "anthropic": (_anthropic, _ANTHROPIC),
    "cohere": (_cohere, _COHERE),
}


def _changes(places: Places) -> list[tuple[Path, Any]]:
    return [(path, value) for path, values in places.items() for value in (*values, *_ODD)]


def _events(plain: Callable[[str], Json], places: Places) -> st.SearchStrategy[bytes]:
    def made(text: str, changes: list[tuple[Path, Any]], write: Callable[[Json], bytes]) -> bytes:
        data = plain(text)
        for path, value in changes:
            data = _changed(data, path, value)
        return write(data)

    change = st.sampled_from(_changes(places))
    texts = st.builds(made, _TEXTS, st.just([]), st.just(_PLAIN))
    mixed = st.builds(made, _TEXTS, st.lists(change, max_size=2), st.sampled_from(_WRITERS))
    return st.one_of(texts, mixed, mixed, st.sampled_from(_GARBAGE))


DATA = {name: _events(*each) for name, each in _PLACES.items()}
"""The data of an event, by the provider's format. Of one line."""

CHANGED = {
    name: [
        write(_changed(plain(text), path, value))
        for text in ("é", "e")
        for path, value in _changes(places)
        for write in (_PLAIN, _twice, _cut)
    ]
    for name, (plain, places) in _PLACES.items()
}
"""A text, with each of the changes."""
