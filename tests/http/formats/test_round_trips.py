"""There and back again: what a format says in OpenAI's words, said in the format once more.

The way there is the client's side, the way back the provider's: neither was written for a test.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http.formats.asking import ANTHROPIC, COHERE
from tests.http.said import Said, chunks, merged, things, told

from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.formats.cohere import CohereProvider
from sluice.actors.formats.format import Chunk, ClientFormat, Event, ProviderFormat
from sluice.actors.formats.requests import translated
from sluice.actors.formats.sse import SseEvent
from sluice.http.formats.anthropic_format import AnthropicClient
from sluice.http.formats.anthropic_hub import to_openai as from_anthropic
from sluice.http.formats.cohere_format import CohereClient
from sluice.http.formats.cohere_hub import to_openai as from_cohere
from sluice.http.validation import Fields, encoded
from sluice.ops.simulator.anthropic import Anthropic
from sluice.ops.simulator.cohere import Cohere
from sluice.ops.simulator.openai import OpenAI

# -- requests ----------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
objects = st.dictionaries(names, st.one_of(st.integers(0, 9), words, st.none()), max_size=2)
urls = st.sampled_from(["https://example.com/a.png", "https://example.com/b?c=d"])
temperatures = st.floats(0, 1, allow_nan=False)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of ``fields``."""
    return st.fixed_dictionaries({}, optional=fields)


texts = st.builds(lambda text: {"type": "text", "text": text}, words)


def of(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Any]:
    """Content: a string, or parts; one text alone is always a string."""
    return st.one_of(words, st.lists(st.one_of(*parts), min_size=2, max_size=3))


pictures = st.one_of(
    st.builds(lambda url: {"type": "url", "url": url}, urls),
    st.just({"type": "base64", "media_type": "image/png", "data": "AAAA"}),
).map(lambda source: {"type": "image", "source": source})
uses = st.builds(
    lambda id_, name, given_: {"type": "tool_use", "id": id_, "name": name, "input": given_},
    names,
    names,
    objects,
)
results = st.builds(
    lambda id_, text: {"type": "tool_result", "tool_use_id": id_, "content": text}, names, words
)
anthropic_turns = st.one_of(
    of(texts, pictures).map(lambda content: {"role": "user", "content": content}),
    st.lists(uses, min_size=1, max_size=2).map(lambda each: {"role": "assistant", "content": each}),
    st.builds(lambda text, use: {"role": "assistant", "content": [text, use]}, texts, uses),
    words.map(lambda text: {"role": "assistant", "content": text}),
)
anthropic_conversations = st.builds(
    lambda turns, last: [*turns, {"role": "user", "content": last}],
    st.lists(anthropic_turns, max_size=3),
    st.lists(results, min_size=1, max_size=2),
)
anthropic_requests = st.builds(
    lambda messages, more: {"model": "m", "max_tokens": 20_000, "messages": messages, **more},
    anthropic_conversations,
    some(
        system=of(texts),
        stop_sequences=st.lists(words, min_size=1, max_size=2),
        temperature=temperatures,
        top_p=temperatures,
        top_k=st.integers(1, 9),
        stream=st.just(True),
        metadata=st.builds(lambda user: {"user_id": user}, words),
        thinking=st.one_of(
            st.just({"type": "disabled"}),
            st.sampled_from([2048, 8192, 16384]).map(
                lambda budget: {"type": "enabled", "budget_tokens": budget}
            ),
        ),
        tools=st.lists(
            st.builds(
                lambda name, more: {"name": name, "input_schema": {"type": "object"}, **more},
                names,
                some(description=words, strict=st.booleans()),
            ),
            min_size=1,
            max_size=2,
        ),
        tool_choice=st.one_of(
            st.sampled_from([{"type": "any"}, {"type": "none"}]),
            names.map(lambda name: {"type": "tool", "name": name}),
        ),
        output_config=objects.map(
            lambda schema: {"format": {"type": "json_schema", "schema": schema}}
        ),
    ),
)


