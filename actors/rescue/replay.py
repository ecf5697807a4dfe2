"""Reading once more what a provider said: how a rescue learns what its client was told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Chunk, ClientFormat, Event, ProviderFormat
from sluice.actors.formats.reading import WRONG, malformed
from sluice.actors.formats.sse import SseEvent

from .delivered import ENVELOPE, Delivered, Frame

OPENAI: Final = "openai"
"""The format whose words are those of our chunks."""


def told_by(
    kept: Iterable[Any], provider_format: ProviderFormat, client_format: ClientFormat
) -> Delivered:
    """What the client of ``client_format`` has been told, by a provider whose events ``kept`` are.

    Where OpenAI's chunks were composed for it, it is asked what stands around them.
    """
    told = Delivered()
    was_composed = client_format.name == OPENAI != provider_format.name
    reader = provider_format.reader()
    for said in kept:
        try:
            chunk = reader.read(said)
            if chunk is None:
                break
            frame = frame_of(said, chunk, provider_format)
        except Failure:  # a frame that was good enough to be passed on, and no better
            return Delivered(obstacle="not_text")
        if was_composed and not told.envelope:
            frame = {**frame, **_envelope(client_format.compose(said, chunk))}
        told.add(frame)
        if isinstance(said, SseEvent) and _begins_a_foreign_block(said):
            told.obstacle = "not_text"
    if told.usage is None:
        told.usage = reader.usage_begun()
    return told


class _Block(msgspec.Struct):
    type: str = ""


class _Begun(msgspec.Struct):
    content_block: _Block = msgspec.field(default_factory=_Block)


_begun: Final = msgspec.json.Decoder(_Begun)
_BLOCKS: Final = frozenset({"text", "thinking", "redacted_thinking"})


def _begins_a_foreign_block(said: SseEvent) -> bool:
    """Whether it begins what Anthropic's clients get and no chunk says: a search, its results."""
    if said.event != b"content_block_start":
        return False
    try:
        return _begun.decode(said.data).content_block.type not in _BLOCKS
    except msgspec.MsgspecError:
        return True


def frame_of(said: Any, chunk: Chunk, provider_format: ProviderFormat) -> Frame:
    """The chunk in OpenAI's words, as its provider wrote it if those are its own.

    Raises a 502 `Failure` where something in it that no reader looks at is not what it should be.
    """
    if provider_format.name == OPENAI:
        try:
            frame: Frame = msgspec.json.decode(said)
        except WRONG as error:
            raise malformed("chunk", "streaming") from error
        return frame
    whole: Frame = msgspec.to_builtins(chunk)
    del whole["error"]  # of a chunk, there is none
    return whole


def _envelope(made: bytes | SseEvent | Sequence[Event]) -> Frame:
    """What a format that is OpenAI's has put around the chunk that it made."""
    if not isinstance(made, bytes):
        return {}
    frame = msgspec.json.decode(made)
    return {key: frame[key] for key in ENVELOPE if key in frame}
