"""A stream's life: from a validated request to a report of how it ended.

`live` is the life of one stream, and reads like the list that it follows:

1. validate: done by the edge, before a `Job` exists; here the request is taken from the
   limit of its caller, and then a slot
2. cache lookup: comes between the slot and the call
3. coalesce: likewise
4. permit: the breaker's, likewise
5. call the provider: `_attempt`; retries and the fallback chain are a loop around it
6. relay: `_relay`; until something must be decided the pump moves the bytes
7. rescue: around `_relay`, where a `Failure` after the first byte is caught
8. end: `_tell` the client, if it has not seen the end, and `_report`, on every path

An answer ends in exactly one of these ways: its end marker; one error, before or after the
first byte, without a marker; or a cut connection, when the client itself is gone or stuck.
"""

from __future__ import annotations

import functools

import trio

from sluice.engine import ActorCrashed, ActorStopped, AskTimeout, MailboxFull, Ref

from .connections import Acquire, Refused
from .failures import ClientLeft, ClientStalled, Failure, Interrupted, UpstreamFault
from .flow import Flow
from .formats import ProviderFormat
from .limiter import refusal
from .outcome import Ending, outcome_of, report_of
from .provider import Call, ProviderClient
from .reports import Attempt, Outcome
from .stream import Stream
from .upstream_failures import (
    broken,
    internal,
    refused,
    stopped,
    too_large,
    too_slow,
    wrong_content_type,
)

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
        await _attempt(stream)
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


# -- the call ----------------------------------------------------------------------------------


async def _attempt(stream: Stream) -> None:
    """One provider's answer, from the call to the end. Its outcome is told on every path."""
    provider = stream.services.providers[stream.model.provider]
    call: Call | None = None
    outcome: Outcome | None = None
    well = False
    try:
        call = await _call(stream, provider)
        format_ = provider.format
        await (_relay if stream.job.streamed else _answer)(stream, call, format_)
        well, outcome = True, "success"
    except Failure as failure:
        interrupted = stream.interruption is not None
        outcome = _interrupted(stream) if interrupted else outcome_of(failure)
        raise
    except (ClientLeft, ClientStalled, *_ENDED_BY_OTHERS, trio.Cancelled):
        outcome = _interrupted(stream)
        raise
    finally:
        stream.call_over()
        if outcome is not None:
            stream.attempts.append(Attempt(provider.name, outcome, stream.latency))
        if call is not None:
            provider.done(call, well=well)


async def _call(stream: Stream, provider: ProviderClient) -> Call:
    """The head of the provider's answer, its status good. Until then the client has company."""
    job, model = stream.job, stream.model
    body = job.asked.body_for(provider.format.name, model.upstream_model)
    stream.called(trio.current_time())
    try:
        call = await provider.call(
            body, streamed=job.streamed, timeouts=model.timeouts, hold=stream.hold
        )
    except UpstreamFault as fault:
        raise broken(fault, streaming=False) from fault
    try:
        stream.check()
        await stream.leave_company()
        await _check_head(call, provider, streamed=job.streamed)
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
        raise refused(call.status, call.retry_after, provider.without_secrets(body))
    wanted = "text/event-stream" if streamed else "application/json"
    if call.content_type != wanted:
        raise wrong_content_type()


def _interrupted(stream: Stream) -> Outcome | None:
    """A provider is judged by what it did, not by its client's or our own end of the stream."""
    reason = stream.interruption
    if isinstance(reason, Failure) and reason.error_type == "timeout_error":
        return "timeout"
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
    body = provider_format.check_whole(b"".join(parts))
    stream.whole_at = trio.current_time()
    stream.call_over()
    await stream.respond(200, stream.job.format.whole(body), stream.model.timeouts.client_write)


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
    finally:
        if not answered:
            stream.client.abort()


def _report(stream: Stream, ending: Ending) -> None:
    stream.client.unwatch()
    stream.services.report(report_of(stream, ending, trio.current_time()))
    stream.ended.set()
    stream.forget()
