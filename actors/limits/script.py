"""The limiter's script: `sliding.SlidingLog.take`, done by the store in one atomic step.

One key a caller holds the times at which his requests were accepted, in microseconds of the
server's own clock, the oldest first: a list, in which each takes about ten bytes. It expires when
the last of them has left the window, up to a quarter of a window later: so when it does need not
be set with each request, which would be one more write of the store, of its replicas and its file.
Each call costs a few commands however long the list is: what has left is mostly one or two, and so
is looked for in steps that double.

Callers whose requests come in the same moment are decided about in one step, one after the other
(`store.together`), which costs the store a quarter less: none of them sees a difference.

A server's clock may be set back: then time stands still until it has caught up; what seems to be
more than a window ahead is forgotten.
"""

from __future__ import annotations

from typing import Final

from sluice.actors.settings import Rate
from sluice.actors.store import Op, Script, key

from .sliding import Verdict

_DECIDE: Final = """\
local clock = redis.call('TIME')
local time = clock[1] * 1000000 + clock[2]
local function take(key, limit, window)
    local now, oldest = time, time
    local quarter, renew = window / 4, true
    local count = redis.call('LLEN', key)
    if count > 0 then
        local newest = tonumber(redis.call('LINDEX', key, -1))
        if newest <= now - window or newest > now + window then
            redis.call('DEL', key)
            count = 0
        else
            if newest > now then now = newest end
            renew = math.floor(newest / quarter) < math.floor(now / quarter)
            oldest = count > 1 and tonumber(redis.call('LINDEX', key, 0)) or newest
            if oldest <= now - window then
                local left, counts = 0, math.min(1, count - 1)
                while counts < count - 1
                    and tonumber(redis.call('LINDEX', key, counts)) <= now - window do
                    left, counts = counts, math.min(counts * 2, count - 1)
                end
                while counts - left > 1 do
                    local middle = math.floor((left + counts) / 2)
                    if tonumber(redis.call('LINDEX', key, middle)) <= now - window then
                        left = middle
                    else
                        counts = middle
                    end
                end
                redis.call('LTRIM', key, counts, -1)
                count = count - counts
                oldest = tonumber(redis.call('LINDEX', key, 0))
            end
        end
    end
    if count < limit then
        redis.call('RPUSH', key, now)
        if renew then redis.call('PEXPIRE', key, math.ceil((window + quarter) / 1000)) end
        if count == 0 then oldest = now end
        return {1, limit - count - 1, oldest + window - now}
    end
    if count > limit then oldest = tonumber(redis.call('LINDEX', key, count - limit)) end
    return {0, 0, oldest + window - now}
end
"""

TAKE: Final = Script(_DECIDE + "return take(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))\n")
"""On one key, with a limit and a window in microseconds: whether a request is accepted (1 or 0),
how many more would be, and the microseconds until one leaves the window."""

TAKE_MANY: Final = Script(
    _DECIDE
    + """\
local answers = {}
for index, key in ipairs(KEYS) do
    answers[index] = take(key, tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index]))
end
return answers
"""
)
"""The same on several keys, with two arguments for each: a list of answers."""


def taking(kind: str, name: str, rate: Rate) -> Op:
    """The operation that accepts a request of a caller, or not."""
    place = key("limit", kind, str(rate.seconds), name)
    return TAKE.on([place], rate.count, rate.seconds * 1_000_000, together=TAKE_MANY)


def read(reply: list[int], rate: Rate) -> Verdict:
    """What the script answered."""
    accepted, remaining, wait = reply
    return Verdict(bool(accepted), rate.count, remaining, wait / 1_000_000)
