"""How a client is spoken to whose answer another provider goes on with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Chunk, ClientFormat, Event, ProviderFormat
from sluice.actors.formats.sse import SseEvent
from sluice.actors.providers.upstream_failures import differs

from .delivered import Frame
from .overlap import Differs
from .replay import OPENAI, frame_of
from .splice import Splice


class SplicedClient:
    """Speaks ``client``'s format: puts what another provider says behind what the client has.

    Args:
        client: how its client is spoken to.
        provider_format: how the other provider speaks.
        splice: where the two answers meet.
    """

    name: Final = "spliced"
    reads_text: Final = True

    def __init__(
        self, client: ClientFormat, provider_format: ProviderFormat, splice: Splice
    ) -> None:
        self._client = client
        self._provider_format = provider_format
        self._splice = splice

    def anew(self) -> ClientFormat:
        """Never asked for: what is gone on with has begun."""
        return self._client.anew()

    def preamble(self) -> bytes:
        """What it is."""
        return self._client.preamble()

    def compose(self, said: Any, chunk: Chunk) -> bytes | SseEvent | Sequence[Event]:
        """What is new in a chunk of the other provider's. Raises `Failure` where that differs."""
        try:
            frame = self._splice.take(frame_of(said, chunk, self._provider_format))
        except Differs:
            raise differs() from None
        if frame is None:
            return ()
        if self._client.name != OPENAI:
            return self._client.compose(said, msgspec.convert(frame, Chunk))
        made = [
            self._client.render(msgspec.json.encode(part), msgspec.convert(part, Chunk))
            for part in self._parts(frame)
        ]
        return [Event(data) for data in made if isinstance(data, bytes)]

    def _parts(self, frame: Frame) -> list[Frame]:
        """``frame`` as OpenAI would have said it: others tell the usage together with the end."""
        if self._provider_format.name == OPENAI or not (frame["choices"] and frame.get("usage")):
            return [frame]
        rest = {key: value for key, value in frame.items() if key != "usage"}
        return [rest, {**frame, "choices": []}]

    def render(self, said: Any, chunk: Chunk) -> bytes | SseEvent | Sequence[Event]:
        """As `compose`: no provider speaks this format."""
        return self.compose(said, chunk)

    def text_form(self) -> None:
        """None: every chunk is compared."""

    def end(self) -> Sequence[Event]:
        """The end marker, if the other answer came as far as the first. Raises `Failure`."""
        try:
            self._splice.end()
        except Differs:
            raise differs() from None
        return self._client.end()

    def failure_event(self, failure: Failure) -> Event:
        """An error in the client's format."""
        return self._client.failure_event(failure)

    def whole(self, body: bytes) -> bytes:
        """Never asked for: what is gone on with is a stream."""
        return self._client.whole(body)

    def failure_body(self, failure: Failure) -> bytes:
        """Likewise: its head was sent."""
        return self._client.failure_body(failure)
