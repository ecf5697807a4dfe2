"""``sluice simulate`` as a program."""

from __future__ import annotations

import argparse
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import trustme

from sluice.ops.simulator import command

PROGRAM = [sys.executable, "-c", "from sluice.ops.cli import main; raise SystemExit(main())"]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A simulator on a free port, and the line that it printed."""
    words = [*PROGRAM, "simulate", "--bind", "127.0.0.1:0", *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as program:
        try:
            assert program.stdout is not None
            yield program, program.stdout.readline()
        finally:
            program.kill()


def address(line: str) -> str:
    return line.removeprefix("simulator on ").partition(",")[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_its_address_and_seed_and_ends_on_a_signal(number: signal.Signals) -> None:
    with running("--seed", "7", "--chunks", "2") as (program, line):
        assert line.strip().endswith(", seed 7")
        request = {"model": "sim-ok", "messages": [{"role": "user", "content": "x"}]}
        url = address(line) + "/v1/chat/completions"
        answer = httpx2.post(url, json=request).json()
        assert answer["usage"]["completion_tokens"] == 2
        program.send_signal(number)
        assert program.wait(20) == 0


def test_it_speaks_tls_with_a_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    certificate.private_key_pem.write_to_path(str(key))
    certificate.cert_chain_pems[0].write_to_path(str(chain))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with running("--certfile", str(chain), "--keyfile", str(key)) as (_, line):
        response = httpx2.get(address(line) + "/v1/models", verify=context)
        assert response.json()["object"] == "list"


def test_an_address_that_it_cannot_have_is_told_and_fails() -> None:
    words = [*PROGRAM, "simulate", "--bind", "192.0.2.1:9000"]
    program = subprocess.run(words, capture_output=True, text=True, check=False)
    assert program.returncode == 1
    assert program.stderr.startswith("sluice simulate: 192.0.2.1:9000: ")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--delay", "-1"), "delay must not be negative"),
        (("--faults", "503,nothing"), "faults must be names"),
        (("--certfile", "chain.pem"), "--certfile and --keyfile"),
    ],
)
def test_a_mistake_is_told_and_fails(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(parsed(*words)) == 1
    assert told in capsys.readouterr().err


def test_its_help_names_every_model() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    help_ = parser.format_help()
    for model in ("sim-ok", "sim-429-retry-after", "sim-no-prefill"):
        assert model in help_
