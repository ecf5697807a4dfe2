"""What the three providers' formats have in common: a request, an answer, a problem."""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

import msgspec

from .answers import Answer, Tool
from .steps import Frames, Headers

ProblemKind = Literal[
    "invalid_json",
    "invalid_request",
    "unauthorized",
    "not_found",
    "model_not_found",
    "rate_limit",
    "server_error",
    "unavailable",
    "overloaded",
    "context_length",
    "content_policy",
    "no_prefill",
]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request gets an error. ``detail`` is for the kinds that need it."""

    kind: ProblemKind
    detail: str = ""
    param: str | None = None
    retry_after: int | None = None


class Refused(Exception):  # noqa: N818 -- the dialects' way to say that a request has a problem
    """A request that is not answered, and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.kind)
        self.problem = problem


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request, whatever its format."""

    model: str
    """With its options: ``sim-ok?chunks=3``."""
    prompt: bytes
    """The last user's message: what makes two requests attempts at the same thing."""
    prompt_tokens: int = 1
    stream: bool = False
    prefill: str | None = None
    """The assistant's message at the end, to be continued."""
    tools: list[Tool] = []
    must_call: bool = False
    """Whether the request insists on a tool call."""
    may_call: bool = True
    """Whether a tool call makes sense: not after a tool's result, not when it is forbidden."""
    n: int = 1
    limit: int | None = None
    """Tokens at most."""
    reasoning: bool = False
    logprobs: int | None = None
    """How many alternatives to tell with each token; None: no log probabilities."""
    include_usage: bool = False
    obfuscate: bool = False


class Identity(msgspec.Struct, frozen=True):
    """What tells this response from others. ``created`` is in seconds since the epoch."""

    id: str
    created: int


class Dialect(Protocol):
    """One provider's format. Pure: bytes in, bytes out."""

    name: str
    id_prefix: str
    id_length: int
    call_prefix: str

    def parse(self, body: bytes, headers: Headers) -> Asked:
        """Read a request. Raises `Refused`."""

    def headers(self, identity: Identity) -> Headers:
        """Of every response, besides its content type."""

    def stream(self, asked: Asked, answers: list[Answer], identity: Identity) -> Frames:
        """The events of a streamed response."""

    def whole(self, asked: Asked, answers: list[Answer], identity: Identity) -> bytes:
        """The body of a response that is not streamed."""

    def problem(
        self, problem: Problem, asked: Asked | None, identity: Identity
    ) -> tuple[int, bytes]:
        """Status and body of an error."""

    def error_event(self, asked: Asked, identity: Identity) -> bytes:
        """The event that says, in a stream, that the provider failed."""

    def garbage_event(self) -> bytes:
        """An event where the format has JSON, and this has none."""


_Request = TypeVar("_Request")


def decoded(decoder: msgspec.json.Decoder[_Request], body: bytes) -> _Request:
    """``body`` as ``decoder`` reads it. Raises `Refused`, with where and what was wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(_invalid(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(Problem(kind="invalid_json", detail=str(error))) from None


def _invalid(error: msgspec.ValidationError) -> Problem:
    """What msgspec complains about, as a problem: where, and what was wrong with it."""
    message, _, path = str(error).partition(" - at `$")
    param = path.rstrip("`").lstrip(".") or None
    if message.startswith("Object missing required field"):
        missing = message.split("`")[1]
        where = f"{param}.{missing}" if param else missing
        return Problem(kind="invalid_request", detail="missing", param=where)
    return Problem(kind="invalid_request", detail=message.replace("`", ""), param=param)
