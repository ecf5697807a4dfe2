"""Reading once more what a provider said: how a rescue learns what its client was told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from .doubt import Doubt
from .failures import Failure
from .formats import Chunk, ClientFormat, Event, ProviderFormat
from .sse import FrameTooLarge, SseDecoder
from .told import ENVELOPE, Frame, Told

OPENAI: Final = "openai"
"""The format whose words are those of our chunks."""


def replay(kept: Iterable[bytes], provider_format: ProviderFormat) -> Iterator[tuple[Any, Chunk]]:
    """The events that a `Flow` made chunks of, and the chunks: all up to its end or its failure.

    ``kept`` is the provider's body, in the pieces in which it came.
    """
    decoder = SseDecoder(strict=True)
    feed = decoder.feed_named if provider_format.named else decoder.feed_data
    doubt = Doubt(provider_format.reader().read)
    for data in kept:
        try:
            for said in feed(data):
                try:
                    chunk = doubt.read(said)
                except Failure as failure:
                    doubt.over(failure)
                    continue
                if chunk is None:
                    return
                yield said, chunk
                if chunk.ends:
                    return
        except (Failure, FrameTooLarge):
            return


def told_by(
    kept: Iterable[bytes], provider_format: ProviderFormat, client_format: ClientFormat
) -> Told:
    """What the client of ``client_format`` has been told, by a provider that said ``kept``.

    From here on ``client_format`` is asked to `compose`; where it was not asked to before, it
    learns what it would have said.
    """
    told = Told()
    was_composed = provider_format.name != client_format.name
    for said, chunk in replay(kept, provider_format):
        frame = frame_of(said, chunk, provider_format)
        if client_format.name == OPENAI:
            if was_composed and not told.envelope:
                frame = {**frame, **_envelope(client_format.compose(said, chunk))}
        elif not was_composed:
            client_format.compose(said, chunk)
        told.add(frame)
    return told


def frame_of(said: Any, chunk: Chunk, provider_format: ProviderFormat) -> Frame:
    """The chunk in OpenAI's words, as its provider wrote it if those are its own."""
    if provider_format.name == OPENAI:
        frame: Frame = msgspec.json.decode(said)
        return frame
    whole: Frame = msgspec.to_builtins(chunk)
    return whole


def _envelope(made: bytes | Sequence[Event]) -> Frame:
    """What a format that is OpenAI's has put around the chunk that it made."""
    if not isinstance(made, bytes):
        return {}
    frame = msgspec.json.decode(made)
    return {key: frame[key] for key in ENVELOPE if key in frame}
