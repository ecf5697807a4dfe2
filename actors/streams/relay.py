"""A stream's life: from a validated request to a report of how it ended.

`live` is the life of one stream, and reads like the list that it follows:

1. validate: done by the edge, before a `Job` exists; here the request is taken from the
   limit of its caller, and then a slot
2. cache lookup: comes between the slot and the call
3. coalesce: likewise
4. permit: the breaker's, before each call, in `_attempt`
5. call the provider: `_attempt`; `_served` is the loop around it: retries, then the fallbacks
6. relay: `_relay`; until something must be decided the pump moves the bytes
7. rescue: `rescued`, where a `Failure` after the first byte is caught
8. end: `_tell` the client, if it has not seen the end, and `_report`, on every path

An answer ends in exactly one of these ways: its end marker; one error, before or after the
first byte, without a marker; or a cut connection, when the client itself is gone or stuck.
"""

from __future__ import annotations

import functools
from typing import NoReturn

import trio

from sluice.actors.failures import ClientLeft, ClientStalled, Failure, Interrupted, UpstreamFault
from sluice.actors.formats.format import ClientFormat, ProviderFormat
from sluice.actors.limits.limiter import refusal
from sluice.actors.metrics.reports import Attempt, Outcome
from sluice.actors.providers.attempts import GiveUp, Retry
from sluice.actors.providers.provider import Call, ProviderClient
from sluice.actors.providers.upstream_failures import (
    DIFFERS,
    broken,
    internal,
    refused,
    stopped,
    too_large,
    too_slow,
    wrong_content_type,
)
from sluice.actors.rescue.rescuing import rescued
from sluice.actors.slots.connections import Acquire, Refused
from sluice.engine import ActorCrashed, ActorStopped, AskTimeout, MailboxFull, Ref

from .flow import Flow
from .outcome import Ending, outcome_of, report_of
from .stream import Stream

LAST_WORDS = 1.0
"""Seconds that a client has to take the error of a stream that is being ended."""

ERROR_PATIENCE = 2.0
"""Seconds for the body of a provider's error; its status says enough without."""

WHOLE_BODY = 64 * 1024 * 1024
"""Bytes of a whole answer that are kept."""

_ENDINGS = (Failure, ClientLeft, ClientStalled)
_ENDED_BY_OTHERS = (Interrupted, trio.ClosedResourceError)
"""How a task finds that its stream was interrupted."""


async def live(stream: Stream) -> None:
    """The whole life of ``stream``. Raises nothing but `trio.Cancelled`; reports how it ended."""
    ending: Ending = None
    stream.client.watch(functools.partial(stream.interrupt, ClientLeft()))
    try:
        await _limited(stream)
        await _admitted(stream)
    except _ENDINGS as reason:
        ending = stream.interruption or reason
    except trio.Cancelled:
        ending = stopped()
        raise
    except Exception as fault:  # noqa: BLE001 -- a mistake of ours ends one stream, not the worker
        ending = stream.interruption if isinstance(fault, _ENDED_BY_OTHERS) else None
        if ending is None:
            stream.services.on_fault(fault)
            ending = internal("streaming" if stream.head_sent else "provider_call")
    finally:
        stream.is_over = True
        if ending is not None:
            with trio.move_on_after(LAST_WORDS, shield=True):
                await _tell(stream, ending)
        _report(stream, ending)


# -- the limit ---------------------------------------------------------------------------------


async def _limited(stream: Stream) -> None:
    """Take the request from what its caller may ask. Raises `Limited` if that is used up."""
    verdict = await stream.services.limiter.take(stream.job.caller, stream.patience)
    stream.limited_at = trio.current_time()
    stream.verdict = verdict
    if verdict is not None and not verdict.accepted:
        raise refusal(stream.job.caller, verdict)
    stream.check()


# -- the slot ----------------------------------------------------------------------------------


async def _admitted(stream: Stream) -> None:
    """Hold one of the replica's slots (``decision 13``) for the rest. Given back on every path."""
    await _acquire(stream, stream.services.connections)
    try:
        stream.holds_slot = True
        stream.admitted_at = trio.current_time()
        stream.check()
        await _served(stream)
    finally:
        stream.holds_slot = False
        stream.services.returns.put(stream.id)


