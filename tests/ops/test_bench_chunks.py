"""The answer that `sluice bench` streams, and what counts as whole."""

from __future__ import annotations

import msgspec
import pytest

from sluice.ops.bench import chunks

WHOLE = "".join(chunks.frames()).encode()


def test_the_answer_has_20_chunks_of_about_220_bytes() -> None:
    frames = chunks.frames()
    assert len(frames) == chunks.CHUNKS
    assert all(200 < len(frame) < 270 for frame in frames)


def test_every_chunk_is_an_openai_chunk_and_the_last_tells_the_usage() -> None:
    events = [line[6:] for line in WHOLE.decode().splitlines() if line]
    decoded = [msgspec.json.decode(event) for event in events[:-1]]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in decoded)
    assert decoded[0]["choices"][0]["delta"]["role"] == "assistant"
    assert decoded[-2]["choices"][0]["finish_reason"] == "stop"
    assert decoded[-1]["usage"]["completion_tokens"] > 0
    assert events[-1] == "[DONE]"


def test_the_whole_answer_passes_the_check() -> None:
    chunks.check_answer(WHOLE)


def test_an_answer_with_ids_and_comments_between_passes_the_check() -> None:
    frames = [
        f"id: s-{number}\n{frame}: hb\n" for number, frame in enumerate(chunks.frames(), start=1)
    ]
    chunks.check_answer("".join(frames).encode())


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"", "does not end in"),
        ("".join(chunks.frames()[:-1]).encode(), "does not end in"),
        ("".join(chunks.frames()[1:]).encode(), "19 chunks instead of 20"),
        (WHOLE.replace(b"stream", b"scream"), "text is not"),
    ],
)
def test_an_answer_that_is_cut_short_or_changed_is_found_out(answer: bytes, complaint: str) -> None:
    with pytest.raises(chunks.BrokenAnswerError, match=complaint):
        chunks.check_answer(answer)


def test_the_request_asks_for_usage_so_that_all_contestants_pass_on_as_much() -> None:
    request = msgspec.json.decode(chunks.request_body("paced"))
    assert request["model"] == "paced"
    assert request["stream_options"] == {"include_usage": True}
