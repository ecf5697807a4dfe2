"""Of what the official SDKs can say in a request, nothing is left out silently.

Each field that an SDK has a type for is put into a request by itself: then the provider gets
another request, or the client a 400. What is taken and not told stands here, with the reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from anthropic import types as anthropic
from anthropic.types.message_create_params import MessageCreateParamsBase
from cohere.types import (
    AssistantMessage,
    Document,
    ImageUrl,
    SystemMessageV2,
    Thinking,
    ToolCallV2,
    ToolMessageV2,
    ToolV2,
    ToolV2Function,
    UserMessageV2,
)
from cohere.v2.client import V2Client
from openai.types import chat as openai
from openai.types.chat.chat_completion_content_part_image_param import ImageURL
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.shared_params import FunctionDefinition
from openai.types.shared_params.response_format_json_schema import JSONSchema
from tests.http.formats.asking import ANTHROPIC, COHERE, HELLO

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Asked
from sluice.http.formats.openai_request import AskedInOpenAI, read_chat

Put = Callable[[dict[str, Any]], dict[str, Any]]
"""A request in which an object has these fields more."""
SCHEMA = {"type": "object", "properties": {}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
IMAGE = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
URL = "data:image/png;base64,AAAA"


def in_messages(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*HELLO, *messages]}


def in_block(role: str, **block: Any) -> dict[str, Any]:
    return in_messages({"role": role, "content": [{"type": "text", "text": "x"}, block]})


def openai_tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **function}}]}


OPENAI: dict[Any, Put] = {
    CompletionCreateParamsBase: lambda more: openai_tool() | more,
    openai.ChatCompletionUserMessageParam: lambda more: in_messages(
        {"role": "user", "content": "x", **more}
    ),
    openai.ChatCompletionSystemMessageParam: lambda more: in_messages(
        {"role": "system", "content": "x", **more}
    ),
    openai.ChatCompletionAssistantMessageParam: lambda more: in_messages(
        {"role": "assistant", "content": "x", **more}
    ),
    openai.ChatCompletionToolMessageParam: lambda more: in_messages(
        {"role": "tool", "tool_call_id": "c1", "content": "x", **more}
    ),
    openai.ChatCompletionContentPartTextParam: lambda more: in_messages(
        {"role": "user", "content": [{"type": "text", "text": "x", **more}]}
    ),
    openai.ChatCompletionContentPartImageParam: lambda more: in_block(
        "user", type="image_url", **{"image_url": {"url": URL}} | more
    ),
    ImageURL: lambda more: in_block("user", type="image_url", image_url={"url": URL, **more}),
    openai.ChatCompletionMessageFunctionToolCallParam: lambda more: in_messages(
        {"role": "assistant", "tool_calls": [{**CALL, **more}]}
    ),
    FunctionDefinition: lambda more: openai_tool(**more),
    JSONSchema: lambda more: {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": SCHEMA, **more},
        }
    },
}
ANTHROPICS: dict[Any, Put] = {
    MessageCreateParamsBase: lambda more: more,
    anthropic.UserMessageParam: lambda more: in_messages({"role": "user", "content": "x", **more}),
    anthropic.AssistantMessageParam: lambda more: in_messages(
        {"role": "assistant", "content": "x", **more}
    ),
    anthropic.SystemMessageParam: lambda more: in_messages(
        {"role": "system", "content": "x", **more}
    ),
    anthropic.TextBlockParam: lambda more: in_block("user", type="text", **{"text": "y"} | more),
    anthropic.ImageBlockParam: lambda more: in_block(
        "user", type="image", **{"source": IMAGE} | more
    ),
    anthropic.ThinkingBlockParam: lambda more: in_block(
        "assistant", type="thinking", **{"thinking": "Hm", "signature": "s"} | more
    ),
    anthropic.ToolUseBlockParam: lambda more: in_messages(
        {"role": "assistant", "content": [USE | more]}
    ),
    anthropic.ToolResultBlockParam: lambda more: in_messages(
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", **more}]}
    ),
    anthropic.ToolParam: lambda more: {"tools": [{"name": "f", "input_schema": SCHEMA, **more}]},
    anthropic.ToolChoiceToolParam: lambda more: {
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "f", **more},
    },
    anthropic.ThinkingConfigEnabledParam: lambda more: {
        "thinking": {"type": "enabled", "budget_tokens": 1024, **more}
    },
    anthropic.OutputConfigParam: lambda more: {"output_config": more},
    anthropic.MetadataParam: lambda more: {"metadata": more},
}
COHERES: dict[Any, Put] = {
    V2Client.chat_stream: lambda more: openai_tool() | more,
    UserMessageV2: lambda more: in_messages({"role": "user", "content": "x", **more}),
    SystemMessageV2: lambda more: in_messages({"role": "system", "content": "x", **more}),
    AssistantMessage: lambda more: in_messages({"role": "assistant", "content": "x", **more}),
    ToolMessageV2: lambda more: in_messages(
        {"role": "tool", "tool_call_id": "c1", "content": "x", **more}
    ),
    ImageUrl: lambda more: in_block("user", type="image_url", image_url={"url": URL, **more}),
    Document: lambda more: in_messages(
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "document", "document": {"data": {}, **more}}],
        }
    ),
    ToolCallV2: lambda more: in_messages({"role": "assistant", "tool_calls": [CALL | more]}),
    ToolV2: lambda more: {"tools": [{"type": "function", "function": {"name": "f"}} | more]},
    ToolV2Function: lambda more: openai_tool(**more),
    Thinking: lambda more: {"thinking": {"type": "enabled", **more}},
}

VALUES: dict[str, Any] = {
    "model": "another", "messages": [{"role": "user", "content": "Bye"}], "content": "y",
    "frequency_penalty": 0.5, "presence_penalty": 0.5, "temperature": 0.5, "top_p": 0.5, "p": 0.5,
    "k": 3, "seed": 3, "n": 2, "max_tokens": 30, "max_completion_tokens": 30, "token_budget": 9000,
    "budget_tokens": 9000, "top_logprobs": 2, "priority": 2, "logprobs": True, "store": True,
    "parallel_tool_calls": False, "strict_tools": True, "strict": True, "is_error": True,
    "eager_input_streaming": True,
    "disable_parallel_tool_use": True, "logit_bias": {"1": 1}, "stop": ["END"],
    "stop_sequences": ["END"], "modalities": ["audio"], "reasoning_effort": "low", "effort": "low",
    "service_tier": "default", "system": "Be brief", "user": "u", "user_id": "u",
    "tool_choice": "none", "thinking": {"type": "disabled"}, "metadata": {"user_id": "u"},
    "response_format": {"type": "json_object"}, "detail": "low", "url": URL + "AA", "text": "z",
    "data": {"a": 1}, "parameters": SCHEMA | {"a": 1}, "input_schema": SCHEMA | {"a": 1},
    "schema": SCHEMA | {"a": 1}, "source": IMAGE | {"data": "BBBB"}, "input": {"a": 1},
    "format": {"type": "json_schema", "schema": SCHEMA}, "function": {"name": "g", "arguments": ""},
    "image_url": {"url": URL + "AA"}, "output_config": {"effort": "low"}, "speed": "fast",
    "tool_plan": "I look.", "id": "c9", "tool_calls": [CALL],
    "tools": [{"name": "f", "input_schema": SCHEMA}],
}  # fmt: skip
"""What a field is given that must be of a kind, so that it can be told at all; others get text."""
WHOLE: dict[Any, dict[str, Any]] = {
    CompletionCreateParamsBase: {
        "tools": openai_tool(description="Does f")["tools"],
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "stream_options": {"include_usage": True},
    },
    MessageCreateParamsBase: {"tool_choice": {"type": "any"}, "service_tier": "standard_only"},
    V2Client.chat_stream: {
        "tools": openai_tool(description="Does f")["tools"],
        "tool_choice": "NONE",
    },
    ToolV2: {"function": {"name": "g"}},
}
"""Likewise, where the field's name means another thing."""

