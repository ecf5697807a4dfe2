"""From a request to the plan of its response: the simulator without any IO.

It remembers what decides later answers (attempts, turns) and nothing else.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable

import msgspec

from . import behaviour
from .answers import Answer, Answers, Call, Tool, arguments_for, in_pieces, without
from .behaviour import Behaviour, Damage, Situation
from .dialect import Asked, Dialect, Identity, Problem, Refused
from .options import OptionError, Options, options_for
from .steps import Finish, Frames, Headers, Start, Step, Wait, pace

_REMEMBERED = 10_000
"""Prompts whose attempts are counted; the oldest are forgotten."""
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_DEFAULT_TOOL = Tool("get_weather")


class Response(msgspec.Struct, frozen=True):
    """What to do about a request, and what to write down about it."""

    plan: list[Step]
    model: str | None = None
    attempt: int = 1


class Simulation:
    """Everything that one run of the simulator knows.

    Args:
        seed: of all that is random.
        options: for what a model's name leaves open.
        api_key: demand it, if not None.
        clock: seconds since the epoch, for ``created``.
    """

    def __init__(
        self,
        seed: int,
        options: Options,
        api_key: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.answers = Answers(seed)
        self.options = options
        self._api_key = api_key
        self._clock = clock
        self._attempts: OrderedDict[tuple[str, bytes], int] = OrderedDict()
        self._turns: Counter[str] = Counter()

    def respond(self, dialect: Dialect, body: bytes, headers: Headers) -> Response:
        """Answer one request."""
        name = self.answers.identifier(dialect.id_prefix, dialect.id_length)
        identity = Identity(name, int(self._clock()))
        if self._api_key is not None and _key(headers) != self._api_key:
            return Response(_error(dialect, Problem(kind="unauthorized"), None, identity))
        try:
            asked = dialect.parse(body, headers)
        except Refused as refused:
            return Response(_error(dialect, refused.problem, None, identity))
        return self._respond(dialect, asked, identity)

    def _respond(self, dialect: Dialect, asked: Asked, identity: Identity) -> Response:
        found = behaviour.find(asked.model)
        if found is None:
            problem = Problem(kind="model_not_found")
            return Response(_error(dialect, problem, asked, identity))
        situation = self._situation(asked)
        try:
            found, options = self._drawn(asked, found)
        except OptionError as error:
            problem = Problem(kind="invalid_request", detail=str(error), param="model")
            return Response(_error(dialect, problem, asked, identity))
        plan = self._plan(dialect, asked, identity, situation, found, options)
        if options.head_delay:
            plan = [Wait(options.head_delay), *plan]
        return Response(plan, asked.model, situation.attempt)

    def _situation(self, asked: Asked) -> Situation:
        """Count this request."""
        name = asked.model
        self._turns[name] += 1
        attempt = self._attempts.pop((name, asked.prompt), 0) + 1
        self._attempts[name, asked.prompt] = attempt
        if len(self._attempts) > _REMEMBERED:
            self._attempts.popitem(last=False)
        return Situation(attempt, self._turns[name])

    def _drawn(self, asked: Asked, found: Behaviour) -> tuple[Behaviour, Options]:
        """The behaviour and its options, after chance had its say."""
        options = options_for(asked.model, self.options, found.options)
        faultless = found.refuses is None and found.damages is None
        if faultless and options.probability and self.answers.chance() < options.probability:
            found = self.answers.pick(behaviour.faults(options.faults))
            options = options_for(asked.model, self.options, found.options)
        return found, options

    def _plan(
        self,
        dialect: Dialect,
        asked: Asked,
        identity: Identity,
        situation: Situation,
        found: Behaviour,
        options: Options,
    ) -> list[Step]:
        refusal = found.refuses(asked, situation) if found.refuses else None
        if isinstance(refusal, Problem):
            return _error(dialect, _with_retry_after(refusal, options), asked, identity)
        if refusal is not None:
            return refusal
        said = [self._answer(dialect, asked, situation, options, i) for i in range(asked.n)]
        frames = whole = _frames(dialect, asked, said, identity)
        if found.damages and (asked.stream or not found.streams_only):
            frames = found.damages(frames, Damage(dialect, asked, identity))
        steps = pace(frames, options.pace)
        headers = dialect.headers(identity)
        if asked.stream:
            return [Start(200, [_EVENTS, *headers]), *steps]
        promised = frames if frames.ending == "finish" else whole
        return [Start(200, [_JSON, *headers], promised.length), *steps]

    def _answer(
        self, dialect: Dialect, asked: Asked, situation: Situation, options: Options, index: int
    ) -> Answer:
        calls = options.tool_calls or int(asked.must_call and bool(asked.tools))
        reasoning = self._reasoning(asked, situation, options)
        if calls and asked.may_call:
            return self._calling(dialect, asked, calls, reasoning)
        text = self._text(asked, situation, options, index)
        kept = _limited(text, options.chunk_size, asked.limit)
        return Answer(
            text=kept,
            reasoning=reasoning,
            shortened=len(kept) < len(text),
            tokens=len(kept) * options.chunk_size,
            reasoning_tokens=len(reasoning),
        )

    def _text(
        self, asked: Asked, situation: Situation, options: Options, index: int
    ) -> list[bytes]:
        who = b"" if options.same else asked.model.encode() + asked.prompt
        attempt = 0 if options.same else situation.attempt + 31 * index
        text = self.answers.pieces(who, attempt, options.chunks, options.chunk_size)
        if options.frame_size and text:
            text[len(text) // 2] = b"x" * options.frame_size
        if asked.prefill:
            rest = without(asked.prefill, text)
            return text if rest is None else rest
        return text

    def _reasoning(self, asked: Asked, situation: Situation, options: Options) -> list[bytes]:
        chunks = options.reasoning or (5 if asked.reasoning else 0)
        if not chunks:
            return []
        attempt = 0 if options.same else situation.attempt
        return self.answers.pieces(b"reasoning", attempt, chunks, options.chunk_size)

    def _calling(
        self, dialect: Dialect, asked: Asked, count: int, reasoning: list[bytes]
    ) -> Answer:
        tools = asked.tools or [_DEFAULT_TOOL]
        calls = [
            Call(
                self.answers.identifier(dialect.call_prefix),
                tools[number % len(tools)].name,
                in_pieces(arguments_for(tools[number % len(tools)])),
            )
            for number in range(count)
        ]
        tokens = sum(len(call.arguments) for call in calls)
        return Answer(
            calls=calls, reasoning=reasoning, tokens=tokens, reasoning_tokens=len(reasoning)
        )


def _key(headers: Headers) -> str:
    """The credential, wherever one of the three formats has it."""
    found = dict(headers)
    bearer = found.get(b"authorization", b"").removeprefix(b"Bearer ")
    return (bearer or found.get(b"x-api-key", b"")).decode("latin-1")


def _limited(text: list[bytes], size: int, limit: int | None) -> list[bytes]:
    return text if limit is None else text[: max(1, limit // size)]


def _frames(dialect: Dialect, asked: Asked, said: list[Answer], identity: Identity) -> Frames:
    if asked.stream:
        return dialect.stream(asked, said, identity)
    body = dialect.whole(asked, said, identity)
    third = len(body) // 3
    return Frames(content=[body[:third], body[third : 2 * third]], end=body[2 * third :])


def _with_retry_after(problem: Problem, options: Options) -> Problem:
    if problem.retry_after is None:
        return problem
    return msgspec.structs.replace(problem, retry_after=options.retry_after)


def _error(
    dialect: Dialect, problem: Problem, asked: Asked | None, identity: Identity
) -> list[Step]:
    status, body = dialect.problem(problem, asked, identity)
    headers = [_JSON, *dialect.headers(identity)]
    if problem.retry_after is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after))
    return [Start(status, headers, len(body)), Finish(body)]
