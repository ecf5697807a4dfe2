from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from sluice.actors.settings import (
    BreakerSettings,
    ConnectionSettings,
    LimitSettings,
    Rate,
    RescueSettings,
    RetrySettings,
    Secret,
    Timeouts,
)
from sluice.http.callers.auth_settings import AuthSettings
from sluice.ops.config import Config, ConfigurationError, EdgeLimits, ServerSettings, load
from sluice.ops.config.rules import Rule
from sluice.ops.config.schema import SCHEMA, Named, Table

Load = Callable[..., Config]

PROVIDER = '[providers.openai]\nbase_url = "https://api.openai.com/v1"\n'


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a text as ``sluice.toml`` of the current folder, with the variables given."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str, **environment: str) -> Config:
        Path("sluice.toml").write_text(text)
        return load("sluice.toml", environment)

    return load_text


@pytest.fixture
def mistakes(toml: Load) -> Callable[..., list[str]]:
    """The mistakes of a text, as told."""

    def mistakes_of(text: str, **environment: str) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            toml(text, **environment)
        return str(caught.value).splitlines()

    return mistakes_of


Mistakes = Callable[..., list[str]]


def test_the_contracts_example_is_accepted(toml: Load) -> None:
    contract = """
        [server]
        bind = "127.0.0.1:8000"
        workers = "auto"
        data_dir = "~/.local/share/sluice"
        [store]
        url = "embedded"
        [connections]
        limit = 100
        soft_ratio = 0.8
        [timeouts]
        connect = 5
        first_chunk = 10
        idle = 30
        total = 3600
        client_write = 30
        heartbeat = 15
        [retries]
        attempts = 2
        backoff = 0.5
        [breaker]
        failures = 5
        window = 60
        cooldown = 60
        [limits]
        ip = "100/minute"
        user = "1000/hour"
        token = "10000/hour"
        [cache]
        ttl = 3600
        l1_entries = 10000
        l2_entries = 100000
        scope = "global"
        [queue]
        backend = "redis"
        limit = 1000
        [providers.openai]
        format = "openai"
        base_url = "https://api.openai.com/v1"
        api_key = "env:OPENAI_API_KEY"
        [models."gpt-4o-mini"]
        provider = "openai"
        upstream_model = "gpt-4o-mini"
        fallback = ["claude-haiku"]
        prefill = false
        [models.claude-haiku]
        provider = "openai"
    """
    config = toml(contract, OPENAI_API_KEY="sk-1")
    assert config.connections == ConnectionSettings()
    assert config.timeouts == Timeouts()
    assert config.models["gpt-4o-mini"].upstream_model == "gpt-4o-mini"
    assert config.providers["openai"].api_key == Secret("sk-1")


def test_no_file_and_no_variable_give_the_defaults() -> None:
    config = load(None, {})
    assert config.server == ServerSettings()
    assert config.server.bind == "127.0.0.1:8000"
    assert config.server.drain == 60
    assert config.providers == {}
    assert [notice.key for notice in config.notices] == ["models"]


def test_timeouts_of_a_model_override_the_general_ones_one_by_one(toml: Load) -> None:
    config = toml(
        f"{PROVIDER}[timeouts]\nidle = 20\nconnect = 2\n"
        '[models.a]\nprovider = "openai"\ntimeouts = { idle = 7 }\n'
        '[models.b]\nprovider = "openai"\n'
    )
    assert config.models["a"].timeouts == Timeouts(idle=7, connect=2)
    assert config.models["b"].timeouts == config.timeouts == Timeouts(idle=20, connect=2)


def test_a_models_timeouts_come_before_its_providers_and_those_before_the_general_ones(
    toml: Load,
) -> None:
    config = toml(
        f"{PROVIDER}timeouts = {{ idle = 9, connect = 3 }}\n[timeouts]\nidle = 20\ntotal = 99\n"
        '[models.a]\nprovider = "openai"\ntimeouts = { idle = 7 }\n'
    )
    assert config.models["a"].timeouts == Timeouts(idle=7, connect=3, total=99)


