"""What the simulated models say."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.simulator.answers import (
    Answers,
    Tool,
    arguments_for,
    escape,
    in_pieces,
    plain,
    without,
)

ANSWERS = Answers(seed=1)


def test_the_same_seed_says_the_same() -> None:
    one, other = Answers(7), Answers(7)
    assert one.pieces(b"sim-ok", 1, 50, 2) == other.pieces(b"sim-ok", 1, 50, 2)
    assert one.identifier("chatcmpl-") == other.identifier("chatcmpl-")


def test_another_seed_says_something_else() -> None:
    assert Answers(7).pieces(b"sim-ok", 1, 50, 1) != Answers(8).pieces(b"sim-ok", 1, 50, 1)


def test_every_attempt_and_every_model_says_something_else() -> None:
    said = [
        b"".join(ANSWERS.pieces(who, attempt, 20, 1))
        for who in (b"sim-ok", b"sim-ok-b")
        for attempt in range(1, 20)
    ]
    assert len(set(said)) == len(said)


@given(st.integers(0, 300), st.integers(1, 60))
def test_an_answer_has_the_pieces_and_tokens_asked_for(chunks: int, size: int) -> None:
    pieces = ANSWERS.pieces(b"who", 1, chunks, size)
    assert len(pieces) == chunks
    assert len(ANSWERS.pieces(b"who", 1, chunks * size, 1)) == chunks * size


def test_an_answer_longer_than_all_that_can_be_said_repeats_itself() -> None:
    assert len(ANSWERS.pieces(b"who", 1, 20_001, 1)) == 20_001


@given(st.text())
def test_a_piece_is_json_without_its_quotes(text: str) -> None:
    assert plain(escape(text)) == text
    assert msgspec.json.decode(b'{"a":"' + escape(text) + b'"}') == {"a": text}


@given(st.lists(st.text(min_size=1)), st.data())
def test_an_answer_goes_on_behind_what_was_said_of_it(
    texts: list[str], data: st.DataObject
) -> None:
    whole = "".join(texts)
    cut = data.draw(st.integers(0, len(whole)))
    rest = without(whole[:cut], [escape(text) for text in texts])
    assert rest is not None
    assert "".join(map(plain, rest)) == whole[cut:]


def test_what_was_never_said_cannot_be_continued() -> None:
    assert without("abd", [b"ab", b"c"]) is None
    assert without("abcd", [b"ab", b"c"]) is None


def test_arguments_fit_the_schema_of_the_tool() -> None:
    properties = {
        "where": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["kelvin", "celsius"]},
        "odd": True,
    }
    tool = Tool("forecast", {"type": "object", "properties": properties})
    arguments = msgspec.json.decode(arguments_for(tool))
    assert arguments == {"where": "Zürich", "days": 3, "unit": "kelvin", "odd": "water"}


def test_arguments_come_in_pieces() -> None:
    text = arguments_for(Tool("anything"))
    assert len(in_pieces(text)) > 1
    assert "".join(in_pieces(text)) == text
