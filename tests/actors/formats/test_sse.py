from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.actors.formats.sse import ERROR, HEARTBEAT, FrameTooLarge, SseDecoder, SseEvent, encode


def decode(data: bytes) -> list[SseEvent]:
    return SseDecoder().feed(data)


def texts(data: bytes) -> list[bytes]:
    return [event.data for event in decode(data)]


def in_pieces(data: bytes, sizes: list[int], decoder: SseDecoder | None = None) -> list[SseEvent]:
    decoder = decoder or SseDecoder()
    events, at = [], 0
    for size in [*sizes, len(data)]:
        events += decoder.feed(data[at : at + size])
        at += size
    return events


def reference(data: bytes) -> list[SseEvent]:
    """The WHATWG chapter, word by word, one line after the other, on the whole stream."""
    lines = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[SseEvent] = []
    buffer, kind, last_id = b"", b"", None
    for line in lines.split(b"\n")[:-1]:
        if line == b"":
            if buffer:
                events.append(SseEvent(buffer[:-1], kind, last_id))
            buffer, kind = b"", b""
            continue
        if line[:1] == b":":
            continue
        name, colon, value = line.partition(b":")
        if colon and value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            buffer += value + b"\n"
        elif name == b"event":
            kind = value
        elif name == b"id" and b"\0" not in value:
            last_id = value
    return events


# What breaks decoders: line ends, colons, blanks, field names, in any order.
fragments = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"\n\n", b"data", b"data:", b"data: ", b"event: ", b"id: ", b"id",
     b":", b" ", b"x", b"\0", b"\xef\xbb\xbf", b"\xef\xbb", "é€".encode(), b"retry: 7", b": hb\n"]
)  # fmt: skip
streams = st.lists(fragments, max_size=30).map(b"".join)
splits = st.lists(st.integers(0, 9), max_size=30)


@given(streams, splits)
def test_any_stream_in_any_pieces_is_read_as_the_whatwg_says(data: bytes, sizes: list[int]) -> None:
    assert in_pieces(data, sizes) == reference(data)


@given(streams, streams, splits)
def test_the_fast_way_and_the_line_by_line_way_read_the_same(
    first: bytes, second: bytes, sizes: list[int]
) -> None:
    # The second half begins right behind an event, where the fast way is taken.
    data = first + b"\n\n" + second
    decoder = SseDecoder()
    events = decoder.feed(first + b"\n\n")
    assert events + in_pieces(second, sizes, decoder) == reference(data)


single_line = st.binary(max_size=20).map(lambda line: line.translate(None, b"\r\n\0"))


@given(st.lists(st.tuples(st.binary(max_size=30), single_line, single_line), max_size=5), splits)
def test_what_was_encoded_is_decoded_again_in_any_pieces(
    events: list[tuple[bytes, bytes, bytes]], sizes: list[int]
) -> None:
    stream = b"".join(encode(data, event, id=last_id) for data, event, last_id in events)
    decoded = in_pieces(stream, sizes)
    last_id = None
    for event, (data, kind, new_id) in zip(decoded, events, strict=True):
        last_id = new_id or last_id
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert event == SseEvent(lines, kind, last_id)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lf_cr_and_crlf_end_lines(end: bytes) -> None:
    lines = [b"data: 1", b"data: 2", b"", b"data: 3", b"", b""]
    assert texts(end.join(lines)) == [b"1\n2", b"3"]


def test_a_crlf_split_over_two_reads_is_one_line_end() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: 1\r") == []
    assert decoder.feed(b"\ndata: 2\r\n\r") == [SseEvent(b"1\n2")]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == []


def test_an_event_ended_by_cr_is_dispatched_without_waiting_for_a_lf() -> None:
    assert texts(b"data: 1\r\r") == [b"1"]