def test_retries_fallbacks_and_the_context_of_a_model_are_taken(toml: Load) -> None:
    config = toml(
        f"[retries]\nattempts = 1\nbackoff = 0\nmax_wait = 3\nbudget = 20\n{PROVIDER}"
        '[models.a]\nprovider = "openai"\nfallback = ["b", "sim-x"]\ncontext = 8192\n'
        '[models.b]\nprovider = "openai"\n[models."sim-*"]\nprovider = "openai"\n',
        SLUICE_RETRIES__BACKOFF="0.25",
    )
    assert config.retries == RetrySettings(1, 0.25, 3, 20)
    assert config.models["a"].fallback == ("b", "sim-x")
    assert config.models["a"].context == 8192
    assert load(None, {}).retries == RetrySettings(attempts=2, backoff=0.5)


def test_a_rescue_can_be_switched_off_and_be_given_more_memory(toml: Load) -> None:
    config = toml(
        f"{PROVIDER}[rescue]\nenabled = false\nmemory = '1MiB'\n"
        '[models.a]\nprovider = "openai"\nprefill = true\n'
    )
    assert config.rescue == RescueSettings(enabled=False, memory=1 << 20)
    assert config.models["a"].prefill
    assert notices(config) == []
    assert toml(PROVIDER).rescue == RescueSettings(enabled=True)


def test_a_wildcard_serves_every_name_that_it_starts(toml: Load) -> None:
    config = toml(f'{PROVIDER}[models."sim-*"]\nprovider = "openai"\n')
    found = config.routing.find("sim-cut")
    assert found is not None
    assert found.provider == "openai"
    assert config.routing.find("gpt") is None


