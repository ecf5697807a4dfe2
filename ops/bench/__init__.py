"""``sluice bench``: what a streamed request costs here, beside plain proxies, in one run.

The upstream is an nginx that streams 20 chunks of OpenAI's format (``nginx.py``); before it
stand, one after the other, nginx as a plain proxy, Envoy where it is installed, and us
(``ours.py``). ``cpu.py``, ``first_chunk.py``, ``open_streams.py``, ``asks.py`` and
``leaving.py`` measure; ``targets.py`` judges; ``table.py`` prints; ``command.py`` is the command.
"""