def test_one_leading_bom_is_ignored_also_split_over_reads() -> None:
    stream = b"\xef\xbb\xbfdata: 1\n\n"
    for cut in range(len(stream)):
        assert in_pieces(stream, [cut]) == [SseEvent(b"1")]
    assert in_pieces(stream, [1, 1, 1]) == [SseEvent(b"1")]


def test_a_second_bom_is_part_of_a_field_name_that_nobody_knows() -> None:
    assert texts(b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\ndata: 2\n\n") == [b"2"]


def test_a_character_split_over_reads_arrives_whole() -> None:
    stream = encode("grüße €".encode())
    for cut in range(len(stream)):
        assert in_pieces(stream, [cut])[0].data.decode() == "grüße €"


def test_only_one_blank_after_the_colon_is_taken_off() -> None:
    assert texts(b"data:x\n\ndata: x\n\ndata:  x\n\n") == [b"x", b"x", b" x"]


def test_a_field_without_a_colon_has_an_empty_value() -> None:
    assert texts(b"data\n\ndata\ndata\n\ndata:") == [b"", b"\n"]


def test_an_event_without_data_is_not_dispatched_and_its_type_is_forgotten() -> None:
    assert decode(b"event: x\n\ndata: 1\n\n") == [SseEvent(b"1")]


def test_an_id_stays_until_another_is_set() -> None:
    ids = [event.id for event in decode(b"data: 0\n\nid: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n")]
    assert ids == [None, b"1", b"1", b""]


def test_an_id_set_without_data_counts_for_the_next_event() -> None:
    assert decode(b"id: 7\n\ndata: 1\n\n") == [SseEvent(b"1", id=b"7")]


def test_an_id_with_nul_is_ignored() -> None:
    assert decode(b"id: 1\n\nid: a\0b\ndata: 1\n\n") == [SseEvent(b"1", id=b"1")]


def test_retry_takes_digits_only() -> None:
    decoder = SseDecoder()
    decoder.feed(b"retry: 1500\n\n")
    for nonsense in [b"1s", b"-1", b"", b"\xc2\xb2", b"9" * 10_000]:
        decoder.feed(b"retry: " + nonsense + b"\n\n")
    assert decoder.retry == 1500


def test_comments_are_counted_and_say_nothing() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b": ping\n\n:\n" + HEARTBEAT + b"data: 1\n\n") == [SseEvent(b"1")]
    assert decoder.feed(b": ping\n\n") == []
    assert decoder.comments == 4
    assert not decoder.pending


@pytest.mark.parametrize(
    "start", [b"data: 1\n", b"data: 1", b"da", b"event: x\ndata: 1\n", b"data: 0\n\ndata\r"]
)
def test_a_last_event_without_its_blank_line_is_discarded_and_known(start: bytes) -> None:
    decoder = SseDecoder()
    assert decoder.feed(start)[1:] == []
    assert decoder.pending


@pytest.mark.parametrize("start", [b"", b"data: 1\n\n", b": ping", b": ping\n", b"data: 1\r\r"])
def test_nothing_is_pending_between_events(start: bytes) -> None:
    decoder = SseDecoder()
    decoder.feed(start)
    assert not decoder.pending


@pytest.mark.parametrize(
    "stream",
    [
        [b"data: " + b"x" * 200],
        [b"data: " + b"x" * 60, b"x" * 60],
        [b"data: x\n"] * 60,
        [b"data\n"] * 120,
        [b"data: 1\n\n", b"data: " + b"x" * 200 + b"\n\n"],
        [b"data: 1\n\n", b"data: 2\n\nx" + b"x" * 60, b"x" * 60],
    ],
)
def test_an_event_larger_than_the_limit_is_refused_however_it_comes(stream: list[bytes]) -> None:
    decoder = SseDecoder(limit=100)
    with pytest.raises(FrameTooLarge):
        list(map(decoder.feed, stream))