def test_many_mistakes_are_told_at_once_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    told = mistakes(
        '[server]\nbind = "8000"\ndrian = 4\n'
        "[connections]\nlimit = 0\n"
        '[models.gpt]\nprovider = "opnai"\n' + PROVIDER,
        SLUICE_TIMEOUTS__IDLE="soon",
    )
    assert [one.partition(": ")[0] for one in told] == [
        "sluice.toml:2",
        "sluice.toml:3",
        "sluice.toml:5",
        "sluice.toml:7",
        "SLUICE_TIMEOUTS__IDLE",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[connections]\nlimit = 'many'",
            (
                'sluice.toml:2: connections.limit: "many" is not a whole number; allowed: a whole '
                "number from 1 to 1000000"
            ),
        ),
        (
            "[connections]\nlimit = true",
            (
                "sluice.toml:2: connections.limit: true is not a whole number; allowed: a whole "
                "number from 1 to 1000000"
            ),
        ),
        (
            "connections.soft_ratio = 1.5",
            (
                "sluice.toml:1: connections.soft_ratio: 1.5 is out of range; allowed: a number "
                "above 0 and at most 1"
            ),
        ),
        (
            "[timeouts]\nidle = inf",
            (
                "sluice.toml:2: timeouts.idle: inf is out of range; allowed: a number above 0 and "
                "at most 604800 (seconds)"
            ),
        ),
        (
            "[timeouts]\n\nidle = 0",
            (
                "sluice.toml:3: timeouts.idle: 0 is out of range; allowed: a number above 0 and at "
                "most 604800 (seconds)"
            ),
        ),
        (
            "[conections]\nlimit = 1",
            (
                'sluice.toml:1: conections: unknown key, did you mean "connections"?; allowed: '
                "server, control, store, connections, timeouts, retries, "
                "rescue, breaker, limits, auth, cache, queue, "
                "cors, providers, models"
            ),
        ),
        (
            "bind = '127.0.0.1:1'",
            (
                "sluice.toml:1: bind: unknown key, it belongs in [server]; allowed: server, "
                "control, store, connections, timeouts, retries, "
                "rescue, breaker, limits, auth, cache, queue, cors, providers, "
                "models"
            ),
        ),
        (
            "server = 1",
            (
                "sluice.toml:1: server: 1 is a number, not a table; allowed: [server] with bind, "
                "workers, data_dir, drain, http1, tls_cert, tls_key, log_level, limits"
            ),
        ),
        (
            "providers = []",
            (
                "sluice.toml:1: providers: an array is an array, not a table; allowed: "
                "[providers.NAME] for each provider"
            ),
        ),
        (
            "[providers.x]\nformat = 'openai'",
            (
                'sluice.toml:1: providers.x.base_url: it is missing; allowed: "http://" or '
                '"https://", a host, and the path up to "/v1" or the like'
            ),
        ),
        (
            "[providers.other]\nbase_url = 'http://h'",
            (
                'sluice.toml:1: providers.other: "other" is what the metrics call all that is not '
                "configured; allowed: ASCII letters, digits and . _ -"
            ),
        ),
        (
            f"{PROVIDER}[models.'a*b']\nprovider = 'openai'",
            (
                'sluice.toml:3: models."a*b": "a*b" is no name for a model; allowed: ASCII '
                'letters, digits and . _ - : / @ +, with "*" at its end'
            ),
        ),
        (
            f"{PROVIDER}[models.a]\nprovider = 'opnai'",
            (
                'sluice.toml:4: models.a.provider: there is no provider "opnai", did you mean '
                '"openai"?; allowed: "openai"'
            ),
        ),
        (
            "[models.a]\nprovider = 'x'",
            (
                'sluice.toml:2: models.a.provider: there is no provider "x"; allowed: none: there '
                "is no [providers.NAME]"
            ),
        ),
        (
            f"{PROVIDER}[models.a]\nprovider = 'openai'\nfallback = [\n'b']",
            'sluice.toml:6: models.a.fallback: there is no model "b"; allowed: "a"',
        ),
        (
            f"{PROVIDER}[models.a]\nprovider = 'openai'\nfallback = ['a']",
            "sluice.toml:5: models.a.fallback: a model cannot be its own fallback",
        ),
        (
            "[server]\nworkers = 400",
            (
                "sluice.toml:2: server.workers: 400 is more than 256; allowed: 0 (one process), "
                '1 to 256 (a host and so many workers), or "auto" (one a core; 0 if there is only'
                " one)"
            ),
        ),
        (
            "[providers.x]\nbase_url = 'http://h'\nformat = 'gemini'",
            (
                'sluice.toml:3: providers.x.format: "gemini" is not one of them; '
                'allowed: "openai" or "anthropic" or "cohere"'
            ),
        ),
        (
            "[providers.x]\nbase_url = 'https://h/v1/messages'",
            (
                'sluice.toml:2: providers.x.base_url: "https://h/v1/messages" names a route, which'
                ' we append ourselves; allowed: "http://" or "https://", a host, and the path up to'
                ' "/v1" or the like'
            ),
        ),
        (
            "[server]\nhttp1 = 'h11'",
            (
                'sluice.toml:2: server.http1: "h11" is not one of them; allowed: "sluice" or '
                '"hypercorn"'
            ),
        ),
        (
            "[server.limits]\nbody = '10 bytes'",
            (
                'sluice.toml:2: server.limits.body: "10 bytes" is not a size; allowed: bytes from '
                '1024 to 1073741824, such as 1048576, "1MB" or "1MiB"'
            ),
        ),
        (
            "[limits]\nip = '100/min'",
            (
                'sluice.toml:2: limits.ip: "100/min" is not a rate; allowed: "NUMBER/second", '
                '"/minute", "/hour" or "/day" (a bare number is per minute), of up to 100000, '
                'or "off"'
            ),
        ),
        (
            "[limits]\nuser = 0",
            (
                'sluice.toml:2: limits.user: "0/hour" would refuse everything; allowed: '
                '"NUMBER/second", "/minute", "/hour" or "/day" (a bare number is per hour), '
                'of up to 100000, or "off"'
            ),
        ),
        (
            "[cors]\norigins = ['https://a.example', 'https://b.example/path']",
            (
                'sluice.toml:2: cors.origins: "https://b.example/path" is more than an origin: '
                'nothing follows host and port; allowed: an array, each item "*" or an origin such '
                'as "https://app.example.com"'
            ),
        ),
        (
            "[connections]\nlimit = 20\n[server.limits]\nconnections = 10",
            (
                "sluice.toml:4: server.limits.connections: 10 is less than [connections] limit, "
                "which is 20; allowed: 20 or more"
            ),
        ),
        (
            "[server]\nlog_level = 1979-05-27",
            (
                "sluice.toml:2: server.log_level: a date or a time is a date or a time, not a text "
                'in quotes; allowed: "debug" or "info" or "warning" or "error"'
            ),
        ),
    ],
)
def test_a_mistake_tells_its_line_its_key_and_what_is_allowed(
    mistakes: Mistakes, text: str, told: str
) -> None:
    assert mistakes(text) == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1\nb =\n", "sluice.toml:2: not TOML: invalid value"),
        ("[a]\n[b]\n[a]\n", "sluice.toml:3: not TOML: cannot declare ('a',) twice"),
        ("a = '''\nx\n\n", "sluice.toml:2: not TOML: expected \"'''\" before the end"),
        ("a = 1\nb = [1,\n", "sluice.toml:2: not TOML: invalid value before the end"),
        ("a = " + "[" * 5000, "sluice.toml: arrays or tables are nested too deeply"),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(mistakes: Mistakes, text: str, told: str) -> None:
    assert mistakes(text) == [told]