async def _acquire(stream: Stream, connections: Ref) -> None:
    """Return with a slot. Where it may have been granted unheard, it is given back."""
    acquire = Acquire(stream.id, stream.job.validated)
    try:
        try:
            reply = await connections.ask(acquire)
        except ActorCrashed:
            # The next incarnation has nothing of this one's fault, and Acquire is idempotent.
            reply = await connections.ask(acquire)
    except (ActorStopped, MailboxFull):  # nobody has seen the request
        raise _overloaded() from None
    except (ActorCrashed, AskTimeout):
        stream.services.returns.put(stream.id)
        raise _overloaded() from None
    except trio.Cancelled:
        stream.services.returns.put(stream.id)
        raise
    if isinstance(reply, Refused):
        if reply.overloaded:
            raise _overloaded()
        raise _no_capacity(429, "no_capacity", "All connections are in use.", reply.retry_after)


def _overloaded() -> Failure:
    return _no_capacity(503, "overloaded", "The service is overloaded.", 1.0)


def _no_capacity(status: int, code: str, message: str, retry_after: float) -> Failure:
    return Failure(
        "connection_pool_exhausted",
        "admission",
        message,
        status=status,
        code=code,
        retry_after=retry_after,
    )


# -- whom to ask -------------------------------------------------------------------------------


async def _served(stream: Stream) -> None:
    """An answer of whoever gives one: of the model asked for, asked again, or of its fallbacks.

    Raises the `Failure` that the client is told, when nobody is left to ask (`attempts`), or,
    after the first byte, to go on (`rescuing`).
    """
    while True:
        try:
            await _attempt(stream)
        except Failure as failure:
            if stream.interruption is not None:
                raise
            if stream.answer_began:
                await rescued(stream, failure, _attempt)
                return
            step = stream.after(failure)
            if isinstance(step, GiveUp):
                _give_up(failure, step)
        else:
            return
        if isinstance(step, Retry):
            await stream.turn_to(stream.model)
            await stream.pause(step.after)
        else:
            await stream.turn_to(step.model)
            stream.check()


def _give_up(failure: Failure, step: GiveUp) -> NoReturn:
    if step.failure is failure:
        raise failure
    raise step.failure from None


# -- the call ----------------------------------------------------------------------------------


async def _attempt(stream: Stream) -> None:
    """One provider's answer, from the call to the end. Its outcome is told on every path.

    What fails before the call is no attempt.
    """
    provider = stream.services.providers[stream.model.provider]
    body = _body_for(stream, provider)
    permit = stream.permit = await stream.services.permits.take(stream.model)
    call: Call | None = None
    outcome: Outcome | None = None
    told: Failure | None = None
    well = False
    try:
        call = await _call(stream, provider, body)
        format_ = provider.format
        await (_relay if stream.job.streamed else _answer)(stream, call, format_)
        well, outcome = True, "success"
    except Failure as failure:
        told = None if stream.interruption is not None else failure
        outcome = _judged(stream, told)
        permit.failed(None if _not_its_fault(stream, told) else told)
        raise
    except _ENDED_BY_OTHERS:
        told = None if stream.interruption is not None else stream.overdue
        outcome = _judged(stream, told)
        permit.failed(None if _not_its_fault(stream, told) else told)
        if told is None:
            raise
        raise told from None
    except (ClientLeft, ClientStalled, trio.Cancelled):
        outcome = _interrupted(stream)
        permit.failed(stream.interruption)
        raise
    finally:
        permit.over(well=well)
        stream.call_over()
        if outcome is not None:
            stream.attempts.append(_told(stream, outcome, told))
        if call is not None:
            provider.done(call, well=well)


def _body_for(stream: Stream, provider: ProviderClient) -> bytes:
    """The request in the provider's format. What cannot be said there is no attempt of its."""
    model = stream.model
    return stream.asked.body_for(
        provider.format.name, model.upstream_model, max_tokens=model.max_tokens
    )


def _told(stream: Stream, outcome: Outcome, failure: Failure | None) -> Attempt:
    """What is told of a call that is over."""
    model, latency = stream.model, stream.latency
    status, code = 200 if failure is None or latency is not None else None, ""
    if failure is not None:
        status, code = failure.provider_status or status, failure.code
    seconds = trio.current_time() - (stream.called_at or 0.0)
    dropped = 0 if stream.flow is None else stream.flow.dropped
    return Attempt(model.provider, outcome, latency, model.name, status, code, seconds, dropped)


