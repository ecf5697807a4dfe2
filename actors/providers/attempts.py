"""What comes after a call that failed before its client had any of an answer. Pure.

`next_step` is the one place that decides. Its rules, in this order:

* What is final, or the client's own mistake, is told at once: nobody is asked again. A content
  policy's refusal is final whoever refuses; a fallback that cannot take the request as it is
  (unlike the first model) is no more than passed by.
* No call begins more than ``budget`` seconds after the first, nor after `MOST_CALLS` of them.
* What may get better is asked again, ``attempts`` times a model, after exponential backoff with
  full jitter and no earlier than ``Retry-After`` says; but if that is longer than the backoff,
  the fallback is sooner (unless none would be called: the breakers of all are open), and if it is
  longer than ``max_wait``, there is no use in waiting.
* What will not get better (silence, a breaker that is open, our credentials, a model that is
  not there) is not asked again: the fallback is. One that shares what failed is passed by.
* A prompt that is too long goes to models that are declared larger, and to no others.
* If nobody is left, the client is told what the model it asked for had to say (``decision 17``),
  unless that was the length of its prompt, and a larger model failed for another reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.settings import ModelSettings, RetrySettings, Routing

MOST_CALLS: Final = 20
"""Calls of providers for one request, whatever is configured."""

Reason = Literal[
    "rate_limited",
    "unavailable",
    "status",
    "connection",
    "silent",
    "broken_answer",
    "credentials",
    "not_found",
    "context_length",
    "breaker_open",
    "untaken",
    "final",
]
"""Why a call failed, as the metrics say it. ``untaken``: the request, as it is, was not taken."""

Hope = Literal["retry", "fallback", "larger", "client", "none"]
"""What may help. ``larger``: a larger model; ``client``: only the client can mend it."""

REASONS: Final = tuple(reason for reason in get_args(Reason) if reason != "final")
"""Those after which somebody may be asked again."""

_JUDGED: Final[dict[str, tuple[Reason, Hope]]] = {
    "provider_rate_limited": ("rate_limited", "retry"),
    "provider_unavailable": ("unavailable", "retry"),
    "provider_overloaded": ("unavailable", "retry"),
    "provider_refused": ("connection", "retry"),
    "provider_unreachable": ("connection", "retry"),
    "provider_reset": ("connection", "retry"),
    "provider_cut": ("connection", "retry"),
    "provider_tls": ("connection", "fallback"),
    "connect_timeout": ("silent", "fallback"),
    "first_chunk_timeout": ("silent", "fallback"),
    "idle_timeout": ("silent", "fallback"),
    "total_timeout": ("silent", "fallback"),
    "provider_no_end": ("broken_answer", "retry"),
    "provider_error_in_stream": ("broken_answer", "retry"),
    "malformed_chunk": ("broken_answer", "retry"),
    "malformed_answer": ("broken_answer", "retry"),
    "provider_content_type": ("broken_answer", "fallback"),
    "provider_protocol": ("broken_answer", "fallback"),
    "provider_too_large": ("broken_answer", "fallback"),
    "provider_frame_too_large": ("broken_answer", "fallback"),
    "provider_credentials": ("credentials", "fallback"),
    "context_length_exceeded": ("context_length", "larger"),
    "content_policy": ("final", "none"),
    "breaker_open": ("breaker_open", "fallback"),
    "provider_refused_request": ("untaken", "client"),
}
"""By a failure's code. A status and a refused request depend on the provider's status, too."""

_OF_ALL_ITS_MODELS: Final = frozenset({
    "provider_credentials", "provider_tls", "connect_timeout", "provider_refused",
    "provider_unreachable",
})  # fmt: skip
"""Failures of a provider as a whole: its other models are no fallback."""

_TRY_AGAIN_STATUSES: Final = frozenset({408, 425, *range(500, 600)}) - {501, 505}


class Retry(msgspec.Struct, frozen=True):
    """Ask the same model again, ``after`` seconds from now."""

    after: float
    reason: Reason


class Fallback(msgspec.Struct, frozen=True):
    """Ask ``model``, now."""

    model: ModelSettings
    reason: Reason


class GiveUp(msgspec.Struct, frozen=True):
    """Tell the client ``failure``, which is ``model``'s."""

    failure: Failure
    model: ModelSettings


Step = Retry | Fallback | GiveUp