def test_what_is_not_text_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "sluice.toml"
    file.write_bytes(b"[server]\n# \xff\n")
    with pytest.raises(ConfigurationError, match=r"sluice\.toml:2: is not UTF-8$"):
        load(str(file), {})


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "sluice.toml"
    file.write_bytes(b"\xef\xbb\xbf[connections]\r\nlimit = 7\r\n")
    assert load(str(file), {}).connections.limit == 7


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.toml: cannot be read: No such file"):
        load(str(tmp_path / "no.toml"), {})
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(str(tmp_path), {})


def test_a_file_that_never_ends_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="/dev/zero: is too large"):
        load("/dev/zero", {})


@pytest.mark.parametrize(
    "bind",
    ["127.0.0.1:0", "[::1]:8000", "0.0.0.0:80", "localhost:8000", "unix:/run/sluice.sock"],
)
def test_addresses_to_listen_on(toml: Load, bind: str) -> None:
    assert toml(f'[server]\nbind = "{bind}"').server.bind == bind


@pytest.mark.parametrize(
    ("bind", "why"),
    [
        ("8000", "is not HOST:PORT: the port is missing"),
        ("127.0.0.1", "is not HOST:PORT: the port is missing"),
        ("::1:8000", "is not HOST:PORT: an IPv6 address stands in brackets"),
        ("http://localhost:8000", "is not HOST:PORT, without a scheme"),
        (":8000", "has no valid host"),
        ("[127.0.0.1]:8000", "has no valid host"),
        ("256.0.0.1:8000", "has no valid host"),
        ("-a:8000", "has no valid host"),
        ("localhost:65536", "has a port above 65535"),
        ("localhost:http", "is not HOST:PORT"),
        ("unix:relative.sock", "is not an absolute path"),
        ("unix:/" + "a" * 107, "is not a path of at most 107 bytes"),
        (" ", "is not an address"),
    ],
)
def test_addresses_that_nobody_can_listen_on(mistakes: Mistakes, bind: str, why: str) -> None:
    (told,) = mistakes(f'[server]\nbind = "{bind}"')
    assert why in told


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("http://127.0.0.1:9000/v1/", "http://127.0.0.1:9000/v1"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("HTTPS://Host", "https://Host"),
    ],
)
def test_urls_of_providers(toml: Load, url: str, kept: str) -> None:
    assert toml(f'[providers.x]\nbase_url = "{url}"').providers["x"].base_url == kept


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "is not a URL"),
        ("api.openai.com/v1", "does not start with http:// or https://"),
        ("ftp://h", "does not start with http:// or https://"),
        ("https://", "has no valid host and port"),
        ("https:///v1", "has no valid host and port"),
        ("https://h:99999/v1", "is not a URL: Port out of range"),
        ("https://h:0/v1", "has no valid host and port"),
        ("https://h:x/v1", "is not a URL: Port could not be cast"),
        ("https://[::1/v1", "is not a URL: Invalid IPv6 URL"),
        ("https://a b/v1", "holds a character that no URL has"),
        ("https://h/v1?key=1", "has a query or a fragment"),
        ("https://h/v1#x", "has a query or a fragment"),
        ("https://h/v1/chat/completions", "names a route, which we append ourselves"),
    ],
)
def test_malformed_urls_of_providers(mistakes: Mistakes, url: str, why: str) -> None:
    (told,) = mistakes(f'[providers.x]\nbase_url = "{url}"')
    assert why in told


def test_a_password_in_a_url_is_refused_and_not_repeated(mistakes: Mistakes) -> None:
    (told,) = mistakes('[providers.x]\nbase_url = "https://me:hunter2@h/v1"')
    assert "does not belong in a URL" in told
    assert "hunter2" not in told


def test_origins_are_kept_as_browsers_send_them(toml: Load) -> None:
    config = toml("[cors]\norigins = ['https://App.Example:8443', '*', '*']")
    assert config.cors.origins == ("https://app.example:8443", "*")


