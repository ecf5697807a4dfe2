"""One answer made of two, as its client sees it: valid and whole, wherever the first was cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.actors.rescue.delivered import Delivered
from sluice.actors.rescue.overlap import Differs, Overlap
from sluice.actors.rescue.splice import Splice

FINISHER = {"provider": "second", "model": "other"}


def frames(
    name: str, text: str, *, reasoning: str = "", size: int = 1, usage: int = 0
) -> list[dict[str, Any]]:
    """A whole answer, in pieces of ``size`` characters."""
    head = {"id": name, "object": "chunk", "created": len(name), "model": name}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice], "usage": None}

    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"reasoning_content": piece}) for piece in reasoning),
        *(chunk({"content": text[i : i + size]}) for i in range(0, len(text), size)),
        chunk({}, "stop"),
        {**head, "choices": [], "usage": {"total_tokens": usage, "details": {"x": 1}}},
    ]


def spliced(
    first: list[dict[str, Any]], second: list[dict[str, Any]], overlap: Overlap | None = None
) -> list[dict[str, Any]]:
    told = Delivered()
    for each in first:
        told.add(each)
    splice = Splice(told, overlap or Overlap(told.text, exact=True), FINISHER)
    return first + [each for each in map(splice.take, second) if each is not None]


def text_of(seen: list[dict[str, Any]]) -> str:
    deltas = [choice["delta"] for each in seen for choice in each["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def check_valid(seen: list[dict[str, Any]]) -> None:
    for key in ("id", "model", "created", "object"):
        assert len({each[key] for each in seen}) == 1
    choices = [choice for each in seen for choice in each["choices"]]
    assert sum("role" in choice["delta"] for choice in choices) == 1
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
    assert choices[-1]["finish_reason"] == "stop"
    assert sum(isinstance(each.get("usage"), dict) for each in seen) == 1
    assert seen[-1]["usage"]["finished_by"] == FINISHER


texts = st.text(alphabet="ab \n.é🌊", min_size=1, max_size=30)
sizes = st.integers(1, 40)


@given(texts, sizes, sizes, st.integers(1, 100), st.booleans())
def test_a_restart_that_repeats_the_answer_makes_it_whole_wherever_it_was_cut(
    text: str, size: int, other_size: int, at: int, reasons: bool
) -> None:
    whole = frames("first", text, size=size)
    cut = whole[: 1 + at % (len(whole) - 2)]
    again = frames("second", text, size=other_size, reasoning="hm" if reasons else "")
    seen = spliced(cut, again)
    assert text_of(seen) == text
    check_valid(seen)


@given(texts, texts, sizes, sizes)
def test_a_continuation_is_put_behind_what_was_told_with_its_blanks_once(
    start: str, rest: str, size: int, other_size: int
) -> None:
    begun = frames("first", start, size=size)[:-2]
    blanks = start[len(start.rstrip()) :]
    seen = spliced(
        begun, frames("second", blanks + rest, size=other_size), Overlap(blanks, exact=False)
    )
    assert text_of(seen) == start + rest
    check_valid(seen)


@given(texts, texts, sizes)
def test_a_restart_that_differs_adds_nothing(text: str, other: str, size: int) -> None:
    begun = frames("first", text)[:-2]
    second = frames("second", other, size=size)
    if other.startswith(text):
        return
    told = Delivered()
    for each in begun:
        told.add(each)
    splice = Splice(told, Overlap(told.text, exact=True), FINISHER)
    made = []
    with pytest.raises(Differs):
        made += [splice.take(each) for each in second]
    assert not any(made)
    assert not splice.went_on


@given(texts, st.lists(st.integers(0, 60), min_size=2, max_size=4))
def test_an_answer_that_breaks_again_and_again_is_whole_in_the_end(
    text: str, cuts: list[int]
) -> None:
    told = Delivered()
    seen = []
    for each in frames("first", text)[: 1 + cuts[0] % (len(text) + 1)]:
        told.add(each)
        seen.append(each)
    for number, cut in enumerate([*cuts[1:], 100]):
        splice = Splice(told, Overlap(told.text, exact=True), FINISHER)
        again = frames(f"next {number}", text, size=3)
        kept = again if cut == 100 else again[: 1 + cut % (len(again) - 2)]
        seen += [each for each in map(splice.take, kept) if each is not None]
    assert text_of(seen) == text
    check_valid(seen)


def test_usages_are_the_sum_of_what_both_said() -> None:
    first = frames("first", "abc", usage=5)
    begun = [{**each, "usage": {"total_tokens": 5}} for each in first[:3]]
    seen = spliced(begun, frames("second", "abc", usage=7))
    assert seen[-1]["usage"] == {
        "total_tokens": 12, "details": {"x": 1}, "finished_by": FINISHER
    }  # fmt: skip


def test_what_an_answer_that_broke_off_too_began_with_is_added_once() -> None:
    def broken(usage: int | None, begun: int) -> Any:
        told = Delivered(usage={"total_tokens": 5})
        splice = Splice(told, Overlap("", exact=True), FINISHER)
        for each in frames("second", "abc", usage=usage or 0)[: None if usage else 3]:
            splice.take(each)
        splice.broke_off({"total_tokens": begun})
        assert told.usage is not None
        return told.usage["total_tokens"]

    assert broken(None, 3) == 8
    assert broken(7, 3) == 12
    untouched = Splice(Delivered(), Overlap("abc", exact=True), FINISHER)
    untouched.broke_off({"total_tokens": 3})
    assert untouched.told.usage is None


def test_a_usage_behind_the_end_is_told_although_it_comes_with_an_empty_choice() -> None:
    *second, last = frames("second", "abc", usage=7)
    empty = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    early = {**second[0], "usage": {"total_tokens": 1}}
    seen = spliced(frames("first", "abc")[:3], [early, *second[1:], {**last, "choices": [empty]}])
    assert [each["usage"]["total_tokens"] for each in seen if each.get("usage")] == [7]
    assert seen[-1]["choices"] == []
    check_valid(seen)


def test_a_second_train_of_thought_is_not_told() -> None:
    begun = frames("first", "abc", reasoning="hmm")[:3]
    seen = spliced(begun, frames("second", "xyz", reasoning="so"))
    reasoning = [
        choice["delta"]["reasoning_content"]
        for each in seen
        for choice in each["choices"]
        if "reasoning_content" in choice["delta"]
    ]
    assert (reasoning, text_of(seen)) == (["h", "m"], "xyz")


def test_the_first_train_of_thought_is_told_if_nothing_but_the_role_was() -> None:
    seen = spliced(frames("first", "abc")[:1], frames("second", "xyz", reasoning="so"))
    assert [
        choice["delta"].get("reasoning_content") for each in seen[1:3] for choice in each["choices"]
    ] == ["s", "o"]
    assert text_of(seen) == "xyz"


CALL = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c"}]}}]}


def test_a_tool_call_where_text_was_expected_differs_and_after_it_is_passed_on() -> None:
    begun = frames("first", "abc")[:4]
    with pytest.raises(Differs):
        spliced(begun, [CALL])
    seen = spliced(begun, [CALL], Overlap("", exact=False))
    assert seen[-1]["choices"][0]["delta"] == CALL["choices"][0]["delta"]
    assert seen[-1]["id"] == "first"


PARTS = {"index": 0, "delta": {"content": [{"type": "text", "text": "Once"}]}}


def test_content_in_parts_goes_on_with_nothing_that_it_might_repeat() -> None:
    first = frames("first", "")[:-2]
    assert len(spliced(first, [{"id": "second", "choices": [PARTS]}])) == len(first) + 1


def test_content_in_parts_does_not_repeat_what_was_told() -> None:
    with pytest.raises(Differs):
        spliced(frames("first", "Once")[:-2], [{"id": "second", "choices": [PARTS]}])
