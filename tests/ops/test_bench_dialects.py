"""The answers that `sluice bench` streams in each format, and what is asked for them."""

from __future__ import annotations

import msgspec
import pytest

from sluice.http.formats.dialects import DIALECTS as SPOKEN
from sluice.ops.bench import chunks
from sluice.ops.bench.dialects import ANTHROPIC, COHERE, DIALECTS, OPENAI, Dialect

EACH = pytest.mark.parametrize("dialect", DIALECTS, ids=[each.name for each in DIALECTS])
PIECES = 25


def answer(dialect: Dialect, pieces: int = PIECES) -> bytes:
    said = [dialect.piece(chunks.piece(number)) for number in range(pieces)]
    return "".join([*dialect.opening, *said, *dialect.closing]).encode()


@EACH
def test_a_whole_answer_passes_the_check_with_our_ids_or_without(dialect: Dialect) -> None:
    dialect.check(answer(dialect), PIECES)
    dialect.check(answer(dialect).replace(b"data: ", b"id: s-1\ndata: "), PIECES)


@EACH
def test_an_answer_that_is_cut_short_or_changed_is_found_out(dialect: Dialect) -> None:
    whole = answer(dialect)
    with pytest.raises(chunks.BrokenAnswerError, match="does not end"):
        dialect.check(whole[: whole.rindex(dialect.mark.encode())], PIECES)
    with pytest.raises(chunks.BrokenAnswerError, match="text is not"):
        dialect.check(whole, PIECES + 1)
    with pytest.raises(chunks.BrokenAnswerError, match="text is not"):
        dialect.check(whole.replace(b"pump", b"dump"), PIECES)


@EACH
def test_the_request_is_one_that_our_routes_take(dialect: Dialect) -> None:
    (spoken,) = [each for each in SPOKEN if each.route == dialect.route]
    wanted = spoken.read(dialect.asking("some-model").body, 32)
    assert wanted.model == "some-model"
    assert wanted.streamed
    assert wanted.format.name == dialect.name


def test_each_format_says_its_pieces_in_events_of_its_own() -> None:
    assert OPENAI.piece("one ").startswith('data: {"id":"chatcmpl-')
    assert ANTHROPIC.piece("one ").startswith("event: content_block_delta\ndata: ")
    assert COHERE.piece("one ").startswith("event: content-delta\ndata: ")
    for dialect in DIALECTS:
        (data,) = [
            line[6:] for line in dialect.piece("one ").splitlines() if line.startswith("data: ")
        ]
        assert dialect.text_in(msgspec.json.decode(data)) == "one "