UNTOLD = {
    "cache_control": "where a cache may begin changes no answer",
    "citations": "they are notes on a text that is told",
    (CompletionCreateParamsBase, "stream_options"): "it is about the stream, not the answer",
    (anthropic.ThinkingBlockParam, "signature"): "only Anthropic can use it",
    (anthropic.ToolParam, "eager_input_streaming"): "the input is the same, in other pieces",
    (Document, "id"): "only citations need it",
    (JSONSchema, "name"): "a label, which no other format has",
    (JSONSchema, "strict"): "elsewhere a schema is always kept to",
}
"""What is taken and not told, and why."""
SKIPPED = {"role", "type", "self", "request_options", "stream"}
"""What an object is, how the SDK sends, and whether the answer is streamed."""


def names_of(kind: Any) -> list[str]:
    """The fields of an SDK's type; a method's are its parameters."""
    if inspect.isfunction(kind):
        found = list(inspect.signature(kind).parameters)
    else:
        found = [name for each in kind.__mro__ for name in vars(each).get("__annotations__", {})]
        found = [name for name in found if not name.startswith(("model_", "_"))]
        if hasattr(kind, "model_fields"):
            found = list(kind.model_fields)
    return [name for name in dict.fromkeys(found) if name not in SKIPPED]


def cases(kinds: dict[Any, Put]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.__name__)


def told(asked: Asked, provider_format: str) -> Any:
    """What a provider gets. Raises a `Failure` where the client is refused."""
    return msgspec.json.decode(asked.body_for(provider_format, None, max_tokens=4096))


def check(kind: Any, put: Put, tell: Callable[[dict[str, Any]], Any]) -> None:
    """Each field changes what is told, is refused, or is among the `UNTOLD`."""
    plain = tell(put({}))
    for name in names_of(kind):
        value = WHOLE.get(kind, {}).get(name, VALUES.get(name, "x"))
        try:
            said = tell(put({name: value}))
        except Failure as failure:
            said = failure
        if name in UNTOLD or (kind, name) in UNTOLD:
            assert said == plain, name
        elif isinstance(said, Failure):
            assert (said.status, said.error_type) == (400, "validation_error"), name
            assert said.param is not None, name
        else:
            assert said != plain, name


def in_openais_words(fields: dict[str, Any]) -> Asked:
    body = msgspec.json.encode({"model": "m", "messages": HELLO, **fields})
    return AskedInOpenAI(read_chat(body, 64)[1], streamed=False)


@pytest.mark.parametrize("to", ["anthropic", "cohere"])
@cases(OPENAI)
def test_every_field_of_openais_is_told_or_refused(kind: Any, to: str) -> None:
    check(kind, OPENAI[kind], lambda fields: told(in_openais_words(fields), to))


@pytest.mark.parametrize("to", ["openai", "cohere"])
@cases(ANTHROPICS)
def test_every_field_of_anthropics_is_told_or_refused(kind: Any, to: str) -> None:
    asking = ANTHROPIC
    check(kind, ANTHROPICS[kind], lambda fields: told(asking.asked(asking.ask(**fields)), to))


@pytest.mark.parametrize("to", ["openai", "anthropic"])
@cases(COHERES)
def test_every_field_of_coheres_is_told_or_refused(kind: Any, to: str) -> None:
    asking = COHERE
    check(kind, COHERES[kind], lambda fields: told(asking.asked(asking.ask(**fields)), to))
