"""The three formats that clients speak, each with its route: what `ChatRoute` needs of one.

A dialect reads a request, says how its client is to be answered, and how it is told of a
failure. Identification, limits and all else is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Asked, ClientFormat
from sluice.http.asgi import Headers
from sluice.http.errors import anthropic_body, cohere_body, openai_body
from sluice.http.validation import AskedInOpenAI, read_chat

from .anthropic_format import AnthropicClient
from .anthropic_request import ANTHROPIC_REQUEST, read_messages
from .cohere_format import CohereClient
from .cohere_request import COHERE_REQUEST, read_cohere
from .openai_format import OpenAIClient
from .translation import AskedInFormat


class Wanted(NamedTuple):
    """A request that was read and found valid."""

    model: str
    """As the client calls it."""
    streamed: bool
    asked: Asked
    format: ClientFormat
    """For this one answer."""


class Dialect(NamedTuple):
    """One format, the client's side."""

    route: str
    """Its path. The method is ``POST``."""
    read: Callable[[bytes, int], Wanted]
    """The request in a body whose JSON nests no deeper than that. Raises a 400 `Failure`."""
    error_body: Callable[[Failure], bytes]
    """The JSON of an error before the first byte."""
    headers: Callable[[str], Headers]
    """What an answer to the request of that id carries beyond what all carry."""


def _openai(body: bytes, depth: int) -> Wanted:
    request, fields = read_chat(body, depth)
    streamed = request.stream is True
    options = request.stream_options
    usage = options is not None and options.include_usage is True
    answer = OpenAIClient(usage=usage, model=request.model)
    return Wanted(request.model, streamed, AskedInOpenAI(fields, streamed), answer)


def _none(request_id: str) -> Headers:
    del request_id
    return []


def _anthropic(body: bytes, depth: int) -> Wanted:
    request, fields = read_messages(body, depth)
    asked = AskedInFormat(fields, ANTHROPIC_REQUEST)
    return Wanted(request.model, request.stream is True, asked, AnthropicClient(request.model))


def _request_id(request_id: str) -> Headers:
    """Anthropic's SDKs look for the id here."""
    return [(b"request-id", request_id.encode())]


def _cohere(body: bytes, depth: int) -> Wanted:
    request, fields = read_cohere(body, depth)
    asked = AskedInFormat(fields, COHERE_REQUEST)
    return Wanted(request.model, request.stream is True, asked, CohereClient())


OPENAI: Final = Dialect("/v1/chat/completions", _openai, openai_body, _none)
ANTHROPIC: Final = Dialect("/v1/messages", _anthropic, anthropic_body, _request_id)
COHERE: Final = Dialect("/v2/chat", _cohere, cohere_body, _none)

DIALECTS: Final = (OPENAI, ANTHROPIC, COHERE)
