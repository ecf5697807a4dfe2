"""A provider of completions that does as it is told: for tests, benchmarks and the demo.

It speaks OpenAI, Anthropic and Cohere. A request's model says what happens to it
(`sluice.ops.simulator.behaviour` has the table), and how (`Options`)::

    async with open_simulator(seed=1) as simulator:
        await client.post(simulator.base_url + "/chat/completions", json={
            "model": "sim-cut?chunks=9", "stream": True, "messages": [...],
        })
        await simulator.wait(lambda seen: seen.completed == 1)
"""

from .inside import Simulator, open_simulator
from .options import Options
from .records import Received, Statistics

__all__ = ["Options", "Received", "Simulator", "Statistics", "open_simulator"]
