"""PEM files are loaded when the configuration is checked, and their mistakes told like others."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from sluice.ops.config import ConfigurationError, load
from sluice.ops.config.pem import refused_key

PROVIDER = '[providers.openai]\nbase_url = "https://api.openai.com/v1"\n'
CHAIN = "the path of a PEM file with the certificate chain"
KEY = "the path of a PEM file with the private key, without a passphrase"
BASE64_LINE = re.compile(r"[A-Za-z0-9+/=]{40}")

Problems = Callable[..., list[str]]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files by name: a chain and its key, and what operators put in their place."""
    certificate, other = (trustme.CA().issue_cert("sluice.test") for _ in range(2))
    files = {
        "ca.pem": trustme.CA().cert_pem.bytes(),
        "chain.pem": b"".join(part.bytes() for part in certificate.cert_chain_pems),
        "key.pem": certificate.private_key_pem.bytes(),
        "other.pem": other.private_key_pem.bytes(),
        "both.pem": certificate.private_key_and_cert_chain_pem.bytes(),
        "empty.pem": b"",
        "text.pem": b"not a certificate\n",
        "binary.pem": bytes(range(256)),
    }
    folder = tmp_path_factory.mktemp("made")
    (folder / "key.pem").write_bytes(files["key.pem"])
    files["rsa.pem"] = _openssl(folder, "genrsa", "2048")
    files["encrypted.pem"] = _openssl(
        folder, "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:hunter2"
    )
    files["old.pem"] = _openssl(
        folder, "ec", "-aes256", "-in", "key.pem", "-passout", "pass:hunter2"
    )
    files["cut.pem"] = files["ca.pem"][:300]
    files["second_cut.pem"] = files["ca.pem"] + files["cut.pem"]
    files["key_cut.pem"] = files["key.pem"][:100]
    weak = "req -x509 -newkey rsa:1024 -nodes -keyout weak_key.pem -subj /CN=sluice.test"
    files["weak.pem"] = _openssl(folder, *weak.split())
    files["weak_key.pem"] = (folder / "weak_key.pem").read_bytes()
    return files


def _openssl(folder: Path, *words: str) -> bytes:
    return subprocess.run(
        ["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60
    ).stdout


@pytest.fixture
def folder(made: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.fixture
def problems(folder: Path) -> Problems:
    """The mistakes of a text, as told; none of them quotes a file."""

    def problems_of(text: str, **environment: str) -> list[str]:
        Path("sluice.toml").write_text(text)
        told = ""
        try:
            load("sluice.toml", environment)
        except ConfigurationError as problem:
            told = str(problem)
        assert BASE64_LINE.search(told) is None
        return told.splitlines()

    return problems_of


def tls(cert: str, key: str) -> str:
    return f"[server]\ntls_cert = '{cert}'\ntls_key = '{key}'\n"


@pytest.mark.parametrize("file", ["ca.pem", "chain.pem", "both.pem"])
def test_a_file_with_certificates_is_one_to_trust(problems: Problems, file: str) -> None:
    assert problems(f"{PROVIDER}ca_file = '{file}'") == []


@pytest.mark.parametrize(
    ("cert", "key"), [("chain.pem", "key.pem"), ("both.pem", "both.pem"), ("both.pem", "key.pem")]
)
def test_a_certificate_and_its_key_are_fine(problems: Problems, cert: str, key: str) -> None:
    assert problems(tls(cert, key)) == []


UNREADABLE = [
    ("none.pem", '"none.pem" cannot be read: No such file or directory'),
    ("folder", '"folder" cannot be read: Is a directory'),
    ("text.pem/x", '"text.pem/x" cannot be read: Not a directory'),
    ("loop", '"loop" cannot be read: Too many levels of symbolic links'),
    ("/proc/self/mem", '"/proc/self/mem" cannot be read: Input/output error'),
    ("pipe", '"pipe" is not a regular file'),
    ("/dev/zero", '"/dev/zero" is not a regular file'),
]
NO_CERTIFICATES = [
    *UNREADABLE,
    ("empty.pem", 'there is no PEM certificate in "empty.pem"'),
    ("text.pem", 'there is no PEM certificate in "text.pem"'),
    ("binary.pem", 'there is no PEM certificate in "binary.pem"'),
    ("key.pem", 'there is no PEM certificate in "key.pem"'),
    ("cut.pem", '"cut.pem" has a part that OpenSSL cannot read'),
    ("second_cut.pem", '"second_cut.pem" has a part that OpenSSL cannot read'),
]
NO_KEYS = [
    *UNREADABLE,
    ("empty.pem", 'there is no PEM private key in "empty.pem"'),
    ("chain.pem", 'there is no PEM private key in "chain.pem"'),
    ("encrypted.pem", 'the key in "encrypted.pem" is encrypted with a passphrase'),
    ("old.pem", 'the key in "old.pem" is encrypted with a passphrase'),
]


@pytest.mark.parametrize(("file", "why"), NO_CERTIFICATES)
def test_a_ca_file_that_tls_cannot_load_is_a_mistake(
    problems: Problems, file: str, why: str
) -> None:
    assert problems(f"{PROVIDER}ca_file = '{file}'") == [
        (
            f"sluice.toml:3: providers.openai.ca_file: {why}; allowed: the path of a PEM file with "
            "certificates"
        )
    ]


@pytest.mark.parametrize(("file", "why"), NO_CERTIFICATES)
def test_a_certificate_that_tls_cannot_load_is_a_mistake(
    problems: Problems, file: str, why: str
) -> None:
    assert problems(tls(file, "key.pem")) == [
        f"sluice.toml:2: server.tls_cert: {why}; allowed: {CHAIN}"
    ]


@pytest.mark.parametrize(("file", "why"), NO_KEYS)
def test_a_key_that_tls_cannot_load_is_a_mistake(problems: Problems, file: str, why: str) -> None:
    assert problems(tls("chain.pem", file)) == [
        f"sluice.toml:3: server.tls_key: {why}; allowed: {KEY}"
    ]


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        ("chain.pem", "other.pem", "it is not the key of the first certificate in tls_cert"),
        ("chain.pem", "rsa.pem", "it is not the key of the first certificate in tls_cert"),
        ("chain.pem", "key_cut.pem", "OpenSSL refuses it together with tls_cert"),
        ("weak.pem", "weak_key.pem", "OpenSSL refuses it together with tls_cert: ee key too small"),
    ],
)
def test_a_certificate_and_a_key_that_do_not_go_together_are_a_mistake(
    problems: Problems, cert: str, key: str, why: str
) -> None:
    allowed = f"{KEY}, of the first certificate in tls_cert"
    assert problems(tls(cert, key)) == [f"sluice.toml:3: server.tls_key: {why}; allowed: {allowed}"]