class History(msgspec.Struct):
    """How far the asking for one request has come. `next_step` alone changes it."""

    chain: Sequence[ModelSettings]
    """Whom to ask, in this order; the first is the model that the client named."""
    began: float
    """When the first was called."""
    blocked: Callable[[ModelSettings], bool] = lambda _: False
    """Whether a call of a model would be refused now, because its breaker is open."""
    at: int = 0
    """Who of the chain is asked now."""
    tries: int = 1
    """Calls of that model."""
    calls: int = 1
    """Calls of all."""
    too_small: int | None = None
    """Tokens of context that were not enough; 0: of a model that declares none."""
    passed_by: frozenset[str] = frozenset()
    """Providers of whom no other model is asked."""
    told: GiveUp | None = None
    """What the client is told if nobody answers."""

    @property
    def model(self) -> ModelSettings:
        """Whom it is asked of now."""
        return self.chain[self.at]


def chain_of(first: ModelSettings, routing: Routing) -> tuple[ModelSettings, ...]:
    """``first``, then its fallbacks, then theirs, each once: a circle ends where it closes.

    Each but the first says what its provider calls it. No more than `MOST_CALLS`.
    """
    chain = {_whose(first, first.name): first}
    queue = [first]
    while queue and len(chain) < MOST_CALLS:
        for name in queue.pop(0).fallback:
            found = routing.find(name)
            if found is not None and (who := _whose(found, name)) not in chain:
                chain[who] = msgspec.structs.replace(found, upstream_model=who[1])
                queue.append(chain[who])
    return tuple(chain.values())[:MOST_CALLS]


def _whose(model: ModelSettings, name: str) -> tuple[str, str]:
    """What makes two entries the same model: the provider, and what it calls it."""
    return model.provider, model.upstream_model or name


def judge(failure: Failure) -> tuple[Reason, Hope]:
    """Why it failed, and what may help."""
    if failure.code == "provider_status":
        again = failure.provider_status in _TRY_AGAIN_STATUSES
        return "status", "retry" if again else "fallback"
    if failure.code == "provider_refused_request" and failure.provider_status == 404:
        return "not_found", "fallback"
    if failure.error_type == "validation_error":
        return "untaken", "client"
    return _JUDGED.get(failure.code, ("final", "none"))


def next_step(
    history: History, failure: Failure, settings: RetrySettings, *, now: float, chance: float
) -> Step:
    """What to do now that the model `History.model` has failed so; see the module's rules.

    Args:
        history: of the request; it is brought up to date.
        failure: what the call ended with.
        settings: ``[retries]``.
        now: in seconds, on the clock of `History.began`.
        chance: at random from 0 to 1, for the jitter.
    """
    reason, hope = judge(failure)
    told = _learn(history, failure, hope)
    if hope == "none":
        return GiveUp(failure, history.model)
    if (hope == "client" and not history.at) or history.calls >= MOST_CALLS:
        return told
    left = history.began + settings.budget - now
    other = _next_of(history) if left > 0 else None
    after = _wait(history, failure, settings, chance) if hope == "retry" else None
    if after is not None and after <= left:
        history.tries += 1
        history.calls += 1
        return Retry(after, reason)
    if other is None:
        return told
    history.at, history.tries = other, 1
    history.calls += 1
    return Fallback(history.model, reason)


def _learn(history: History, failure: Failure, hope: Hope) -> GiveUp:
    """What the failure means for those to come; returns what is to be told if none does."""
    model, before = history.model, history.told
    if hope == "larger":
        history.too_small = max(history.too_small or 0, model.context or 0)
    if failure.code in _OF_ALL_ITS_MODELS:
        history.passed_by |= {model.provider}
    more_to_the_point = (
        before is not None
        and before.failure.code == "context_length_exceeded"
        and hope in {"retry", "fallback"}
    )
    if before is None or not history.at or more_to_the_point:
        before = history.told = GiveUp(failure.with_traceback(None), model)
    return before


def left(history: History) -> list[ModelSettings]:
    """Who comes after `History.model`, and may serve."""
    later = range(history.at + 1, len(history.chain))
    return [history.chain[at] for at in later if _may_serve(history, history.chain[at])]


def _next_of(history: History) -> int | None:
    """Where in the chain the next one is that may serve."""
    for at in range(history.at + 1, len(history.chain)):
        if _may_serve(history, history.chain[at]):
            return at
    return None


def _may_serve(history: History, model: ModelSettings) -> bool:
    fits = history.too_small is None or (model.context or 0) > history.too_small
    return fits and model.provider not in history.passed_by


def _wait(
    history: History, failure: Failure, settings: RetrySettings, chance: float
) -> float | None:
    """Seconds until the same model is asked again; None: it is not."""
    if history.tries > settings.attempts:
        return None
    backoff = min(settings.backoff * 2.0 ** (history.tries - 1), settings.max_wait)
    asked_for = failure.retry_after or 0.0
    if asked_for > settings.max_wait or (asked_for > backoff and _some_fallback_is_sooner(history)):
        return None
    return min(asked_for + chance * backoff, settings.max_wait)


def _some_fallback_is_sooner(history: History) -> bool:
    return not all(history.blocked(model) for model in left(history))
