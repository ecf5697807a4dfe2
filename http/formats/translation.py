"""Requests of the formats that are not OpenAI's, and what their translations have in common.

Between formats stands OpenAI's request object. What is read strictly here was found valid in its
own format before: what a strict type does not take is what OpenAI has no word for, and is
refused by name, never left out silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.asked import BUDGETS
from sluice.actors.settings import MAX_TOKENS
from sluice.http.going_on import is_free_text, with_answer
from sluice.http.json_body import invalid, place_of
from sluice.http.validation import AskedInOpenAI, Fields, encoded

T = TypeVar("T")

_encode: Final = msgspec.json.Encoder().encode
_EFFORTS: Final = ("low", "medium", "high")
"""The words that every model knows which can think."""


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Takes no field that it does not know."""


def refusal(param: str, provider_format: str, why: str = "") -> Failure:
    """A 400 `Failure`: what ``param`` asks for has no word in the provider's format."""
    said = f"{param} cannot be said to a provider that speaks the format {provider_format!r}"
    return invalid(f"{said}{f': {why}' if why else ''}.", code="untranslatable", param=param)


def strictly(fields: Fields, decoder: msgspec.json.Decoder[T], provider_format: str) -> T:
    """``fields`` as ``decoder``'s type, which takes what can be translated and nothing else.

    A null is as good as nothing. Raises a 400 `Failure` that names the field that cannot.
    """
    said = {name: value for name, value in fields.items() if bytes(value) != b"null"}
    try:
        return decoder.decode(_encode(said))
    except msgspec.ValidationError as error:
        place = place_of(str(error))
        why = "" if place.field is not None else place.what
        raise refusal(place.param or "The request", provider_format, why) from None


def effort_of(budget: int | None) -> str:
    """OpenAI's ``reasoning_effort`` for a budget of tokens to think with; None: as it sees fit."""
    if budget is None:
        return "medium"
    return next((word for word in _EFFORTS if budget <= BUDGETS[word]), _EFFORTS[-1])


class RequestFormat(NamedTuple):
    """A format of requests other than OpenAI's, as far as telling one to others needs to know."""

    name: str
    to_openai: Callable[[Fields, str], dict[str, Any]]
    """A request's fields as OpenAI's request object, for a provider that speaks the format named.

    Raises a 400 `Failure` that names what has no word there.
    """
    names: Mapping[str, str]
    """What fields are called here that OpenAI calls otherwise, and that others may refuse."""


class AskedInFormat(msgspec.Struct, frozen=True):
    """A request in the words of ``format``: see `sluice.actors.formats.format.Asked`."""

    fields: Fields
    format: RequestFormat

    def body_for(
        self, provider_format: str, upstream_model: str | None, *, max_tokens: int = MAX_TOKENS
    ) -> bytes:
        """What the client said, the model apart; translated for a provider of another format."""
        if provider_format == self.format.name:
            fields = self.fields
            if upstream_model is not None:
                fields = {**fields, "model": encoded(upstream_model)}
            return _encode(fields)
        asked = self.format.to_openai(self.fields, provider_format)
        return _body_of(asked, self.format.names, provider_format, upstream_model, max_tokens)

    @property
    def has_one_answer(self) -> bool:
        """Always: only OpenAI's requests can ask for several."""
        return True

    @property
    def has_no_form(self) -> bool:
        """Text, without a format."""
        return is_free_text(self.fields)

    def continued(self, text: str) -> AskedInFormat:
        """``text`` as a last message of the assistant's, or at the end of the one that is there."""
        return AskedInFormat(with_answer(self.fields, text), self.format)


def _body_of(
    asked: Mapping[str, Any],
    names: Mapping[str, str],
    provider_format: str,
    upstream_model: str | None,
    max_tokens: int,
) -> bytes:
    """A request in OpenAI's words, told in those of ``provider_format``. Raises a 400 `Failure`."""
    fields = {name: encoded(value) for name, value in asked.items() if value is not None}
    request = AskedInOpenAI(fields, streamed=asked.get("stream") is True)
    try:
        return request.body_for(provider_format, upstream_model, max_tokens=max_tokens)
    except Failure as failure:
        raise _in_words_of(failure, names) from None


def _in_words_of(failure: Failure, names: Mapping[str, str]) -> Failure:
    """Of a place within a message, the last name alone may be another."""
    param = failure.param or ""
    where, dot, last = param.rpartition(".")
    name = names.get(param) or (where + dot + names[last] if last in names else None)
    if name is None:
        return failure
    return invalid(failure.message.replace(param, name, 1), code=failure.code, param=name)