def test_half_of_tls_is_a_mistake(problems: Problems) -> None:
    assert problems("[server]\ntls_cert = 'chain.pem'") == [
        "sluice.toml:2: server.tls_cert: tls_key is missing beside it; allowed: both, or neither"
    ]


def test_all_files_that_cannot_be_loaded_are_told_at_once_with_their_places(
    problems: Problems,
) -> None:
    told = problems(
        f"{tls('text.pem', 'encrypted.pem')}drain = -1\n{PROVIDER}ca_file = 'empty.pem'\n",
        SLUICE_SERVER__TLS_KEY="none.pem",
    )
    assert [one.partition(": ")[0] for one in told] == [
        "sluice.toml:2",
        "sluice.toml:4",
        "sluice.toml:7",
        "SLUICE_SERVER__TLS_KEY",
    ]


def test_a_key_of_another_certificate_is_told_by_the_variable_that_named_it(
    problems: Problems,
) -> None:
    (told,) = problems(tls("chain.pem", "key.pem"), SLUICE_SERVER__TLS_KEY="other.pem")
    assert told.startswith("SLUICE_SERVER__TLS_KEY: server.tls_key: it is not the key")


def test_a_file_that_never_ends_is_refused(problems: Problems, folder: Path) -> None:
    with (folder / "large.pem").open("wb") as file:
        file.truncate(2**40)  # without a byte on the disk
    (told,) = problems(f"{PROVIDER}ca_file = 'large.pem'")
    assert '"large.pem" is too large for a PEM file' in told


def test_a_file_that_went_away_after_it_was_read_is_told(folder: Path) -> None:
    assert refused_key(str(folder / "chain.pem"), "gone.pem") == (
        "it cannot be read with tls_cert: No such file or directory"
    )


@pytest.mark.parametrize("key", ["encrypted.pem", "old.pem"])
def test_nobody_is_asked_for_a_passphrase(folder: Path, key: str) -> None:
    """At a terminal, which is where OpenSSL would ask."""
    Path("sluice.toml").write_text(tls("chain.pem", key))
    said, code = at_a_terminal(
        "from sluice.ops.cli import main; from sluice.ops.config.pem import refused_key;"
        f"print(refused_key('chain.pem', {key!r})); raise SystemExit(main(['check']))"
    )
    assert code == 1
    assert "OpenSSL refuses it together with tls_cert" in said
    assert "is encrypted with a passphrase" in said
    assert "pass phrase" not in said


def at_a_terminal(program: str) -> tuple[str, int]:
    """What a Python program says whose user types Enter at once, and its exit code."""
    terminal, its_side = pty.openpty()
    os.write(terminal, b"\n\n")
    controls = "import os; os.close(os.open(os.ttyname(0), os.O_RDWR));"
    with subprocess.Popen(
        [sys.executable, "-c", controls + program],
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
        start_new_session=True,
    ) as process:
        os.close(its_side)
        said = b""
        with suppress(OSError):  # how a terminal ends that nobody else has open
            while part := os.read(terminal, 4096):
                said += part
    os.close(terminal)
    return said.decode(), process.returncode