def test_sizes_have_units(toml: Load) -> None:
    limits = toml('[server.limits]\nbody = "2MiB"\nhead = 4096').server.limits
    assert (limits.body, limits.head) == (2 * 1024 * 1024, 4096)


def test_the_edge_takes_more_connections_than_streams(toml: Load) -> None:
    assert toml("connections.limit = 50_000").server.limits.connections == 100_000
    assert toml("connections.limit = 50").server.limits.connections == EdgeLimits().connections
    text = "connections.limit = 50\nserver.limits.connections = 60"
    assert toml(text).server.limits.connections == 60


def test_relative_paths_start_at_the_configurations_folder(
    toml: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    toml(f"{PROVIDER}ca_file = 'ca.pem'")
    monkeypatch.chdir("/")
    config = load(str(tmp_path / "sluice.toml"), {})
    assert config.providers["openai"].ca_file == str(tmp_path / "ca.pem")


def test_a_home_that_does_not_exist_is_told(mistakes: Mistakes) -> None:
    (told,) = mistakes("[server]\ndata_dir = '~nobody-of-this-name/x'")
    assert "there is no such home folder" in told


# Secrets


def test_a_secret_comes_from_a_variable_or_from_a_file(toml: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-file\n")
    of_variable = toml(f"{PROVIDER}api_key = 'env:KEY'", KEY="sk-variable")
    of_file = toml(f"{PROVIDER}api_key = 'file:key'")
    assert of_variable.providers["openai"].api_key == Secret("sk-variable")
    assert of_file.providers["openai"].api_key == Secret("sk-file")


def test_a_variable_that_overrides_a_key_may_hold_the_secret_itself(toml: Load) -> None:
    config = toml(PROVIDER, SLUICE_PROVIDERS__OPENAI__API_KEY="sk-direct")
    assert config.providers["openai"].api_key == Secret("sk-direct")
    config = toml(PROVIDER, SLUICE_PROVIDERS__OPENAI__API_KEY="env:KEY", KEY="sk-named")
    assert config.providers["openai"].api_key == Secret("sk-named")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("sk-hunter2", "a secret itself does not belong in this file"),
        ("env:sk-hunter2", 'no name of an environment variable follows "env:"'),
        ("env:", 'no name of an environment variable follows "env:"'),
        ("env:UNSET", "the environment variable UNSET is not set"),
        ("env:BLANK", "the secret in env:BLANK is empty"),
        ("env:BROKEN", "the secret holds characters that no HTTP header can carry"),
        ("env:FOREIGN", "the secret holds characters that no HTTP header can carry"),
        ("file:none", "none cannot be read: No such file or directory"),
        ("file:binary", "binary holds no text"),
        ("file:/dev/zero", "/dev/zero is too large for a secret"),
    ],
)
def test_a_secret_that_is_none_is_refused_unquoted(
    mistakes: Mistakes, tmp_path: Path, written: str, why: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    variables = {"BLANK": " \n", "BROKEN": "hunter2\r\nX: y", "FOREIGN": "hunter2é"}
    (told,) = mistakes(f"{PROVIDER}api_key = '{written}'", **variables)
    assert told.startswith("sluice.toml:3: providers.openai.api_key: ")
    assert why in told
    assert "hunter2" not in told


def test_a_secret_of_another_type_is_refused_unquoted(mistakes: Mistakes) -> None:
    assert "it is a number" in mistakes(f"{PROVIDER}api_key = 12345678")[0]


def test_a_configuration_never_shows_a_secret(toml: Load) -> None:
    config = toml(f"{PROVIDER}api_key = 'env:KEY'", KEY="hunter2")
    assert "hunter2" not in f"{config!r} {config} {config.notices}"


# Notices


def notices(config: Config) -> list[str]:
    return [str(notice) for notice in config.notices if notice.key != "models"]


def test_limits_limit_unless_they_are_off(toml: Load) -> None:
    config = toml('[limits]\nip = "5/minute"\nuser = "off"\ntoken = 3')
    assert notices(config) == []
    assert config.limits == LimitSettings(Rate(5, "minute"), None, Rate(3, "hour"))
    assert toml("").limits == LimitSettings(
        Rate(100, "minute"), Rate(1000, "hour"), Rate(10_000, "hour")
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[cache]\nttl = 1", "cache"),
        ("[queue]\nlimit = 1", "queue"),
        ("[queue]\nbackend = 'kafka'", "queue"),
    ],
)
def test_what_has_no_effect_is_named(toml: Load, text: str, key: str) -> None:
    (told,) = notices(toml(text))
    assert f": {key}: has no effect in this version: " in told


