"""Text that is alone in its event: told at once, and as `read` would have told it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.actors.formats.mixed import CHANGED, DATA

from sluice.actors.failures import Failure
from sluice.actors.formats.alone import only, single
from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.formats.cohere import CohereProvider
from sluice.actors.formats.format import Chunk, Delta, ProviderFormat
from sluice.actors.formats.openai import OpenAIProvider
from sluice.actors.formats.sse import SseEvent

PROVIDERS: dict[str, ProviderFormat] = {
    each.name: each for each in (OpenAIProvider(), AnthropicProvider(), CohereProvider())
}
NAMES = st.sampled_from([b"content_block_delta", b"content-delta", b"error", b""])


def read(provider: ProviderFormat, said: bytes | SseEvent) -> Chunk | None:
    """The chunk in it, if it is one."""
    try:
        return provider.reader().read(said)
    except Failure:
        return None


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
@given(data=st.data(), name=NAMES)
def test_text_that_is_alone_is_what_is_read(
    provider: ProviderFormat, data: st.DataObject, name: bytes
) -> None:
    assert_read_alike(provider, data.draw(DATA[provider.name]), name)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_whatever_stands_beside_a_text_is_not_lost(provider: ProviderFormat) -> None:
    for written in CHANGED[provider.name]:
        assert_read_alike(provider, written, b"some")


def assert_read_alike(provider: ProviderFormat, written: bytes, name: bytes) -> None:
    """If there is a text alone in it, it is the same that is read."""
    said = SseEvent(written, name) if provider.named else written
    text = provider.reader().text_alone(said)
    if text:
        chunk = read(provider, said)
        assert chunk is not None
        assert not chunk.ends
        assert chunk.text_alone == text


@given(DATA["openai"])
def test_a_chunk_that_is_text_alone_says_nothing_else(said: bytes) -> None:
    chunk = read(OpenAIProvider(), said)
    if chunk is not None and chunk.text_alone:
        (choice,) = chunk.choices
        assert choice.delta == Delta(content=chunk.text_alone, role=choice.delta.role)
        assert choice.finish_reason is None
        assert not chunk.usage


USUAL = {
    "openai": (
        b'{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"\xc3\xa9"},'
        b'"logprobs":{"content":[]},"finish_reason":null}],"usage":null,"obfuscation":"x"}'
    ),
    "anthropic": (
        b'{"type":"content_block_delta","index":1,'
        b'"delta":{"type":"text_delta","text":"\xc3\xa9"},"future":[]}'
    ),
    "cohere": (
        b'{"type":"content-delta","index":1,"logprobs":null,'
        b'"delta":{"message":{"content":{"type":"text","text":"\xc3\xa9"}}}}'
    ),
}


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_an_event_as_providers_send_it_is_text_alone(provider: ProviderFormat) -> None:
    said = USUAL[provider.name]
    assert provider.reader().text_alone(SseEvent(said) if provider.named else said) == "é"


class Part(msgspec.Struct):
    said: str | None = None
    rest: int | None = None
    any: int = 3


def test_a_part_that_says_one_thing_has_no_other_unless_that_is_null() -> None:
    decoder = msgspec.json.Decoder(single(only(Part, "any", said=str)))
    for good in ('[{"said":"a"}]', '[{"any":5,"said":"a","rest":null,"more":{}}]'):
        assert decoder.decode(good)[0].said == "a"
    for bad in ("[]", "[{}]", '[{"said":null}]', '[{"said":"a","rest":1}]', '[{"said":"a"},{}]'):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(bad)
