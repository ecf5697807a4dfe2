"""What a request in OpenAI's words may say, as far as other formats can: types of its fields.

They are strict: a field or a kind of part that is not here is refused by name.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

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
    reasoning: str | None = None
    reasoning_signature: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: Any = None
    function_call: Any = None

    @property
    def thought(self) -> str:
        """The reasoning, which some call so and some so."""
        return self.reasoning_content or self.reasoning or ""


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
