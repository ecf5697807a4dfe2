"""How a request can fail: one error, one taxonomy (``seed 6.1``), mapped at the edge.

Whatever goes wrong on a request's way becomes one `Failure`, once, where it is first
understood. The edge turns it into a status, a body or a frame in the client's format.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

ErrorType = Literal[
    "timeout_error",
    "connection_pool_exhausted",
    "validation_error",
    "provider_error",
    "cache_error",
    "serialization_error",
]
FailureType = ErrorType | Literal["rate_limit_exceeded"]
"""The last one is no error of ours, and none of the seed's (``decision 5``)."""
Stage = Literal["validation", "admission", "cache_lookup", "provider_call", "streaming"]


class Told(NamedTuple):
    """A provider's own words about what it refused."""

    message: str | None
    """None: what it says is not understood, and only passed on."""
    param: str | None = None
    """Which field of the request it is about; only OpenAI's format says so."""
    kind: str | None = None
    """The provider's word for the kind of error."""
    reason: str | None = None
    """``context_length_exceeded`` or ``content_policy``, where it is one of these."""
    body: bytes | None = None
    """The whole of what it wrote."""
    format: str | None = None
    """In which format."""


class Failure(Exception):  # noqa: N818 -- the field's word; every subclass of meaning is in `error_type`
    """A request that failed, in terms a client may be told.

    ``message`` is ours, never a provider's text. Where the client's own mistake was found by the
    provider, its words are in ``told``. ``code`` is a stable word for programs.
    ``retry_after`` is in seconds; None: nobody said. ``provider_status`` is the status of the
    provider's answer, where that is what failed.
    """

    def __init__(
        self,
        error_type: FailureType,
        stage: Stage,
        message: str,
        *,
        status: int,
        code: str,
        param: str | None = None,
        retry_after: float | None = None,
        told: Told | None = None,
    ) -> None:
        super().__init__(message)
        self.error_type: FailureType = error_type
        self.stage: Stage = stage
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.told = told
        self.provider_status: int | None = None

    @property
    def words(self) -> str:
        """What a client is told: the provider's words where they are meant for it, else ours."""
        return (self.told is not None and self.told.message) or self.message

    def body_in(self, format_name: str) -> bytes | None:
        """The provider's error body, if it is in the format that a client speaks."""
        told = self.told
        return told.body if told is not None and told.format == format_name else None

    def bare(self) -> Failure:
        """Itself, without what it was raised through: that would be kept alive by it."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

    def __repr__(self) -> str:
        return f"Failure({self.error_type}, {self.stage}, {self.code}: {self.message})"


class Limited(Failure):
    """A request turned away by a rate limit: a 429, which is counted by ``limited_by`` alone.

    ``limited_by``: what the caller is known by: ``ip``, ``user`` or ``token``.
    """

    def __init__(
        self, limited_by: Literal["ip", "user", "token"], message: str, *, retry_after: float
    ) -> None:
        super().__init__(
            "rate_limit_exceeded",
            "admission",
            message,
            status=429,
            code="rate_limit_exceeded",
            retry_after=retry_after,
        )
        self.limited_by = limited_by


def counted_as(failure: Failure) -> tuple[ErrorType, Stage] | None:
    """What ``sse_errors_total`` counts of it; None: nothing."""
    if failure.error_type == "rate_limit_exceeded":
        return None
    return (failure.error_type, failure.stage)


class Interrupted(Exception):  # noqa: N818 -- an event, like those below
    """Somebody else ended the stream; the reason stands there.

    It is not the reason itself: that would keep alive all that it was raised through.
    """


class ClientLeft(Exception):  # noqa: N818 -- an event, not an error of ours (``decision 5``)
    """The client closed its connection, half or whole."""


class ClientStalled(Exception):  # noqa: N818 -- likewise
    """The client took no byte for ``client_write`` seconds."""


class UpstreamFault(Exception):  # noqa: N818 -- the base of what a provider's connection can do
    """A provider's connection failed. ``reason`` is one of a fixed set of words:

    ``refused``, ``unreachable``, ``tls``, ``connect_timeout``, ``reset``, ``cut`` (ended
    before its framing says so), ``protocol`` (not HTTP), ``too_large``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