async def _call(stream: Stream, provider: ProviderClient, body: bytes) -> Call:
    """The head of the provider's answer, its status good. Until then the client has company."""
    streamed, timeouts = stream.job.streamed, stream.model.timeouts
    stream.called(trio.current_time())
    try:
        call = await provider.call(body, streamed=streamed, timeouts=timeouts, hold=stream.hold)
    except UpstreamFault as fault:
        raise broken(fault, streaming=False) from fault
    try:
        stream.check()
        await _check_head(call, provider, streamed=streamed)
        await stream.leave_company()
        stream.check()
    except BaseException:
        provider.done(call)
        raise
    return call


async def _check_head(call: Call, provider: ProviderClient, *, streamed: bool) -> None:
    if call.status != 200:
        body = b""
        with trio.move_on_after(ERROR_PATIENCE):
            body = await call.read_error_body()
        body = provider.without_secrets(body)
        raise refused(call.status, call.retry_after, body, provider.format.name)
    wanted = "text/event-stream" if streamed else "application/json"
    if call.content_type != wanted:
        raise wrong_content_type()


def _judged(stream: Stream, failure: Failure | None) -> Outcome | None:
    """What a call came to that ended with ``failure``; None: it was interrupted."""
    return _interrupted(stream) if _not_its_fault(stream, failure) else outcome_of(failure)


def _not_its_fault(stream: Stream, failure: Failure | None) -> bool:
    """Whether it is nothing that the provider did wrong.

    Who goes on with an answer has what others have left of the total time, and no more.
    """
    if failure is None or failure.code == DIFFERS:
        return True
    return failure.code == "total_timeout" and stream.before is not None


def _interrupted(stream: Stream) -> Outcome | None:
    """A provider is judged by what it did, not by its client's or our own end of the stream."""
    return "success" if stream.first_content_at is not None else None


# -- the relay ---------------------------------------------------------------------------------


async def _relay(stream: Stream, call: Call, provider_format: ProviderFormat) -> None:
    """Events, from the first to the end marker. The head goes out with the first of them."""
    flow = stream.flow_from(call.connection, provider_format)
    while not flow.ended:
        await flow.next()
        if not flow.ended:
            stream.check()
        if flow.client_left:
            raise ClientLeft
        if flow.failure is not None:
            raise _placed(flow.failure, flow)
        if flow.pending and not flow.ended:
            await flow.flush()
    await flow.finish()


def _placed(failure: Failure, flow: Flow) -> Failure:
    """Until the client has had an event, it is the call that failed, however well it began."""
    if flow.first_chunk_at is None:
        failure.stage = "provider_call"
    return failure


async def _answer(stream: Stream, call: Call, provider_format: ProviderFormat) -> None:
    """A whole answer: read, checked, handed on in one piece."""
    parts: list[bytes] = []
    room = WHOLE_BODY
    try:
        while not call.connection.complete:
            with trio.move_on_after(stream.model.timeouts.idle) as waiting:
                parts.append(await call.connection.receive())
            if waiting.cancelled_caught:
                raise too_slow("idle", streaming=False)
            room -= len(parts[-1])
            if room < 0:
                raise too_large()
    except UpstreamFault as fault:
        raise broken(fault, streaming=False) from fault
    body = _whole(b"".join(parts), provider_format, stream.job.format)
    stream.whole_at = trio.current_time()
    stream.content_began()
    stream.call_over()
    await stream.respond(200, body, stream.model.timeouts.client_write)


def _whole(body: bytes, provider_format: ProviderFormat, client_format: ClientFormat) -> bytes:
    if provider_format.name == client_format.name:
        return provider_format.check_whole(body)
    return client_format.whole(provider_format.as_completion(body))


# -- the end -----------------------------------------------------------------------------------


async def _tell(stream: Stream, ending: Ending) -> None:
    """Tell the client of a failure: a status and a body before the first byte, a frame after it.

    One that cannot be told, for it is gone or stuck or too slow, sees its connection cut.
    """
    answered = False
    try:
        await stream.leave_company()
        if isinstance(ending, Failure):
            await stream.fail(ending, LAST_WORDS)
            answered = True
    except (ClientLeft, ClientStalled):
        pass  # it is told by the cut
    except Exception as fault:  # noqa: BLE001 -- a mistake of ours must not cost the report
        stream.services.on_fault(fault)
    finally:
        if not answered:
            stream.client.abort()


def _report(stream: Stream, ending: Ending) -> None:
    stream.client.unwatch()
    stream.services.report(report_of(stream, ending, trio.current_time()))
    stream.ended.set()
    stream.forget()
