"""A request in OpenAI's words, read to be said in another format. Pure.

Nothing is dropped silently: a field that is not known here, or that a format has no words for, is
refused with its name, unless its value says what is so anyway (``n: 1``). Whether a value makes
sense is the provider's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sluice.actors.failures import Failure

_NEUTRAL: Final[dict[str, tuple[object, ...]]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "store": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto",),
    "parallel_tool_calls": (True,),
    "tool_choice": ("auto",),
    "tools": ([],),
}
"""Values that ask for nothing that would not be so without them."""

BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768}
"""Tokens that each ``reasoning_effort`` may think, for formats that count them."""


Json = dict[str, msgspec.Raw]
"""An object that is only passed on, digit by digit."""


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """What a tool is."""

    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    """A tool the model may call: a function."""

    type: Literal["function"]
    function: Function


class CalledFunction(msgspec.Struct, forbid_unknown_fields=True):
    """Which function was called, and with what: JSON in a string."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call that the model made earlier."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"
    index: int | None = None


class ImageUrl(msgspec.Struct, forbid_unknown_fields=True):
    """Where an image is, or (in a data URL) the image."""

    url: str
    detail: str | None = None


class Text(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """A part of a message's content: text."""

    text: str


class Image(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="image_url"):
    """An image."""

    image_url: ImageUrl


Part = Text | Image


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """A message of the conversation. What has no words elsewhere must be empty."""

    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning_signature: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: Any = None
    function_call: Any = None


class JsonSchema(msgspec.Struct, forbid_unknown_fields=True):
    """What an answer has to look like.

    Its name is a label that no other format has; in those a schema is always kept to strictly.
    """

    schema: Json | None = None
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, forbid_unknown_fields=True):
    """How the answer is to be written."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """A function's name."""

    name: str


class ToolChoice(msgspec.Struct, forbid_unknown_fields=True):
    """The function that is to be called."""

    type: Literal["function"]
    function: Named


NO_PARAMETERS: Final = {"type": "object", "properties": {}}
"""What a function takes that says nothing of it, for formats that require the schema."""
_TYPES: Final[dict[str, Any]] = {
    "model": str,
    "messages": list[Message],
    "tools": list[Tool],
    "tool_choice": str | ToolChoice,
    "response_format": ResponseFormat,
    "stop": str | list[str],
    "reasoning_effort": str,
    "service_tier": str,
}


class Question:
    """The fields of a request, each to be `take`-n once; `close` refuses what is left.

    Args:
        fields: OpenAI's request object, field by field, in JSON; a null is as good as nothing.
        provider_format: in which it will be said; for messages.
    """

    def __init__(self, fields: Mapping[str, msgspec.Raw], provider_format: str) -> None:
        self._format = provider_format
        self._fields = fields
        self._rest = {name: _decoded(name, raw, self) for name, raw in fields.items()}
        self._rest = {name: value for name, value in self._rest.items() if value is not None}
        for name in ("stream", "stream_options"):
            self._rest.pop(name, None)

    def take(self, name: str) -> Any:
        """The field's value; None: it is not there."""
        return self._rest.pop(name, None)

    def take_as_it_is(self, name: str) -> msgspec.Raw | None:
        """The field's JSON, digit by digit; None: it is not there."""
        return None if self.take(name) is None else self._fields[name]

    def close(self) -> None:
        """Raise a 400 `Failure` for the first field that nobody took, if it asks for something."""
        for name, value in self._rest.items():
            if not any(value == neutral for neutral in _NEUTRAL.get(name, ())):
                raise self.refused(name)

    def refused(self, param: str, why: str | None = None) -> Failure:
        """What ``param`` asks for cannot be said."""
        said = f"{param} cannot be said to a provider that speaks the format {self._format!r}"
        return Failure(
            "validation_error",
            "validation",
            f"{said}{f': {why}' if why else ''}.",
            status=400,
            code="untranslatable",
            param=param,
        )

    def model(self, upstream: str | None) -> str:
        """The model, as the provider calls it if that is known, else as the client does."""
        asked: str = self.take("model")
        return asked if upstream is None else upstream

    def functions(self) -> list[Function]:
        """The tools, all of which are functions."""
        return [tool.function for tool in self.take("tools") or ()]

    def budget(self) -> int | None:
        """How many tokens the model may think before it answers; 0: it may not."""
        effort = self.take("reasoning_effort")
        if effort is None or effort == "none":
            return None if effort is None else 0
        if effort not in BUDGETS:
            raise self.refused("reasoning_effort")
        return BUDGETS[effort]

    def form(self) -> Form | None:
        """How the answer is to be written; None: as text."""
        wanted: ResponseFormat | None = self.take("response_format")
        if wanted is None or wanted.type == "text":
            return None
        asked = wanted.json_schema
        schema = asked.schema if asked is not None else None
        if schema is None and wanted.type == "json_schema":
            raise self.refused("response_format", "it needs a schema")
        if asked is not None and schema is not None and asked.description is not None:
            schema = self._described(schema, asked.description)
        return Form(schema)

    def _described(self, schema: Json, description: str) -> Json:
        """Elsewhere a schema's description is a part of it."""
        told = msgspec.Raw(msgspec.json.encode(description))
        if schema.get("description", told) != told:
            raise self.refused("response_format.json_schema.description", "the schema has another")
        return {**schema, "description": told}

    def max_tokens(self) -> int | None:
        """How long the answer may be; OpenAI has two names for it."""
        older: int | None = self.take("max_tokens")
        newer: int | None = self.take("max_completion_tokens")
        return older if newer is None else newer

    def stop(self) -> list[str] | None:
        """The sequences that end the answer."""
        stop = self.take("stop")
        return [stop] if isinstance(stop, str) else stop

    def messages(self) -> list[Message]:
        """The conversation, of which each message holds what its role may say elsewhere too.

        All but the assistant's have content, and a tool's the id of its call.
        """
        messages: list[Message] = self.take("messages")
        for at, message in enumerate(messages):
            self._check(message, f"messages[{at}]")
        return messages

    def _check(self, message: Message, where: str) -> None:
        says = _SAYS.get(message.role, _EVERYBODY)
        for name in Message.__struct_fields__:
            if name not in says and getattr(message, name):
                raise self.refused(f"{where}.{name}")
        if message.role not in _SAYS:
            raise self.refused(f"{where}.role")
        if message.content is None and message.role != "assistant":
            raise self.refused(f"{where}.content", "it is required")
        if message.tool_call_id is None and message.role == "tool":
            raise self.refused(f"{where}.tool_call_id", "it is required")


class Form(NamedTuple):
    """JSON."""

    schema: Json | None
    """What it has to look like; None: as it likes."""


_EVERYBODY: Final = frozenset({"role", "content"})
_SAYS: Final = {
    "system": _EVERYBODY,
    "developer": _EVERYBODY,
    "user": _EVERYBODY,
    "assistant": _EVERYBODY | {"tool_calls", "reasoning_content", "reasoning_signature"},
    "tool": _EVERYBODY | {"tool_call_id", "name"},
}
"""The fields that messages of each role may have. A tool's name is told by its call."""


def _decoded(name: str, raw: msgspec.Raw, question: Question) -> Any:
    try:
        kind = _TYPES.get(name)
        if kind is None:
            return msgspec.json.decode(raw)
        return msgspec.json.decode(raw, type=kind | None)
    except (msgspec.MsgspecError, RecursionError) as error:
        detail, _, where = str(error).partition(" - at `$")
        raise question.refused(name + where.rstrip("`"), detail) from None
