"""Where another answer goes beyond what is told, for every way in which both may be cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.actors.rescue.overlap import Differs, Overlap

texts = st.text(alphabet="ab \né🌊", max_size=30)


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in itertools.pairwise(places)]


cuts = st.lists(st.integers(0, 100), max_size=8)


@given(texts, st.integers(0, 30), cuts)
def test_of_a_text_that_repeats_what_is_told_exactly_the_rest_is_new(
    text: str, at: int, where: list[int]
) -> None:
    overlap = Overlap(text[:at], exact=True)
    assert "".join(map(overlap.beyond, in_pieces(text, where))) == text[at:]
    overlap.end()
    assert overlap.is_over


@given(texts, texts, cuts)
def test_a_text_that_differs_gives_nothing_away_before_it_is_found_out(
    told: str, other: str, where: list[int]
) -> None:
    overlap = Overlap(told, exact=True)
    new = ""
    try:
        for piece in in_pieces(other, where):
            new += overlap.beyond(piece)
        overlap.end()
    except Differs:
        assert not other.startswith(told)
        assert new == ""
    else:
        assert told + new == other


@given(texts, texts, cuts)
def test_who_goes_on_from_a_text_without_its_last_blanks_may_repeat_them_or_not(
    start: str, rest: str, where: list[int]
) -> None:
    blanks = start[len(start.rstrip()) :]
    repeating = Overlap(blanks, exact=False)
    said = "".join(map(repeating.beyond, in_pieces(blanks + rest, where)))
    assert start + said == start + rest
    if not rest.startswith((" ", "\n")):
        silent = Overlap(blanks, exact=False)
        assert "".join(map(silent.beyond, in_pieces(rest, where))) == rest


def test_an_answer_that_is_over_before_it_has_said_what_was_told_differs() -> None:
    overlap = Overlap("abc", exact=True)
    assert overlap.beyond("ab") == ""
    with pytest.raises(Differs):
        overlap.end()
