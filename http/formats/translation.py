"""What both translations of requests to OpenAI's words have in common.

Between formats stands OpenAI's request object. What is read strictly here was found valid in its
own format before: what a strict type does not take is what OpenAI has no word for, and is
refused by name, never left out silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.asked import BUDGETS
from sluice.http.json_body import invalid, place_of
from sluice.http.validation import AskedInOpenAI, Fields, encoded

T = TypeVar("T")

_encode: Final = msgspec.json.Encoder().encode
_EFFORTS: Final = ("low", "medium", "high")
"""The words that every model knows which can think."""


def refusal(param: str, provider_format: str, why: str = "") -> Failure:
    """A 400 `Failure`: what ``param`` asks for has no word in the provider's format."""
    said = f"{param} cannot be said to a provider that speaks the format {provider_format!r}"
    return invalid(f"{said}{f': {why}' if why else ''}.", code="untranslatable", param=param)


def strictly(fields: Fields, decoder: msgspec.json.Decoder[T], provider_format: str) -> T:
    """``fields`` as ``decoder``'s type, which takes what can be translated and nothing else.

    Raises a 400 `Failure` that names the field that cannot.
    """
    try:
        return decoder.decode(_encode(fields))
    except msgspec.ValidationError as error:
        place = place_of(str(error))
        why = "" if place.field is not None else place.what
        raise refusal(place.param or "The request", provider_format, why) from None


def effort_of(budget: int | None) -> str:
    """OpenAI's ``reasoning_effort`` for a budget of tokens to think with; None: as it sees fit."""
    if budget is None:
        return "medium"
    return next((word for word in _EFFORTS if budget <= BUDGETS[word]), _EFFORTS[-1])


def body_of(
    asked: Mapping[str, Any],
    names: Mapping[str, str],
    provider_format: str,
    upstream_model: str | None,
    max_tokens: int,
) -> bytes:
    """The body of a request in OpenAI's words for a provider that speaks ``provider_format``.

    ``names`` are the client's for fields that are called otherwise in OpenAI's. Raises a 400
    `Failure` that names what cannot be said.
    """
    fields = {name: encoded(value) for name, value in asked.items() if value is not None}
    request = AskedInOpenAI(fields, streamed=asked.get("stream") is True)
    try:
        return request.body_for(provider_format, upstream_model, max_tokens=max_tokens)
    except Failure as failure:
        raise _in_words_of(failure, names) from None


def _in_words_of(failure: Failure, names: Mapping[str, str]) -> Failure:
    param = failure.param
    name = None if param is None else names.get(param)
    if param is None or name is None:
        return failure
    return invalid(failure.message.replace(param, name, 1), code=failure.code, param=name)
