"""Requests of clients that speak another format than OpenAI's, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from sluice.actors.failures import Failure
from sluice.http.formats.anthropic_request import ANTHROPIC_REQUEST, read_messages
from sluice.http.formats.cohere_request import COHERE_REQUEST, read_cohere
from sluice.http.formats.translation import AskedInFormat, RequestFormat
from sluice.http.validation import Fields

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


class Asking(NamedTuple):
    """Clients of one format."""

    read: Callable[[bytes, int], tuple[Any, Fields]]
    format: RequestFormat
    least: dict[str, Any]
    """What every request of theirs says."""

    def ask(self, **more: Any) -> dict[str, Any]:
        """A request's body."""
        return {**self.least, **more}

    def asked(self, body: dict[str, Any] | bytes) -> AskedInFormat:
        """The request in ``body``, read."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return AskedInFormat(self.read(raw, 64)[1], self.format)

    def told(self, provider_format: str, **more: Any) -> dict[str, Any]:
        """The body that a provider of another format gets."""
        body = self.asked(self.ask(**more)).body_for(provider_format, "theirs", max_tokens=4096)
        decoded: dict[str, Any] = msgspec.json.decode(body)
        return decoded

    def for_openai(self, **more: Any) -> dict[str, Any]:
        """The body that an OpenAI provider gets."""
        return self.told("openai", **more)

    def refused(self, body: dict[str, Any] | bytes) -> Failure:
        """What is wrong with ``body``."""
        with pytest.raises(Failure) as raised:
            self.asked(body)
        assert raised.value.status == 400
        return raised.value

    def untranslatable(self, provider_format: str, **more: Any) -> str:
        """The field that has no word in a provider's format."""
        request = self.asked(self.ask(**more))
        with pytest.raises(Failure) as raised:
            request.body_for(provider_format, None)
        failure = raised.value
        assert (failure.status, failure.code) == (400, "untranslatable")
        assert (failure.error_type, failure.stage) == ("validation_error", "validation")
        assert failure.param is not None
        assert failure.message.startswith(failure.param)
        return failure.param


ANTHROPIC = Asking(
    read_messages, ANTHROPIC_REQUEST, {"model": "claude", "max_tokens": 100, "messages": HELLO}
)
COHERE = Asking(read_cohere, COHERE_REQUEST, {"model": "command", "messages": HELLO})
