"""Whether and how an answer that broke off is gone on with elsewhere. Pure.

* What broke off before its end is gone on with on the fallbacks, one after the other. One that is
  declared to continue a message (``prefill``) is given what was told as the beginning of its own;
  any other, and one that refuses this, is asked anew, and must repeat what was told already.
* An answer that had its finish reason lacked nothing but its end: it was whole.
* Never within a tool call, nor in what has a form (structured output, several choices,
  log probabilities): a seam there would make it wrong and not only rough.
* Not when the time is up, when the service stops, or when the fault is ours. Nor after a content
  policy's refusal, which is final whoever refuses (`attempts`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Asked
from sluice.actors.formats.provider_errors import CONTENT_POLICY
from sluice.actors.settings import ModelSettings

from .delivered import Delivered
from .overlap import Overlap

_NOT_MENDED: Final = frozenset({"total_timeout", "internal_error", "stopping", CONTENT_POLICY})
"""Codes of failures that another provider would not mend, or, like a refusal, should not."""

_REFUSED_PREFILL: Final = frozenset({400, 422})
"""Statuses by which a provider says that it does not continue messages."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way to go on."""

    model: ModelSettings
    asked: Asked
    overlap: Overlap
    prefilled: bool


def can_be_mended(failure: Failure) -> bool:
    """Whether another provider may be asked after ``failure``, in a stream under way."""
    return failure.code not in _NOT_MENDED


def lacks_only_its_end(told: Delivered, asked: Asked) -> bool:
    """Whether all that was ``asked`` for is ``told``. Of several answers one may be under way."""
    return told.finish_reason is not None and asked.has_one_answer


def obstacle(told: Delivered, asked: Asked) -> str | None:
    """Why no other answer can go on after ``told``, in a word; None: one can."""
    if told.obstacle is not None:
        return told.obstacle
    return None if asked.has_no_form else "form"


def ways(told: Delivered, asked: Asked, model: ModelSettings) -> Iterator[Way]:
    """How ``model`` may go on: in one way, and in another if the first `was_refused`."""
    text = told.text
    beginning = text.rstrip()  # a message that ends with white space is refused by some
    if model.prefill and beginning:
        yield Way(
            model=model,
            asked=asked.continued(beginning),
            overlap=Overlap(text[len(beginning) :], exact=False),
            prefilled=True,
        )
    yield Way(model=model, asked=asked, overlap=Overlap(text, exact=True), prefilled=False)


def was_refused(way: Way, failure: Failure) -> bool:
    """Whether ``failure`` says that the model does not continue a message."""
    return way.prefilled and failure.stage == "provider_call" and failure.status in _REFUSED_PREFILL
