"""A stream that broke off after its client had had some of it, and is gone on with elsewhere.

Whoever can go on is asked once, in the order of the fallbacks (`attempts`); a prefill that is
refused costs nothing, and the same model is asked anew. What the client is told, if nobody can,
is how the first answer broke off, behind all of it that came. Breaking off again is no different.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
import trio

from sluice.actors.failures import Failure
from sluice.actors.formats.provider_errors import CONTENT_POLICY
from sluice.actors.metrics.reports import Rescue, RescueResult
from sluice.actors.providers.upstream_failures import DIFFERS

from .rescue import Way, can_be_mended, lacks_only_its_end, obstacle, was_refused, ways
from .splice import Splice

if TYPE_CHECKING:
    from sluice.actors.settings import ModelSettings
    from sluice.actors.streams.stream import Stream

    from .delivered import Delivered

Attempt = Callable[["Stream"], Awaitable[None]]
"""Makes one call of `Stream.model`, and relays its answer to the end."""


async def rescued(stream: Stream, failure: Failure, attempt: Attempt) -> None:
    """Have ``stream``, which broke off with ``failure``, whole. Raises that if nobody can help."""
    failure.bare()
    told = stream.told() if can_be_mended(failure) else None
    if told is None:
        raise failure
    asked, first, tried = stream.job.asked, stream.model, _Tried(broke=stream.model.provider)
    for model in stream.left():
        if tried.over or lacks_only_its_end(told, asked) or obstacle(told, asked):
            break
        if not (tried.refused or _is_late_for(stream, model)):
            await _try(stream, told, model, attempt, tried)
    if lacks_only_its_end(told, asked) and not tried.over:
        await stream.end_as_it_is()
        tried.over, tried.result = True, "completed"
    elif obstacle(told, asked):
        tried.result = "impossible"
    stream.rescues.append(Rescue(tried.broke, tried.result))
    if not tried.over:
        stream.model = first
        raise failure


class _Tried(msgspec.Struct):
    """How far a rescue has come."""

    broke: str
    """The provider whose answer broke off, and is to be gone on with."""
    result: RescueResult = "failed"
    refused: bool = False
    """By a content policy, which is final."""
    over: bool = False
    """The client has the whole answer."""


def _is_late_for(stream: Stream, model: ModelSettings) -> bool:
    """Whether the time is over that an answer with ``model`` in it may take."""
    heard = stream.heard
    return heard is not None and trio.current_time() >= heard.began_at + model.timeouts.total


async def _try(
    stream: Stream, told: Delivered, model: ModelSettings, attempt: Attempt, tried: _Tried
) -> None:
    """Have ``model`` go on, in one way or, if it refuses that, in the other."""
    for way in ways(told, stream.job.asked, model):
        splice = Splice(told, way.overlap, {"provider": model.provider, "model": model.name})
        failure = await _gone_on(stream, way, splice, attempt)
        by: RescueResult = "continued" if way.prefilled else "restarted"
        if failure is None:
            tried.over, tried.result = True, by
            return
        splice.broke_off(None if stream.flow is None else stream.flow.usage_begun())
        if splice.went_on:
            stream.rescues.append(Rescue(tried.broke, by))
            tried.broke, tried.result = model.provider, "failed"
        elif failure.code == DIFFERS:
            tried.result = "differed"
        tried.refused = failure.code == CONTENT_POLICY
        if not was_refused(way, failure) or tried.refused:
            return


async def _gone_on(stream: Stream, way: Way, splice: Splice, attempt: Attempt) -> Failure | None:
    """One more call. None: the answer is whole. Raises what ends the stream."""
    served = stream.model
    try:
        await stream.go_on(way, splice)
        await attempt(stream)
    except Failure as failure:
        if stream.interruption is not None:
            raise
        return failure.bare()
    finally:
        if not splice.went_on:  # however it ended: who said nothing new did not serve
            stream.model = served
    return None
