import hashlib
import json
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.ops import cli
from sluice.ops.config import Config

FILE = """
[server]
bind = "127.0.0.1:8001"
[providers.local]
base_url = "http://127.0.0.1:9000/v1"
api_key = "env:KEY"
[models.llama]
provider = "local"
upstream_model = "llama-4"
"""
LIMITS = '[limits]\nip = "1/second"\n'


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLUICE_CONFIG", raising=False)
    monkeypatch.setenv("KEY", "sk-hunter2")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that a service in the real one's place was started with."""
    configs: list[Config] = []

    def main(config: Config, _: Callable[[], Config]) -> int:
        configs.append(config)
        return 3

    module = types.ModuleType("sluice.ops.serve")
    module.__dict__["main"] = main
    monkeypatch.setitem(sys.modules, "sluice.ops.serve", module)
    return configs


Captured = pytest.CaptureFixture[str]


def test_without_a_command_it_tells_what_there_is(capsys: Captured) -> None:
    assert cli.main([]) == cli.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert all(re.search(rf"^    {name}\b", told.err, re.MULTILINE) for name in cli.COMMANDS)


def test_help_goes_to_standard_output(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    assert "exit codes:" in capsys.readouterr().out


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: sluice {command}" in capsys.readouterr().out


def test_the_version_is_that_of_the_distribution(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("sluice 0.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chek"], "invalid choice: 'chek'"),
        (["check", "--confg", "x"], "unrecognized arguments: --confg x"),
        (["check", "--conf", "x"], "unrecognized arguments: --conf x"),
        (["check", "extra"], 'sluice check: unrecognized arguments: extra\ntry "sluice check --'),
        (["--extra"], "sluice: unrecognized arguments: --extra"),
        (["top", "--interval", "often"], "'often' is no number; allowed: 0.1 to 60"),
        (["top", "--interval", "0"], "0 is out of range; allowed: 0.1 to 60"),
        (["check", "--config"], "expected one argument"),
    ],
)
def test_what_it_does_not_understand_is_exit_code_2(
    words: list[str], said: str, capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == cli.USAGE
    told = capsys.readouterr()
    assert said in told.err
    assert "--help" in told.err
    assert told.out == ""


def test_elsewhere_than_on_linux_it_says_why_not(capsys: Captured) -> None:
    assert cli.main(["check"], platform="darwin") == cli.FAILURE
    assert "Sluice runs on Linux: it needs epoll" in capsys.readouterr().err


def test_ctrl_c_has_the_exit_code_that_shells_give_it(
    monkeypatch: pytest.MonkeyPatch, served: list[Config]
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["sluice.ops.serve"], "main", interrupted)
    assert cli.main(["serve"]) == cli.INTERRUPTED


# check


def test_check_tells_every_mistake_and_fails(capsys: Captured) -> None:
    Path("bad.toml").write_text("[connections]\nlimit = 0\nsoft = 1\n")
    assert cli.main(["check", "--config", "bad.toml"]) == cli.FAILURE
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert lines[0].startswith("bad.toml:2: connections.limit: 0 is out of range; allowed: ")
    assert lines[1].startswith("bad.toml:3: connections.soft: unknown key")
    assert lines[2] == "2 mistakes in the configuration"


def test_check_of_a_good_file_says_so_with_a_summary(capsys: Captured) -> None:
    Path("good.toml").write_text(FILE + LIMITS)
    assert cli.main(["check", "--config", "good.toml"]) == cli.OK
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.splitlines() == [
        "good.toml: ok",
        "  listens on 127.0.0.1:8001",
        "  connections: at most 100",
        "  limits: ip 1/second, user 1000/hour, token 10000/hour",
        "  provider local: openai at http://127.0.0.1:9000/v1, with an API key",
        "  model llama: local as llama-4",
    ]


def test_check_without_a_file_checks_the_environment(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["check"]) == cli.OK
    assert "defaults and environment: ok" in capsys.readouterr().out
    monkeypatch.setenv("SLUICE_CONNECTIONS__LIMIT", "x")
    assert cli.main(["check"]) == cli.FAILURE
    assert "1 mistake in the configuration" in capsys.readouterr().err


def test_the_file_is_found_by_its_usual_name_or_by_a_variable(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("sluice.toml").write_text(FILE)
    Path("other.toml").write_text(FILE)
    cli.main(["check"])
    assert "sluice.toml: ok" in capsys.readouterr().out
    monkeypatch.setenv("SLUICE_CONFIG", "other.toml")
    cli.main(["check"])
    assert "other.toml: ok" in capsys.readouterr().out
    cli.main(["check", "--config", "sluice.toml"])
    assert "sluice.toml: ok" in capsys.readouterr().out


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    Path("sluice.toml").write_text(FILE)
    command = [sys.executable, "-m", "sluice.ops.cli", "check"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, b"")


# serve


def test_serve_hands_over_the_configuration_and_returns_the_exit_code(
    served: list[Config],
) -> None:
    Path("sluice.toml").write_text(FILE)
    assert cli.main(["serve"]) == 3
    assert served[0].server.bind == "127.0.0.1:8001"


def test_options_of_serve_come_before_the_file(served: list[Config]) -> None:
    Path("sluice.toml").write_text(FILE)
    assert cli.main(["serve", "--bind", "[::1]:9", "--workers", "1"]) == 3
    assert served[0].server.bind == "[::1]:9"
    assert served[0].server.workers == 1


def test_serve_does_not_start_with_a_mistake(served: list[Config], capsys: Captured) -> None:
    assert cli.main(["serve", "--bind", "here"]) == cli.FAILURE
    assert served == []
    assert capsys.readouterr().err.startswith('--bind: server.bind: "here" is not HOST:PORT')


def test_serve_warns_once_of_all_that_has_no_effect(served: list[Config], capfd: Captured) -> None:
    Path("sluice.toml").write_text(FILE + "[queue]\nlimit = 5\n[cache]\nttl = 5\n")
    cli.main(["serve"])
    (line,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert (line["level"], line["event"]) == ("warning", "configuration")
    assert any("requests get a 429" in notice for notice in line["notices"])
    assert any("nothing is cached" in notice for notice in line["notices"])


def test_timeouts_that_contradict_each_other_are_warned_of_by_check_and_by_serve(
    served: list[Config], capfd: Captured
) -> None:
    Path("sluice.toml").write_text(FILE + "[timeouts]\nidle = 4000\n")
    told = (
        "sluice.toml:11: timeouts.idle: idle = 4000 has no effect: total = 3600 (the default)"
        " always passes first"
    )
    assert cli.main(["check"]) == cli.OK
    assert capfd.readouterr().out.splitlines()[-1] == f"warning: {told}"
    cli.main(["serve"])
    assert json.loads(capfd.readouterr().err)["notices"] == [told]


def test_no_log_level_hides_that_warning(served: list[Config], capfd: Captured) -> None:
    Path("sluice.toml").write_text(
        FILE.replace("[server]", '[server]\nlog_level = "error"') + "[cache]\nttl = 5\n"
    )
    cli.main(["serve"])
    assert "nothing is cached" in capfd.readouterr().err


def test_serve_says_when_descriptors_are_short(
    served: list[Config], capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("sluice.toml").write_text(FILE)
    fixed: Callable[[int], int] = lambda _: 300  # noqa: E731
    monkeypatch.setattr("sluice.ops.commands.serve.raise_descriptors", fixed)
    cli.main(["serve"])
    (line,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert "ulimit -n" in line["event"]
    assert (line["needed"], line["allowed"]) == (456, 300)


def test_serve_never_logs_a_key(
    served: list[Config], capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leak(config: Config, _: Callable[[], Config]) -> int:
        from sluice.ops.logs import get_logger  # noqa: PLC0415

        key = config.providers["local"].api_key
        assert key is not None
        get_logger("sluice.x").error(f"401 for {key.value}", config=config)
        return 0

    monkeypatch.setattr(sys.modules["sluice.ops.serve"], "main", leak)
    Path("sluice.toml").write_text(FILE)
    assert cli.main(["serve"]) == 0
    told = capfd.readouterr().err
    assert "401 for ***" in told
    assert "hunter2" not in told


def test_a_token_is_shown_once_with_the_lines_that_let_it_in(capsys: Captured) -> None:
    assert cli.main(["token", "night.job"]) == cli.OK
    token, _, *lines = capsys.readouterr().out.splitlines()
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert lines == ['[auth.tokens."night.job"]', f'sha256 = "{digest}"']
    Path("sluice.toml").write_text("\n".join([*lines, "[auth]", "anonymous = false"]))
    assert cli.main(["check"]) == cli.OK
    assert "  callers: the tokens night.job, nobody else" in capsys.readouterr().out.splitlines()
    assert cli.main(["token", "night.job", "--json"]) == cli.OK
    assert json.loads(capsys.readouterr().out)["token"] != token


def test_a_token_that_could_not_be_configured_is_not_made(capsys: Captured) -> None:
    assert cli.main(["token", "a b"]) == cli.FAILURE
    told = capsys.readouterr()
    assert (told.out, told.err.startswith('sluice: "a b" is no name for a token')) == ("", True)