def test_many_events_may_be_larger_than_the_limit_together() -> None:
    decoder = SseDecoder(limit=100)
    assert len(decoder.feed(b"data: 1234\n\n" * 100)) == 100
    assert len(decoder.feed(b"data: 1234\n\n" * 100)) == 100
    for _ in range(100):
        decoder.feed(b": a comment of some length\n")
    assert len(decoder.feed(b"data: 1\n\n")) == 1


def test_a_frame_of_10_mb_in_small_pieces_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        decoder = SseDecoder(limit=1 << 25)
        decoder.feed(b"\ndata: ")
        before = time.process_time()
        for _ in range(size // 1000):
            decoder.feed(b"x" * 1000)
        assert len(decoder.feed(b"\n\n")[0].data) == size
        return time.process_time() - before

    # Ten times the bytes: ten times the time, with room for noise; quadratic would be 100 times.
    assert seconds(10_000_000) < 40 * max(seconds(1_000_000), 0.002)


@pytest.mark.parametrize("flood", [b"\n", b"\r", b"\r\n", b":\n", b"data\n\n", b"x\n"])
def test_a_flood_of_lines_takes_linear_time(flood: bytes) -> None:
    def seconds(pieces: int) -> float:
        decoder = SseDecoder()
        before = time.process_time()
        for _ in range(pieces):
            decoder.feed(flood * (1000 // len(flood)))
        return time.process_time() - before

    # Ten times the lines: ten times the time, with room for noise; quadratic would be 100 times.
    assert seconds(150) < 40 * max(seconds(15), 0.002)


def test_encoding_makes_one_data_line_of_every_line() -> None:
    assert encode(b"a\nb\r\nc\rd") == b"data: a\ndata: b\ndata: c\ndata: d\n\n"


def test_encoding_writes_type_id_and_retry_before_the_data() -> None:
    encoded = encode(b"x", b"usage", id=b"s-1", retry=1000)
    assert encoded == b"event: usage\nid: s-1\nretry: 1000\ndata: x\n\n"


@pytest.mark.parametrize(("event", "last_id"), [(b"a\nb", b""), (b"", b"a\rb"), (b"", b"a\0b")])
def test_a_type_or_id_that_would_break_the_stream_is_refused(event: bytes, last_id: bytes) -> None:
    with pytest.raises(ValueError, match="an event's"):
        encode(b"x", event, id=last_id)


def test_a_heartbeat_between_events_is_seen_by_no_reader() -> None:
    assert decode(b"data: 1\n\n" + HEARTBEAT + b"data: 2\n\n") == [SseEvent(b"1"), SseEvent(b"2")]
    assert decode(b"id: 1\ndata: 1\n\n" + HEARTBEAT) == [SseEvent(b"1", id=b"1")]


@given(streams, st.integers(1, 40))
def test_the_data_of_events_is_the_same_whichever_way_it_is_asked_for(
    text: bytes, size: int
) -> None:
    whole, only_data = SseDecoder(), SseDecoder()
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        said = [ERROR if event.event == b"error" else event.data for event in whole.feed(piece)]
        assert said == only_data.feed_data(piece)
    assert whole.comments == only_data.comments
    assert whole.last_id == only_data.last_id


@given(streams, st.integers(1, 40))
def test_names_and_data_are_the_same_whichever_way_they_are_asked_for(
    text: bytes, size: int
) -> None:
    whole, named = SseDecoder(), SseDecoder()
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        said = [(event.event, event.data) for event in whole.feed(piece)]
        assert said == [(event.event, event.data) for event in named.feed_named(piece)]
    assert whole.comments == named.comments


def test_whole_named_events_are_cut_out_at_once() -> None:
    text = b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n"
    said = SseDecoder().feed_named(text)
    assert said == [SseEvent(b"1", b"a"), SseEvent(b"2", b"b")]


def test_an_event_of_the_type_error_is_told_as_one_whatever_it_says() -> None:
    said = SseDecoder().feed_data(b"data: a\n\nevent: error\ndata: {}\n\ndata: b\n\n")
    assert said == [b"a", ERROR, b"b"]