@pytest.mark.parametrize(
    "text",
    [
        "[store]\nurl = 'embedded'",
        "[store]\nurl = 'redis://h'",
        "[server]\ndata_dir = '/x'",
        "[queue]\nbackend = 'off'\nlimit = 4",
        "[cache]",
        f"{PROVIDER}[models.a]\nprovider='openai'\nprefill = false\nfallback = []",
        "[retries]\nattempts = 1",
        (
            f"{PROVIDER}[models.a]\nprovider='openai'\nfallback=['b']\n"
            "[models.b]\nprovider='openai'\nfallback=['a']"
        ),
    ],
)
def test_what_promises_nothing_is_not_named(toml: Load, text: str) -> None:
    assert notices(toml(text)) == []


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://api.example.com", True),
        ("http://10.0.0.1", True),
        ("https://api.example.com", False),
        ("http://127.0.0.1:9000", False),
        ("http://[::1]:9000", False),
        ("http://localhost", False),
    ],
)
def test_a_key_that_leaves_the_machine_in_clear_is_warned_of(
    toml: Load, url: str, warned: bool
) -> None:
    config = toml(f"[providers.x]\nbase_url = '{url}'\napi_key = 'env:K'", K="sk-1")
    assert any("unencrypted" in notice for notice in notices(config)) == warned


@pytest.mark.parametrize(
    ("bind", "warned"),
    [("0.0.0.0:80", True), ("[::1]:80", False), ("unix:/s", False), ("127.0.0.2:0", False)],
)
def test_a_service_that_strangers_can_reach_is_warned_of(
    toml: Load, bind: str, warned: bool
) -> None:
    config = toml(f"[server]\nbind = '{bind}'\n{PROVIDER}api_key = 'env:K'", K="sk-1")
    assert any("no credentials" in notice for notice in notices(config)) == warned


# The schema


def test_breakers_have_figures_a_provider_its_own_and_a_model_one_for_itself(toml: Load) -> None:
    assert toml("").circuits == {}
    text = (
        f"[breaker]\nfailures = 4\nwindow = 20\n{PROVIDER}[providers.openai.breaker]\n"
        "cooldown = 9\n[models.a]\nprovider = 'openai'\n"
        "[models.b]\nprovider = 'openai'\nbreaker = true\n"
    )
    config = toml(text, SLUICE_BREAKER__FAILURES="6")
    own = BreakerSettings(failures=6, window=20, cooldown=9)
    assert config.circuits == {"openai": own, "openai/b": own}
    assert config.routing.guards() == {("openai", "a"): "openai", ("openai", "b"): "openai/b"}
    assert config.notices == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("failures = 0", "a whole number from 1 to 1000"),
        ("window = 0", "above 0"),
        ("cooldown = 'soon'", "seconds"),
        ("enabled = 1", "true or false"),
    ],
)
def test_figures_that_make_no_breaker_are_told(mistakes: Mistakes, line: str, told: str) -> None:
    (mistake,) = mistakes(f"[breaker]\n{line}")
    assert mistake.startswith("sluice.toml:2: breaker.")
    assert told in mistake


def test_every_key_of_the_schema_that_has_an_effect_fits_its_struct() -> None:
    structs = {
        "server": ServerSettings,
        "connections": ConnectionSettings,
        "timeouts": Timeouts,
        "retries": RetrySettings,
        "limits": LimitSettings,
        "auth": AuthSettings,
    }
    for name, struct in structs.items():
        table = SCHEMA.keys[name]
        assert isinstance(table, Table)
        assert set(table.keys) == set(struct.__struct_fields__)
    server = SCHEMA.keys["server"]
    assert isinstance(server, Table)
    limits = server.keys["limits"]
    assert isinstance(limits, Table)
    assert set(limits.keys) == set(EdgeLimits.__struct_fields__)


def test_every_rule_tells_what_is_allowed() -> None:
    def rules(node: object) -> list[Rule]:
        if isinstance(node, Table):
            return [rule for inner in node.keys.values() for rule in rules(inner)]
        if isinstance(node, Named):
            return [node.name, *rules(node.entry)]
        assert isinstance(node, Rule)
        return [node]

    assert len(rules(SCHEMA)) > 40
    assert all(rule.allowed for rule in rules(SCHEMA))
