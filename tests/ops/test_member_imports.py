"""What a worker does not import: how soon a replacement serves is mostly how much it imports."""

import subprocess
import sys

NOT_NEEDED = [
    "redis",
    "sluice.ops.cli",
    "sluice.ops.control.server",
    "sluice.ops.host",
    "sluice.ops.serve",
    "trio_websocket",
]


def test_a_worker_imports_nothing_of_the_hosts_nor_of_clusters_and_sentinels() -> None:
    names = "import sys, sluice.ops.member; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", names], check=True, capture_output=True, text=True)
    assert set(NOT_NEEDED) & set(done.stdout.split()) == set()
