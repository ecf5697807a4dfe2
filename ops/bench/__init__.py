"""``sluice bench``: what a streamed request costs here, beside plain proxies, in one run.

The upstream is an nginx that streams 20 chunks of OpenAI's format (``nginx.py``); before it
stand, one after the other, nginx as a plain proxy, Envoy where it is installed, and us
(``ours.py``). ``measurements.py`` has what is measured, ``several.py`` what is about several
processes, ``resilience.py`` what breakers and limits cost, ``translated.py`` what other formats
do (``dialects.py`` has them); the programs they run are ``first_chunk.py``,
``open_streams.py``, ``spread.py``, ``asks.py``, ``link_asks.py``, ``store_operations.py``,
``limit_keys.py`` and ``leaving.py``. ``targets.py`` judges; ``table.py`` prints; ``command.py``
is the command.
"""