def fields_of(request: dict[str, Any]) -> Fields:
    return {name: encoded(value) for name, value in request.items() if value is not None}


def back(asked: dict[str, Any], provider_format: str) -> Any:
    """A request in OpenAI's words, in those of another format."""
    streamed = asked.get("stream") is True
    body = translated(fields_of(asked), provider_format, None, streamed=streamed, max_tokens=1)
    return msgspec.json.decode(body)


@given(anthropic_requests)
def test_a_request_of_anthropics_is_the_same_after_it_was_told_in_openais_words(
    request: dict[str, Any],
) -> None:
    assert back(from_anthropic(fields_of(request), "openai"), "anthropic") == request


images = st.builds(
    lambda url, more: {"type": "image_url", "image_url": {"url": url, **more}},
    st.one_of(urls, st.just("data:image/png;base64,AAAA")),
    some(detail=st.sampled_from(["auto", "low", "high"])),
)
calls = st.builds(
    lambda id_, name, given_: {
        "id": id_,
        "type": "function",
        "function": {"name": name, "arguments": msgspec.json.encode(given_).decode()},
    },
    names,
    names,
    objects,
)
cohere_turns = st.one_of(
    of(texts).map(lambda content: {"role": "system", "content": content}),
    of(texts, images).map(lambda content: {"role": "user", "content": content}),
    of(texts).map(lambda content: {"role": "assistant", "content": content}),
    st.lists(calls, min_size=1, max_size=2).map(
        lambda each: {"role": "assistant", "tool_calls": each}
    ),
    st.builds(
        lambda id_, text: {"role": "tool", "tool_call_id": id_, "content": text},
        names,
        of(texts),
    ),
    words.map(
        lambda text: {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": text}, {"type": "text", "text": "So"}],
        }
    ),
)
cohere_requests = st.builds(
    lambda messages, stream, more: {"model": "m", "messages": messages, "stream": stream, **more},
    st.lists(cohere_turns, min_size=1, max_size=4),
    st.booleans(),
    some(
        max_tokens=st.integers(1, 99),
        stop_sequences=st.lists(words, min_size=1, max_size=2),
        temperature=temperatures,
        seed=st.integers(1, 9),
        frequency_penalty=temperatures,
        presence_penalty=temperatures,
        k=st.integers(1, 9),
        p=temperatures,
        tool_choice=st.sampled_from(["REQUIRED", "NONE"]),
        tools=names.map(
            lambda name: [
                {
                    "type": "function",
                    "function": {"name": name, "parameters": {"type": "object", "x": 1}},
                }
            ]
        ),
        thinking=st.one_of(
            st.just({"type": "disabled"}),
            st.sampled_from([2048, 8192, 16384]).map(
                lambda budget: {"type": "enabled", "token_budget": budget}
            ),
        ),
        response_format=st.one_of(
            st.just({"type": "json_object"}),
            objects.map(lambda schema: {"type": "json_object", "json_schema": schema}),
        ),
    ),
)


@given(cohere_requests)
def test_a_request_of_coheres_is_the_same_after_it_was_told_in_openais_words(
    request: dict[str, Any],
) -> None:
    assert back(from_cohere(fields_of(request), "openai"), "cohere") == request


@given(anthropic_requests)
def test_a_request_of_anthropics_is_one_that_openai_would_take(request: dict[str, Any]) -> None:
    OpenAI().parse(ANTHROPIC.asked(request).body_for("openai", "other"), [])


@given(cohere_requests)
def test_a_request_of_coheres_is_one_that_openai_would_take(request: dict[str, Any]) -> None:
    OpenAI().parse(COHERE.asked(request).body_for("openai", "other"), [])


