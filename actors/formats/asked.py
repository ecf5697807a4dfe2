"""A request in OpenAI's words, read to be said in another format. Pure.

Nothing is dropped silently: a field that is not known here, or that a format has no words for, is
refused with its name, unless its value says what is so anyway (``n: 1``). Whether a value makes
sense is the provider's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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

    type: str
    function: Function | None = None


class CalledFunction(msgspec.Struct, forbid_unknown_fields=True):
    """Which function was called, and with what: JSON in a string."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call that the model made earlier."""

    id: str
    type: str = "function"
    function: CalledFunction | None = None
    index: int | None = None


class ImageUrl(msgspec.Struct, forbid_unknown_fields=True):
    """Where an image is, or (in a data URL) the image."""

    url: str
    detail: str | None = None


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a message's content."""

    type: str
    text: str | None = None
    image_url: ImageUrl | None = None
    refusal: str | None = None


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


class JsonSchema(msgspec.Struct):
    """What an answer has to look like; its name is a label that no other format has."""

    schema: Json | None = None


class ResponseFormat(msgspec.Struct):
    """How the answer is to be written."""

    type: str
    json_schema: JsonSchema | None = None


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """A function's name."""

    name: str


class ToolChoice(msgspec.Struct, forbid_unknown_fields=True):
    """The function that is to be called."""

    type: str
    function: Named | None = None


NO_PARAMETERS: Final = {"type": "object", "properties": {}}
"""What a function takes that says nothing of it, for formats that require the schema."""
_TYPES: Final[dict[str, Any]] = {
    "model": str,
    "messages": list[Message],
    "tools": list[Tool],
    "tool_choice": str | ToolChoice,
    "response_format": ResponseFormat,
    "stop": str | list[str],
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

    def functions(self) -> list[Function]:
        """The tools, all of which must be functions."""
        found: list[Function] = []
        for at, tool in enumerate(self.take("tools") or ()):
            if tool.function is None:
                raise self.refused(f"tools[{at}].type")
            found.append(tool.function)
        return found

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
        """The conversation, of which no message holds what no other format has."""
        messages: list[Message] = self.take("messages")
        for at, message in enumerate(messages):
            for name in ("annotations", "audio", "function_call", "refusal"):
                if getattr(message, name):
                    raise self.refused(f"messages[{at}].{name}")
            if message.name is not None and message.role != "tool":
                raise self.refused(f"messages[{at}].name")
            if message.role not in _ROLES:
                raise self.refused(f"messages[{at}].role")
        return messages


_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})


def _decoded(name: str, raw: msgspec.Raw, question: Question) -> Any:
    try:
        kind = _TYPES.get(name)
        if kind is None:
            return msgspec.json.decode(raw)
        return msgspec.json.decode(raw, type=kind | None)
    except (msgspec.MsgspecError, RecursionError) as error:
        detail, _, where = str(error).partition(" - at `$")
        raise question.refused(name + where.rstrip("`"), detail) from None


def url_of(part: Part) -> ImageUrl | None:
    """The image of a part, if it is one and no more."""
    return part.image_url if part.type == "image_url" and part.text is None else None


def text_of(part: Part) -> str | None:
    """The text of a part, if it is one."""
    return part.text if part.type == "text" else None
