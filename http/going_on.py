"""What a request must be like for another model to go on with its answer, and how it is asked to.

OpenAI's, Anthropic's and Cohere's requests are alike here: a list of messages, of which the last
is the beginning of the answer if it is the assistant's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

Raw = msgspec.Raw


class _Last(msgspec.Struct):
    """The last message, as far as it decides how an answer goes on with it."""

    role: str
    content: str | list[Raw] | None = None
    tool_calls: list[Raw] | None = None


_messages: Final = msgspec.json.Decoder(list[Raw])
_last: Final = msgspec.json.Decoder(_Last)
_fields: Final = msgspec.json.Decoder(dict[str, Raw])
_encode: Final = msgspec.json.Encoder().encode


class _Format(msgspec.Struct):
    type: str | None = None


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None


class _Form(msgspec.Struct):
    """What makes an answer more than text, in whatever format it is asked for."""

    n: int | None = None
    logprobs: bool | None = None
    response_format: _Format | None = None
    output_format: _Format | None = None
    output_config: _OutputConfig | None = None
    modalities: list[str] | None = None

    @property
    def formats(self) -> list[str | None]:
        """All formats that are asked for."""
        config = self.output_config
        inner = None if config is None else config.format
        named = (self.response_format, self.output_format, inner)
        return [each.type for each in named if each is not None]


_form: Final = msgspec.json.Decoder(_Form)


def is_free_text(fields: dict[str, Raw]) -> bool:
    """Whether the answer is text of one choice, without a format, without log probabilities."""
    named = {name: fields[name] for name in _Form.__struct_fields__ if name in fields}
    try:
        form = _form.decode(_encode(named))
    except msgspec.ValidationError:  # something that we do not know: then it has a form
        return False
    return (
        form.n in {None, 1}
        and not form.logprobs
        and set(form.formats) <= {None, "text"}
        and set(form.modalities or ()) <= {"text"}
    )


def is_one_answer(fields: dict[str, Raw]) -> bool:
    """Whether not several answers are asked for."""
    return "n" not in fields or bytes(fields["n"]).strip() in {b"1", b"null"}


def with_answer(fields: dict[str, Raw], text: str) -> dict[str, Raw]:
    """``fields`` with ``text`` as the assistant's: a new last message, or more of the last one.

    All else stays as it was said, digit by digit.
    """
    *others, last = _messages.decode(fields["messages"])
    return {**fields, "messages": Raw(_encode([*others, *_with_answer(last, text)]))}


def _with_answer(last: Raw, text: str) -> list[Any]:
    said = _last.decode(last)
    content = said.content
    if said.role != "assistant" or said.tool_calls:
        return [last, {"role": "assistant", "content": text}]
    if isinstance(content, list):
        more: str | list[Any] = [*content, {"type": "text", "text": text}]
    else:
        more = (content or "") + text
    return [{**_fields.decode(last), "content": more}]