@given(st.data())
def test_a_plain_request_of_either_is_one_that_the_other_would_take(data: st.DataObject) -> None:
    turns = st.lists(
        of(texts).map(lambda content: {"role": "user", "content": content}), min_size=1
    )
    body = {"model": "m", "messages": data.draw(turns), "temperature": 0.5}
    to_cohere = {**body, "max_tokens": 9, "thinking": {"type": "disabled"}}
    anthropic = ANTHROPIC.asked(to_cohere)
    Cohere().parse(anthropic.body_for("cohere", "other"), [])
    cohere = COHERE.asked(body)
    said = cohere.body_for("anthropic", "other", max_tokens=77)
    Anthropic().parse(said, [(b"anthropic-version", b"1")])
    assert msgspec.json.decode(said)["max_tokens"] == 77


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"metadata": {"user_id": "u"}}, "metadata.user_id"),
        ({"output_config": {"effort": "max"}}, "thinking"),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            "tool_choice.disable_parallel_tool_use",
        ),
    ],
)
def test_what_a_third_format_has_no_word_for_is_named_as_the_client_called_it(
    asked: dict[str, Any], param: str
) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    request = ANTHROPIC.asked({**body, **asked})
    with pytest.raises(Exception, match=rf"^{param} cannot be said .*'cohere'") as raised:
        request.body_for("cohere", None)
    assert getattr(raised.value, "param", None) == param


# -- answers -----------------------------------------------------------------------------------


def heard(provider: ProviderFormat, events: list[Event]) -> list[tuple[str, str, str]]:
    """What a stream says, read by our own side of a provider: (kind, name, all of it)."""
    reader = provider.reader()
    said: list[Said] = []
    for data, name in events:
        chunk: Chunk | None = reader.read(SseEvent(data, name))
        for choice in chunk.choices if chunk is not None else ():
            said += _deltas(choice.delta)
    return merged(_joined(said))


def _deltas(delta: Any) -> list[Said]:
    found = [
        Said(kind, (text,))
        for kind, text in (("thinking", delta.reasoning_content), ("text", delta.content))
        if text
    ]
    for call in delta.tool_calls or ():
        function = call["function"]
        found.append(Said("call", (function.get("arguments") or "",), function.get("name") or ""))
    return found


def _joined(said: list[Said]) -> list[Said]:
    """Pieces of a call without a name belong to the one before."""
    joined: list[Said] = []
    for each in said:
        if each.kind == "call" and not each.name:
            joined[-1] = Said("call", joined[-1].pieces + each.pieces, joined[-1].name)
        else:
            joined.append(each)
    return joined


FORMATS: list[tuple[type[Any], ProviderFormat]] = [
    (CohereClient, CohereProvider()),
    (AnthropicClient, AnthropicProvider()),
]


@given(things)
def test_a_stream_says_the_same_after_it_was_told_in_another_format(said: list[Said]) -> None:
    for make, provider in FORMATS:
        client: ClientFormat = make("m") if make is AnthropicClient else make()
        assert heard(provider, told(client, chunks(said))) == merged(said)


@given(things)
def test_a_whole_answer_says_the_same_after_it_was_told_in_another_format(
    said: list[Said],
) -> None:
    parts = merged(said)
    thought = "".join(whole for kind, _, whole in parts if kind == "thinking")
    text = "".join(whole for kind, _, whole in parts if kind == "text")
    called = [(name, whole) for kind, name, whole in parts if kind == "call"]
    message = {
        "role": "assistant",
        "content": text or None,
        **({"reasoning_content": thought} if thought else {}),
        **({"tool_calls": [_call(*each) for each in called]} if called else {}),
    }
    body = msgspec.json.encode({"choices": [{"message": message, "finish_reason": "length"}]})
    for make, provider in FORMATS:
        client: ClientFormat = make("m") if make is AnthropicClient else make()
        answer = msgspec.json.decode(provider.as_completion(client.whole(body)))["choices"][0]
        told_back = answer["message"]
        assert (told_back.get("content") or "") == text
        assert (told_back.get("reasoning_content") or "") == thought
        calls_back = [each["function"] for each in told_back.get("tool_calls") or ()]
        assert [each["name"] for each in calls_back] == [name for name, _ in called]
        assert [msgspec.json.decode(each["arguments"]) for each in calls_back] == [
            msgspec.json.decode(whole) for _, whole in called
        ]
        assert answer["finish_reason"] == "length"


def _call(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": "c1", "type": "function", "function": function}
