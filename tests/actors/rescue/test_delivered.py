"""What is remembered of an answer: from the frames that its client has."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.actors.rescue.delivered import TEXT_LIMIT, Delivered, added_up


def frame(delta: dict[str, Any] | None = None, **choice: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": None, **choice}]
    return {"id": "one", "object": "chunk", "created": 1, "model": "m", "choices": choices}


def told(*frames: dict[str, Any]) -> Delivered:
    made = Delivered()
    for each in frames:
        made.add(each)
    return made


def test_the_text_is_what_the_frames_say_one_after_the_other() -> None:
    made = told(frame({"role": "assistant", "content": ""}), frame({"content": "a"}), frame())
    made.add(frame({"content": "b"}))
    assert (made.text, made.length, made.role, made.obstacle) == ("ab", 2, True, None)


def test_the_envelope_is_that_of_the_first_frame() -> None:
    made = told(frame(), frame() | {"id": "two", "created": 2})
    assert made.envelope == {"id": "one", "object": "chunk", "created": 1, "model": "m"}


def test_reasoning_is_known_of_and_is_no_text() -> None:
    made = told(frame({"reasoning_content": "hm"}))
    assert (made.reasoned, made.text, made.obstacle) == (True, "", None)


def test_the_finish_reason_and_the_last_usage_stay() -> None:
    made = told(frame({}, finish_reason="stop"), {"choices": [], "usage": {"total_tokens": 3}})
    assert (made.finish_reason, made.usage) == ("stop", {"total_tokens": 3})


@pytest.mark.parametrize(
    ("said", "obstacle"),
    [
        (frame({"tool_calls": [{"index": 0}]}), "tool_call"),
        (frame({"function_call": {"name": "f"}}), "tool_call"),
        (frame({"refusal": "no"}), "not_text"),
        (frame({"audio": {"id": "x"}}), "not_text"),
        (frame({"content": [{"type": "text"}]}), "not_text"),
        (frame({"content": "x"}, index=1), "several_choices"),
        (frame({"content": "x"}, logprobs={"content": []}), "logprobs"),
        (frame({"content": "x" * (TEXT_LIMIT + 1)}), "too_long"),
    ],
)
def test_what_nobody_can_go_on_from_is_named_and_stays(said: dict[str, Any], obstacle: str) -> None:
    assert told(frame({"content": "a"}), said, frame({"content": "b"})).obstacle == obstacle


def test_usages_are_added_up_number_by_number_however_deep() -> None:
    one = {"total": 3, "details": {"a": 1, "b": 2}, "tier": "x", "cached": 4, "flag": True}
    other = {"total": 4, "details": {"a": 5}, "tier": "y", "cached": None, "flag": True}
    assert added_up(one, other) == {
        "total": 7, "details": {"a": 6, "b": 2}, "tier": "y", "cached": 4, "flag": True
    }  # fmt: skip
